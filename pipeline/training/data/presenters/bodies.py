"""Paints bodies: legs, skirt, torso with clothes, neck, arms, hands (the head is in `heads`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import Canvas, capsule, col, ellipse
from pipeline.training.data.presenters.textures import BOTTOM, SKIN, TOP, lookup

_NECK_TOP = -0.32  # height of the trapezius at the neck, head heights above the shoulder line
_SHOULDER_TOP = -0.17  # and at the shoulder joint


def round_shade(side: Tensor, light: Tensor) -> Tensor:
    """Brightness of a limb: darker towards its edges, lit from `light` (N,) across it."""
    return 1.04 - 0.26 * side * side + 0.16 * side * col(light)


def _limb_light(start: Tensor, end: Tensor, light: Tensor) -> Tensor:
    """Light across the axis of a limb (N,)."""
    axis = F.normalize(end - start, dim=1)
    return -axis[:, 1] * light[:, 0] + axis[:, 0] * light[:, 1]


def legs(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Shoes, shins, thighs, as far as they are in the picture."""
    h = fig.head
    bare = who.skirt > 0
    colour = torch.where(bare[:, None], who.skin, who.bottom)
    wide = torch.where(bare, 0.85, 1.0) * who.girth * h
    cloth = col(torch.where(bare, float(SKIN), float(BOTTOM)))
    for hip, knee, ankle, outwards in ((8, 9, 10, -1.0), (11, 12, 13, 1.0)):
        foot = fig.body[:, ankle] + fig.body.new_tensor((0.0, 0.03)) * h[:, None]
        toe = foot + fig.body.new_tensor((0.12 * outwards, 0.15)) * h[:, None]
        crop = canvas.around(0.15 * h, foot, toe)
        if crop is not None:
            distance, along, side, _ = capsule(crop, foot, toe, 0.13 * h, 0.13 * h)
            alpha = crop.cover(distance)
            crop.paint(alpha, who.shoes, 1.1 - 0.3 * side * side)
            crop.place(alpha, side * 0.1, along * 0.2, BOTTOM)
        for a, b, first, last in ((knee, ankle, 0.24, 0.15), (hip, knee, 0.30, 0.235)):
            start, end = fig.body[:, a], fig.body[:, b]
            if a == hip:
                start = (
                    0.86 * start + 0.14 * end
                )  # the thigh's round end must not stand out above the waist
            crop = canvas.around(0.5 * h, start, end)
            if crop is None:
                continue
            distance, along, side, beyond = capsule(crop, start, end, first * wide, last * wide)
            alpha = crop.cover(distance)
            shade = round_shade(side, _limb_light(start, end, who.light)) * (0.94 + 0.06 * along)
            crop.paint(alpha, colour, shade, 0.3 * col((~bare).float()))
            crop.place(alpha, side * 0.3 + 0.5, beyond * 1.8 + hip, cloth)


def torso(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Pelvis or skirt, then the upper garment in torso coordinates: u across, v from shoulders to hips."""
    h, middle = fig.head, fig.body[:, 1]
    skirt = fig.hips + fig.down * (who.skirt * h)[:, None]
    crop = canvas.around(1.15 * h, fig.body[:, 2], fig.body[:, 5], fig.hips, skirt)
    if crop is None:
        return
    x, y = crop.x - col(middle[:, 0]), crop.y - col(middle[:, 1])
    u = (x * col(fig.across[:, 0] / h)) + y * col(fig.across[:, 1] / h)
    v = (x * col(fig.down[:, 0] / h)) + y * col(fig.down[:, 1] / h)
    long = col(((fig.hips - middle) * fig.down).sum(1) / h)
    half = col((fig.body[:, 5] - fig.body[:, 2]).norm(dim=1) / 2 / h)
    hip = col(who.bones[:, 5] / 2 * who.girth)
    light = col(who.light[:, 0])
    _lower_garment(crop, who, u, v - long, hip, light)
    t = (v / long).clamp(0, 1.2)
    edge = _outline(t, half, hip)
    ground = u.abs()
    slope = ((ground - 0.22) / (half - 0.22)).clamp(0, 1.4)
    top = _NECK_TOP + (_SHOULDER_TOP - _NECK_TOP) * slope * (1.3 - 0.3 * slope)
    distance = torch.maximum(torch.maximum(ground - edge, v - long * 1.07), top - v) * col(h)
    alpha = crop.cover(distance)
    across = (u / edge).clamp(-1, 1)
    # the edge fades out towards the shoulder, where the sleeve goes on in the same cloth
    shade = 1.05 - 0.22 * across**4 * (t * 3).clamp(0, 1) - 0.07 * t + 0.15 * across * light
    bust = torch.exp(-((across.abs() - 0.42) * 5).square() - ((t - 0.36) * 6).square())
    shade = shade - 0.06 * bust - 0.05 * torch.sin(across * 9 + 4 * t) * ((t - 0.6) * 2).clamp(0, 1)
    crop.paint(alpha, who.top, shade, 1.0)
    crop.place(alpha, u * (0.8 / half) + 0.8, v * (2.2 / long) + 0.4, TOP)
    _front(crop, who, u, v, alpha, shade, h)


def _outline(t: Tensor, half: Tensor, hip: Tensor) -> Tensor:
    """Half width of the torso at `t` (0 shoulders, 1 hips): chest, waist, hem, in head heights."""
    chest = half * 0.90 + 0.05
    waist = hip * 0.5 + chest * 0.42 + 0.02
    belly = chest + (waist - chest) * torch.sin(1.5708 * (t * 1.55).clamp(0, 1)).square()
    return belly + (hip + 0.28 - waist) * ((t - 0.60) / 0.40).clamp(0, 1).square()


def _lower_garment(crop: Canvas, who: Identities, u, v, hip, light) -> None:
    """Pelvis in trousers, or a flared skirt; `v` counts from the hips."""
    length = col(who.skirt)
    bottom = torch.where(length > 0, length, 0.36)
    flare = torch.where(length > 0, 0.16 * v.clamp_min(0), -0.04 * v.clamp_min(0)) - 0.15 * (
        -v
    ).clamp_min(0)
    edge = hip + 0.26 + flare
    distance = torch.maximum(u.abs() - edge, torch.maximum(v - bottom, -0.04 - v)) * col(who.head)
    alpha = crop.cover(distance)
    across = (u / edge).clamp(-1, 1)
    folds = torch.where(length > 0, 0.06 * torch.sin(across * 14) * v.clamp(0, 1), 0.0)
    crop.paint(alpha, who.bottom, 1.0 - 0.22 * across**4 + 0.1 * across * light + folds, 0.3)
    crop.place(alpha, u + 0.8, v, BOTTOM)


def _front(crop: Canvas, who: Identities, u, v, alpha, shade, h) -> None:
    """Open jacket with the shirt under it and lapels, neckline, collar."""
    jacket = col(who.jacket)
    wide = 0.05 + (0.16 + 0.22 * v.clamp_min(0) * col(who.neckline - 0.3)).clamp(0.02, 0.6)
    away = u.abs() - wide
    shirt = crop.cover(away * col(h)) * alpha * jacket
    crop.paint(shirt, who.inner, shade * 0.95, 0.25)
    crop.place(shirt, u + 0.8, v + 0.4, BOTTOM)
    seam = (1 - (away.abs() * 30).clamp(0, 1)) * alpha * jacket * 0.35
    lapel = (
        ((0.16 - (away - 0.08 - 0.1 * (0.7 - v)).abs() * 14).clamp(0, 1))
        * (v < 0.7)
        * alpha
        * jacket
    )
    crop.darken(1 - seam - lapel)
    depth = 0.02 + 0.4 * who.neckline
    pointed = col(who.collar)
    bowl = ellipse(u, v + 0.16, torch.full_like(pointed, 0.30), col(0.12 + depth))
    wedge = torch.maximum(u.abs() - (0.30 - 0.5 * (v + 0.15)), -0.4 - v)
    neckline = torch.where(pointed > 0, wedge * 0.9, bowl)
    hole = crop.cover(neckline * col(h)) * crop.cover((v - 0.6) * col(h)) * alpha
    rim = torch.exp(-(neckline / 0.02).square()) * alpha * 0.22
    crop.paint(hole, who.skin, 0.95 - 0.08 * v.clamp(-0.3, 0.5), 0.0)
    crop.place(hole, u + 0.8, v + 0.6, SKIN)
    crop.darken(1 - rim)


def neck(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Neck with the chin's shadow, from the collar to the back of the head."""
    h = fig.head
    start = fig.body[:, 1] - fig.down * (0.04 * h)[:, None]
    end = fig.centre + (fig.rotation[:, :2, 1]) * (0.22 * h)[:, None]
    crop = canvas.around(0.4 * h, start, end)
    if crop is None:
        return
    wide = (0.232 + 0.015 * who.shape[:, 0]) * who.girth.clamp(0.92, 1.06) * h
    distance, _, side, beyond = capsule(crop, start, end, wide * 1.05, wide * 0.95)
    chin = fig.face[:, 8, :2]
    shadow = torch.exp(-((crop.y - col(chin[:, 1])) / col(0.13 * h)).clamp_min(0).square())
    shade = round_shade(side, -who.light[:, 0]) * (0.96 - 0.34 * shadow)
    alpha = crop.cover(distance)
    crop.paint(alpha, who.skin, shade, 0.0)
    crop.place(alpha, side * 0.25 + 0.5, beyond * 0.5, SKIN)


def arms(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Both arms in sleeves, with a soft shadow of the forearms on what is behind."""
    h = fig.head
    wide = who.girth * h * (0.88 + 0.12 * (who.sleeve > 1).float())
    for shoulder, elbow, wrist in ((2, 3, 4), (5, 6, 7)):
        a, b, c = fig.body[:, shoulder], fig.body[:, elbow], fig.body[:, wrist]
        inward = a + (fig.body[:, 1] - a) * 0.07 + fig.down * (0.02 * h)[:, None]
        _arm(canvas, who, (inward, b), (0.185 * wide, 0.16 * wide), who.sleeve, shoulder, 0.10)
        _arm(canvas, who, (b, c), (0.165 * wide, 0.115 * wide), who.sleeve - 1, elbow, 0.24)


def _arm(
    canvas: Canvas, who: Identities, bone: tuple, radii: tuple, sleeve, place: int, shadow: float
) -> None:
    h = who.head
    start, end = bone
    crop = canvas.around(0.5 * h, start, end)
    if crop is None:
        return
    distance, along, side, beyond = capsule(crop, start, end, *radii)
    near = (1 - distance.clamp_min(0) / col(0.24 * h)).clamp_min(0).square()
    near = near * (along * 4).clamp(0, 1)  # none at the joint, where it would draw a ring
    crop.darken(1 - shadow * near * crop.data[4])
    alpha = crop.cover(distance)
    shade = round_shade(side, _limb_light(start, end, who.light))
    if place in (2, 5):  # at the shoulder the sleeve is as bright as the torso beside it
        shade = torch.lerp(shade, torch.full_like(shade, 1.03), ((0.4 - along) * 3.2).clamp(0, 1))
    length = (end - start).norm(dim=1) * canvas.scale
    covered = ((col(sleeve) - along) * col(length) + 0.5).clamp(0, 1)
    shade = shade - 0.05 * torch.sin(along * 17 + side * 3) * covered * (along > 0.55)
    cuff = torch.exp(-((along - col(sleeve)) * 24).square()) * 0.15
    mixed = [col(who.skin[:, k]) + col((who.top - who.skin)[:, k]) * covered for k in range(3)]
    crop.paint(alpha, mixed, shade - cuff, covered)
    crop.place(
        alpha,
        side * 0.2 + 0.5,
        beyond * 1.2 + place,
        torch.where(covered > 0.5, float(TOP), float(SKIN)),
    )


def hands(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Both hands in patches: palm, then the fingers one over the other, edges shaded."""
    h = fig.head
    size = who.bones[:, 4] * h
    for side in (1, 0):
        points = fig.hands[:, side]
        centre = (points.amin(1) + points.amax(1)) / 2
        reach = (points.amax(1) - points.amin(1)).amax() + 0.3 * h.max()
        if bool(((centre[:, 1] - reach) > 1).all()):
            continue
        patch, where = canvas.patch(centre, int(reach * canvas.scale) + 4)
        light = 1.03 + 0.05 * who.light[:, 0] * (1.0 if side == 0 else -1.0)
        whole = _palm(patch, who, points, size, light)
        for finger in (4, 3, 2, 1, 0):
            base = 1 + 4 * finger
            bones = [(0, 1)] if finger == 0 else []
            bones += [(base, base + 1), (base + 1, base + 2), (base + 2, base + 3)]
            thick = (0.064 if finger == 0 else 0.057) * size
            distance = None
            for a, b in bones:
                swell = 1.3 if a == 0 else 1.0
                part = capsule(patch, points[:, a], points[:, b], thick * swell, thick * 0.92)[0]
                distance = part if distance is None else torch.minimum(distance, part)
            _skin(patch, who, distance, thick, light)
            whole = torch.minimum(whole, distance)
        _, _, side, beyond = capsule(patch, points[:, 0], points[:, 9], 0.3 * size, 0.3 * size)
        patch.place(patch.cover(whole), side * 0.3 + 0.5, beyond * 0.5, SKIN)
        canvas.put(patch, where)


def _palm(patch: Canvas, who: Identities, points: Tensor, size: Tensor, light: Tensor) -> Tensor:
    """The distance to the palm, between the wrist and the four knuckles; edges fade at the wrist."""
    start, end = points[:, 0], (points[:, 9] + points[:, 13]) / 2
    palm, along, _, _ = capsule(patch, start, end, 0.115 * size, 0.17 * size)
    for first, last in ((0, 5), (0, 17), (5, 17)):
        part = capsule(patch, points[:, first], points[:, last], 0.09 * size, 0.08 * size)[0]
        palm = torch.minimum(palm, part)
    depth = (1 + palm / col(0.05 * size)).clamp(0, 1) * (along * 3 - 0.3).clamp(0, 1)
    patch.paint(patch.cover(palm), who.skin, col(light) - 0.30 * depth.square(), 0.0)
    return palm


def _skin(patch: Canvas, who: Identities, distance: Tensor, thick: Tensor, light: Tensor) -> None:
    depth = (1 + distance / col(thick)).clamp(0, 1)
    patch.paint(patch.cover(distance), who.skin, col(light) - 0.34 * depth.square(), 0.0)


def weave(canvas: Canvas, who: Identities, atlas: Tensor) -> None:
    """Patterns of the clothes, then the texture of every material, last, in the coordinates of the parts.

    `atlas` (B, 3, 4 x TILE, TILE) has one row per person, `who` one per frame.
    """
    weight, u, v = canvas.data[3], canvas.data[5], canvas.data[6]
    if bool((who.pattern[:, :3] > 0).any()):
        weights = [col(p) for p in who.pattern.unbind(1)]
        along = (torch.sin(u * weights[3]) * 4 + 0.5).clamp(0, 1)
        across = (torch.sin(v * weights[4]) * 4 + 0.5).clamp(0, 1)
        amount = weights[0] * along + weights[1] * across + weights[2] * (along - across).abs()
        amount = amount.clamp_(0, 1) * ((weight - 0.5) * 2).clamp(0, 1)
        ratio = who.second / who.top.clamp_min(0.05) - 1
        for channel in range(3):
            canvas.data[channel].addcmul_(
                canvas.data[channel] * amount, col(ratio[:, channel]).clamp(-0.8, 3)
            )
    texture = lookup(atlas, u, v, canvas.data[7])
    for channel in range(3):
        canvas.data[channel].addcmul_(canvas.data[channel] * canvas.data[4], texture[:, channel])
