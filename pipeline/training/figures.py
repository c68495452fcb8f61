"""Paints bodies: legs, skirt, torso with clothes, neck, arms, hands (the head is in `heads`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.anatomy import Figure
from pipeline.training.person import Identities
from pipeline.training.shapes import Canvas, capsule, col, ellipse


@dataclass
class Cloth:
    """Texture coordinates (2, N, H, W) in head heights of what a cloth pixel belongs to."""

    uv: Tensor

    def place(self, alpha: Tensor, u: Tensor, v: Tensor) -> None:
        where = alpha > 0.5
        self.uv[0] = torch.where(where, u, self.uv[0])
        self.uv[1] = torch.where(where, v, self.uv[1])


def round_shade(side: Tensor, light: Tensor) -> Tensor:
    """Brightness of a limb: darker towards its edges, lit from `light` (N,) across it."""
    return 1.04 - 0.26 * side * side + 0.16 * side * col(light)


def _limb_light(start: Tensor, end: Tensor, light: Tensor) -> Tensor:
    """Light across the axis of a limb (N,)."""
    axis = F.normalize(end - start, dim=1)
    return -axis[:, 1] * light[:, 0] + axis[:, 0] * light[:, 1]


def legs(canvas: Canvas, cloth: Cloth, who: Identities, fig: Figure) -> None:
    """Thighs, shins, shoes; nothing when all knees are out of the picture."""
    h = fig.head
    bare = who.skirt > 0
    skin = torch.where(bare[:, None], who.skin, who.bottom)
    if (fig.body[:, (9, 12), 1].amin() - 0.5 * h.max()) < 1.0 or (fig.hips[:, 1].amin() < 1.0):
        for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
            foot = fig.body[:, ankle]
            toe = foot + torch.stack((0.14 * h * (1 if hip == 11 else -1), 0.17 * h), 1)
            distance, *_ = capsule(canvas, foot + 0.03 * h[:, None], toe, 0.12 * h, 0.13 * h)
            canvas.paint(canvas.cover(distance), who.shoes)
            wide = torch.where(bare, 0.85, 1.0) * who.girth * h
            for a, b, first, last in ((knee, ankle, 0.24, 0.15), (hip, knee, 0.38, 0.25)):
                start, end = fig.body[:, a], fig.body[:, b]
                distance, along, side = capsule(canvas, start, end, first * wide, last * wide)
                alpha = canvas.cover(distance)
                shade = round_shade(side, _limb_light(start, end, who.light)) * (0.94 + 0.06 * along)
                canvas.paint(alpha, skin, shade, 0.3)
                cloth.place(alpha, side * 0.3, along * 1.8 + hip)


def torso(canvas: Canvas, cloth: Cloth, who: Identities, fig: Figure) -> None:
    """Pelvis or skirt, then the upper garment in torso coordinates: u across, v from shoulders to hips."""
    h = fig.head
    neck = fig.body[:, 1]
    x, y = canvas.x - col(neck[:, 0]), canvas.y - col(neck[:, 1])
    u = (x * col(fig.across[:, 0] / h)) + y * col(fig.across[:, 1] / h)
    v = (x * col(fig.down[:, 0] / h)) + y * col(fig.down[:, 1] / h)
    long = col(((fig.hips - neck) * fig.down).sum(1) / h)
    half = col((fig.body[:, 5] - fig.body[:, 2]).norm(dim=1) / 2 / h)
    hip = col(who.bones[:, 5] / 2 * who.girth)
    light = col(who.light[:, 0])
    _lower_garment(canvas, cloth, who, u, v - long, hip, light)
    t = (v / long).clamp(0, 1.2)
    chest = half * 0.93 + 0.03
    waist = hip * 0.5 + chest * 0.42 + 0.02
    belly = chest + (waist - chest) * torch.sin(1.5708 * (t * 1.55).clamp(0, 1)).square()
    edge = belly + (hip + 0.27 - waist) * ((t - 0.62) / 0.38).clamp(0, 1).square()
    ground = u.abs()
    slope = 0.5 * (ground - 0.2).clamp_min(0).square() / half - 0.30 * (1 - ground / half).clamp_min(0)
    hem = v - long * 1.06
    distance = torch.maximum(torch.maximum(ground - edge, hem), (slope - 0.12 - v) * 0.9) * col(h)
    alpha = canvas.cover(distance)
    across = (u / edge).clamp(-1, 1)
    shade = 1.04 - 0.20 * across**4 - 0.07 * t + 0.12 * across * light
    shade = shade - 0.05 * torch.exp(-((across.abs() - 0.42) * 5).square() - ((t - 0.32) * 5).square())
    canvas.paint(alpha, who.top, shade, 1.0)
    cloth.place(alpha, u, v)
    _front(canvas, who, u, v, alpha, shade, long, h)


def _lower_garment(canvas: Canvas, cloth: Cloth, who: Identities, u, v, hip, light) -> None:
    """Pelvis in trousers, or a flared skirt; `v` counts from the hips."""
    length = col(who.skirt)
    bottom = torch.where(length > 0, length, 0.34)
    flare = torch.where(length > 0, 0.16 * v.clamp_min(0), -0.10 * v.clamp_min(0))
    edge = hip + 0.27 + flare
    distance = torch.maximum(u.abs() - edge, torch.maximum(v - bottom, -0.6 - v)) * col(who.head)
    alpha = canvas.cover(distance)
    across = (u / edge).clamp(-1, 1)
    folds = torch.where(length > 0, 0.06 * torch.sin(across * 14) * v.clamp(0, 1), 0.0)
    canvas.paint(alpha, who.bottom, 1.0 - 0.24 * across**4 + 0.1 * across * light + folds, 0.3)
    cloth.place(alpha, u, v)


def _front(canvas: Canvas, who: Identities, u, v, alpha, shade, long, h) -> None:
    """Open jacket with the shirt under it, neckline, collar."""
    wide = 0.05 + (0.16 + 0.22 * v.clamp_min(0) * col(who.neckline - 0.3)).clamp(0.02, 0.6)
    open_ = canvas.cover((u.abs() - wide) * col(h)) * alpha * col(who.jacket)
    canvas.paint(open_, who.inner, shade * 0.95, 0.25)
    seam = (1 - ((u.abs() - wide).abs() * 30).clamp(0, 1)) * alpha * col(who.jacket) * 0.35
    canvas.darken(1 - seam)
    depth = 0.02 + 0.4 * who.neckline
    pointed = col(who.collar)
    bowl = ellipse(u, v + 0.16, torch.full_like(pointed, 0.30), col(0.12 + depth))
    wedge = torch.maximum(u.abs() - (0.30 - 0.5 * (v + 0.15)), -0.4 - v)
    hole = canvas.cover(torch.where(pointed > 0, wedge * 0.9, bowl) * col(h)) * canvas.cover(
        (v - 0.6) * col(h)
    )
    canvas.paint(hole * alpha, who.skin, 0.93 - 0.08 * v.clamp(-0.3, 0.5), 0.0)


def neck(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Neck with the chin's shadow, from the collar to the back of the head."""
    h = fig.head
    start = fig.body[:, 1] - fig.down * (0.02 * h)[:, None]
    end = fig.centre + (fig.rotation[:, :2, 1]) * (0.22 * h)[:, None]
    wide = (0.245 + 0.02 * who.shape[:, 0]) * who.girth.clamp(0.92, 1.08) * h
    distance, along, side = capsule(canvas, start, end, wide * 1.08, wide * 0.95)
    shade = round_shade(side, -who.light[:, 0]) * (0.92 - 0.32 * ((along - 0.15) * 1.6).clamp(0, 1))
    canvas.paint(canvas.cover(distance), who.skin, shade, 0.0)


def arms(canvas: Canvas, cloth: Cloth, who: Identities, fig: Figure) -> None:
    """Both arms in sleeves, with a soft shadow on what is behind."""
    h = fig.head
    for shoulder, elbow, wrist in ((2, 3, 4), (5, 6, 7)):
        wide = who.girth * h * (0.86 + 0.14 * (who.sleeve > 1).float())
        a, b, c = fig.body[:, shoulder], fig.body[:, elbow], fig.body[:, wrist]
        inward = (fig.body[:, 1] - a) * 0.06
        for start, end, first, last, cut in (
            (a + inward, b, 0.235, 0.18, who.sleeve), (b, c, 0.18, 0.125, who.sleeve - 1)
        ):  # fmt: skip
            distance, along, side = capsule(canvas, start, end, first * wide, last * wide)
            if cut is not who.sleeve:
                canvas.darken(1 - 0.22 * torch.exp(-(distance.clamp_min(0) / col(0.09 * h))) * canvas.data[4])
            alpha = canvas.cover(distance)
            shade = round_shade(side, _limb_light(start, end, who.light))
            covered = ((col(cut) - along) * 14 + 0.5).clamp(0, 1)
            canvas.paint(alpha, who.skin, shade, 0.0)
            canvas.paint(alpha * covered, who.top, shade, 1.0)
            cloth.place(alpha, side * 0.2, along * 1.2 + shoulder)


def hands(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Both hands in patches: palm, then the fingers one over the other, edges shaded."""
    h = fig.head
    for side in (1, 0):
        points = fig.hands[:, side]
        centre = (points.amin(1) + points.amax(1)) / 2
        reach = (points.amax(1) - points.amin(1)).amax() + 0.3 * h.max()
        patch, where = canvas.patch(centre, int(reach * canvas.scale) + 4)
        size = who.bones[:, 4] * h
        start, end = points[:, 0], (points[:, 9] + points[:, 13]) / 2
        palm, *_ = capsule(patch, start, end, 0.135 * size, 0.17 * size)
        edges = [(points[:, 0], points[:, 5]), (points[:, 0], points[:, 17]), (points[:, 5], points[:, 17])]
        for first, last in edges:
            palm = torch.minimum(palm, capsule(patch, first, last, 0.10 * size, 0.085 * size)[0])
        light = 1.02 - 0.06 * fig.down.new_tensor(side)
        _skin(patch, who, palm, 0.12 * size, light)
        for finger in (4, 3, 2, 1, 0):
            base = 1 + 4 * finger
            bones = [(0, 1)] if finger == 0 else []
            bones += [(base, base + 1), (base + 1, base + 2), (base + 2, base + 3)]
            thick = (0.062 if finger == 0 else 0.055) * size
            distance = None
            for a, b in bones:
                part = capsule(
                    patch, points[:, a], points[:, b], thick * (1.25 if a == 0 else 1), thick * 0.92
                )[0]
                distance = part if distance is None else torch.minimum(distance, part)
            _skin(patch, who, distance, thick, light)
        canvas.put(patch, where)


def _skin(patch: Canvas, who: Identities, distance: Tensor, thick: Tensor, light: Tensor) -> None:
    depth = (1 + distance / col(thick)).clamp(0, 1)
    patch.paint(patch.cover(distance), who.skin, light - 0.34 * depth.square(), 0.0)


def weave(canvas: Canvas, cloth: Cloth, who: Identities) -> None:
    """Patterns and grain of the clothes, last: the weight channel says how much cloth a pixel is."""
    u, v = cloth.uv
    weights = [col(p) for p in who.pattern.unbind(1)]
    along = (torch.sin(u * weights[3]) * 3 + 0.5).clamp(0, 1)
    across = (torch.sin(v * weights[4]) * 3 + 0.5).clamp(0, 1)
    amount = weights[0] * along + weights[1] * across + weights[2] * (along - across).abs()
    amount = amount.clamp_(0, 1) * ((canvas.data[3] - 0.5) * 2).clamp(0, 1)
    ratio = who.second / who.top.clamp_min(0.05)
    for channel in range(3):
        canvas.data[channel].mul_(1 + amount * (col(ratio[:, channel]).clamp(0.2, 4) - 1))
    grid = torch.stack((torch.remainder(u * 0.9 + 1, 2) - 1, torch.remainder(v * 0.9 + 1, 2) - 1), -1)
    grain = F.grid_sample(who.scenery.texture, grid, mode="bilinear", align_corners=False)
    grain = grain.permute(1, 0, 2, 3) * canvas.data[3] * who.scenery.strength[:, 2, None, None]
    canvas.data[:3].mul_(1 + grain)
