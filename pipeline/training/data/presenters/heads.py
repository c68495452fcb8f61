"""Paints heads: hair behind, skull and ears, face from its 68 points, hair in front, glasses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import Canvas, blob, col, ellipse, polygon, polyline
from pipeline.training.data.presenters.textures import HAIR, SKIN

_LEFT_EYE, _RIGHT_EYE = slice(36, 42), slice(42, 48)  # image left, image right


@dataclass
class _Frame:
    """Pixels in the head's own axes without yaw and pitch; `forward` is where the nose points."""

    x: Tensor
    y: Tensor
    forward: Tensor  # (N, 2) the same in these axes

    def distance(self, canvas: Canvas, points: Tensor, h: Tensor) -> Tensor:
        return polygon(canvas.x, canvas.y, points) / col(h)


def _axes(canvas: Canvas, fig: Figure) -> _Frame:
    down = fig.rotation[:, :2, 1]
    down = down / down.norm(dim=1, keepdim=True)
    right = torch.stack((down[:, 1], -down[:, 0]), 1)
    x, y = canvas.x - col(fig.centre[:, 0]), canvas.y - col(fig.centre[:, 1])
    h = fig.head
    local_x = x * col(right[:, 0] / h) + y * col(right[:, 1] / h)
    local_y = x * col(down[:, 0] / h) + y * col(down[:, 1] / h)
    nose = fig.rotation[:, :2, 2]
    forward = torch.stack(((nose * right).sum(1), (nose * down).sum(1)), 1)
    return _Frame(local_x, local_y, forward)


def _skull(frame: _Frame, who: Identities, grow: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the (grown) skull and the place on it, head heights."""
    forward_x, forward_y = col(frame.forward[:, 0]), col(frame.forward[:, 1])
    wide = 0.352 * (1 + 0.07 * col(who.shape[:, 0]))
    rx = torch.hypot(wide, 0.22 * forward_x) + grow
    x, y = frame.x + 0.10 * forward_x, frame.y + 0.10 + 0.10 * forward_y
    return ellipse(x, y, rx, 0.40 + 0 * rx + grow), x / rx, y / (0.40 + grow)


def _curls(frame: _Frame, who: Identities) -> Tensor:
    """Waviness (N, h, w) of the outline of curly hair, head heights."""
    waves = torch.sin(frame.x * 31 + 3 * frame.y) + torch.sin(frame.y * 37 - 2 * frame.x)
    return waves * col(0.012 * who.curly) + 0.004 * torch.sin(frame.x * 71) * torch.sin(
        frame.y * 63
    )


def _gloss(frame: _Frame, who: Identities) -> Tensor:
    """Brightness of hair: a band of light on the crown, towards the light; darker below."""
    x = frame.x - 0.1 * col(who.light[:, 0])
    band = torch.exp(-((frame.y + 0.30 + 0.6 * x * x) * 7).square())
    return (
        0.86
        + 0.34 * band * (1 + 0.8 * frame.x * col(who.light[:, 0]))
        - 0.16 * (frame.y - 0.2).clamp(0, 1)
    )


def _comb(frame: _Frame, who: Identities) -> tuple[Tensor, Tensor]:
    """Texture coordinates on the head: around the parting and along the strands, turning with the head."""
    x = frame.x - 0.12 * col(who.parting) - 0.22 * col(frame.forward[:, 0])
    y = frame.y + 0.67 - 0.2 * col(frame.forward[:, 1])
    return torch.atan2(x, y) * 0.9 + 0.8, torch.hypot(x, y) * 0.8


def _on_face(frame: _Frame) -> tuple[Tensor, Tensor]:
    """Texture coordinates of the skin: the rounder the face, the farther its middle moves when it turns."""
    depth = (0.24 - 2.2 * frame.x.square() - 0.5 * frame.y.square()).clamp_min(-0.1)
    return (
        frame.x - col(frame.forward[:, 0]) * depth + 0.8,
        frame.y - col(frame.forward[:, 1]) * depth + 0.8,
    )


def back_hair(canvas: Canvas, who: Identities, fig: Figure) -> None:
    """Long hair, behind the neck and in front of the shoulders; nothing when nobody has any."""
    if not bool((who.hair_length > 0).any()):
        return
    tip = fig.centre + _down(fig, 1.0) * (0.12 + 0.52 * who.hair_length)[:, None]
    canvas = canvas.around(0.75 * fig.head, fig.centre, tip)
    if canvas is None:
        return
    frame = _axes(canvas, fig)
    h = col(fig.head)
    bottom = 0.12 + 0.52 * col(who.hair_length)
    x, y = frame.x + 0.08 * col(frame.forward[:, 0]), frame.y + 0.1
    wide = (
        0.40
        + 0.08 * col(who.volume)
        + 0.07 * (y / bottom).clamp(0, 1)
        - 0.10 * ((y / bottom) - 0.75).clamp(0, 1)
    )
    curls = _curls(frame, who)
    ragged = 0.010 * torch.sin(x * 40) + 0.008 * torch.sin(x * 93) + 0.08 * x.abs() - curls
    drop = torch.maximum(x.abs() - wide + curls, torch.maximum(y - bottom + ragged, -0.05 - y))
    skull = _skull(frame, who, 0.05 + 0.08 * col(who.volume))[0] + curls
    distance = torch.minimum(drop, skull)
    alpha = canvas.cover(distance * h) * col((who.hair_length > 0).float())
    canvas.paint(alpha, who.hair, _gloss(frame, who) * 0.86, 0.0)
    canvas.place(alpha, x * 1.1 + 0.8, y * 0.55 + 0.3, HAIR)


def head(canvas: Canvas, who: Identities, fig: Figure, gaze: Tensor) -> None:
    """The whole head in one patch of the canvas."""
    patch, where = canvas.patch(fig.centre, int(1.75 * fig.head.max() * canvas.scale) + 4)
    frame = _axes(patch, fig)
    h = fig.head
    skin = _face_skin(patch, frame, who, fig)
    _beard(patch, frame, who, fig, skin)
    _nose(patch, who, fig)
    for eye in (_LEFT_EYE, _RIGHT_EYE):
        _eye(patch, who, fig, eye, gaze)
    _brows(patch, who, fig)
    _mouth(patch, who, fig)
    _front_hair(patch, frame, who, h)
    _glasses(patch, who, fig)
    canvas.put(patch, where)


def _face_skin(patch: Canvas, frame: _Frame, who: Identities, fig: Figure) -> Tensor:
    """Ears, skull, jaw with round shading; returns the coverage of the face."""
    h = fig.head
    for ear, side in ((16, 0), (17, 1)):
        centre = fig.body[:, ear]
        distance = ellipse(
            patch.x - col(centre[:, 0]), patch.y - col(centre[:, 1]), col(0.052 * h), col(0.10 * h)
        )  # fmt: skip
        rim = 0.80 + 0.12 * (distance / col(0.05 * h)).clamp(-1, 0).abs()
        alpha = patch.cover(distance) * col(1 - fig.far_ear[:, side])
        patch.paint(alpha, who.skin, rim, 0.0)
        patch.place(alpha, frame.x + 0.8, frame.y + 0.8, SKIN)
    skull, nx, ny = _skull(frame, who, 0.0)
    jaw = polygon(patch.x, patch.y, fig.face[:, :17, :2]) - col(0.006 * h)
    alpha = patch.cover(torch.minimum(skull * col(h), jaw))
    nx = ((frame.x - 0.08 * col(frame.forward[:, 0])) / 0.37).clamp(-1.2, 1.2)
    ny = ((frame.y - 0.08 * col(frame.forward[:, 1])) / 0.52).clamp(-1.2, 1.2)
    light = nx * col(who.light[:, 0]) + ny * col(who.light[:, 1]) * 0.7
    shade = 1.05 - 0.20 * nx.square() - 0.08 * ny.square() + 0.13 * light
    patch.paint(alpha, who.skin, shade, 0.0)
    patch.place(alpha, *_on_face(frame), SKIN)
    return alpha


def _glow(
    patch: Canvas, fig: Figure, centre: Tensor, rx: float, ry: float, strength: Tensor | float
) -> None:
    """Brightens (or darkens) softly around a point; sizes in head heights."""
    patch.darken(1 + strength * blob(patch.x, patch.y, centre, rx * fig.head, ry * fig.head))


def _nose(patch: Canvas, who: Identities, fig: Figure) -> None:
    """Eye sockets, cheeks, nose and chin as soft light and shadow, nostrils and wings as marks."""
    points, h = fig.face[..., :2], fig.head
    lit = col(who.light[:, 0])
    for eye, brow in ((slice(36, 42), slice(17, 22)), (slice(42, 48), slice(22, 27))):
        socket = 0.6 * points[:, eye].mean(1) + 0.4 * points[:, brow].mean(1)
        _glow(patch, fig, socket, 0.085, 0.038, -0.17)
        _glow(patch, fig, points[:, eye].mean(1) + _down(fig, 0.055), 0.07, 0.018, -0.07)
    for corner, ear, side in ((48, 2, -1.0), (54, 14, 1.0)):
        cheek = (points[:, corner] + points[:, ear] + points[:, 30]) / 3
        _glow(patch, fig, cheek, 0.075, 0.06, 0.07 + 0.03 * lit * side)
        fold = 0.5 * points[:, corner] + 0.5 * points[:, 31 if side < 0 else 35]
        _glow(patch, fig, fold + _right(fig, 0.03 * side), 0.018, 0.05, -0.09)
    bridge = points[:, 28:31].mean(1)
    _glow(patch, fig, bridge, 0.022, 0.085, 0.12)
    for side in (-1.0, 1.0):
        _glow(patch, fig, bridge + _right(fig, 0.052 * side), 0.02, 0.09, -0.10 + 0.08 * side * lit)
    _glow(patch, fig, points[:, 30], 0.026, 0.022, 0.14)
    _glow(patch, fig, points[:, 33] + _down(fig, 0.022), 0.055, 0.016, -0.22)
    _glow(patch, fig, points[:, 57] + _down(fig, 0.03), 0.06, 0.018, -0.13)
    _glow(patch, fig, 0.6 * points[:, 8] + 0.4 * points[:, 57], 0.05, 0.03, 0.07)
    dark = who.skin * 0.42
    for nostril in (
        0.75 * points[:, 32] + 0.25 * points[:, 31],
        0.75 * points[:, 34] + 0.25 * points[:, 35],
    ):
        spot = ellipse(
            patch.x - col(nostril[:, 0]),
            patch.y - col(nostril[:, 1]),
            col(0.02 * h),
            col(0.011 * h),
        )
        patch.tint(patch.cover(spot) * 0.8, dark)
    wing = torch.stack(
        (points[:, 31] + _down(fig, -0.03), points[:, 31], points[:, 32], points[:, 33]), 1
    )
    other = torch.stack(
        (points[:, 35] + _down(fig, -0.03), points[:, 35], points[:, 34], points[:, 33]), 1
    )
    edge = torch.minimum(polyline(patch.x, patch.y, wing), polyline(patch.x, patch.y, other))
    patch.tint(patch.cover(edge - col(0.004 * h)) * 0.45, who.skin * 0.55)


def _down(fig: Figure, amount: float) -> Tensor:
    return fig.rotation[:, :2, 1] * (amount * fig.head)[:, None]


def _right(fig: Figure, amount: float) -> Tensor:
    return fig.rotation[:, :2, 0] * (amount * fig.head)[:, None]


def _eye(patch: Canvas, who: Identities, fig: Figure, eye: slice, gaze: Tensor) -> None:
    """White, iris with pupil and glint, lid shadow, lashes."""
    h, points = fig.head, fig.face[:, eye, :2]
    centre = points.mean(1)
    inner, where = patch_of(patch, centre, 0.36 * h)
    x, y = inner.x, inner.y
    opening = polygon(x, y, points) - col(0.004 * h)
    white = inner.cover(opening)
    inner.tint(white, torch.full_like(who.skin, 0.86) + 0.06 * who.skin)
    look = centre + _right(fig, 1.0) * gaze[:, :1] * 0.035 + _down(fig, 1.0) * gaze[:, 1:] * 0.012
    away = torch.hypot(x - col(look[:, 0]), y - col(look[:, 1]))
    inner.tint(inner.cover(away - col(0.036 * h)) * white, who.iris)
    inner.tint(inner.cover(away - col(0.016 * h)) * white, who.iris * 0.1)
    glint = look + _right(fig, -0.012) + _down(fig, -0.012)
    spark = torch.hypot(x - col(glint[:, 0]), y - col(glint[:, 1])) - col(0.008 * h)
    inner.tint(inner.cover(spark) * white * 0.9, torch.ones_like(who.skin))
    upper = points[:, :4]
    lid = polyline(x, y, upper)
    inner.darken(1 - 0.25 * torch.exp(-lid / col(0.014 * h)) * white)
    inner.tint(inner.cover(lid - col(0.0085 * h)) * 0.85, who.skin * 0.16)
    lower = polyline(x, y, points[:, (3, 4, 5, 0)])
    inner.tint(inner.cover(lower - col(0.003 * h)) * 0.45, who.skin * 0.45)
    crease = polyline(x, y, upper[:, :] + _down(fig, -0.028)[:, None])
    inner.tint(inner.cover(crease - col(0.003 * h)) * 0.4, who.skin * 0.5)
    patch.put(inner, where)


def patch_of(patch: Canvas, centre: Tensor, size: Tensor) -> tuple[Canvas, tuple]:
    """Part of a patch around a point in picture heights; the patch's own border clamps it."""
    side = int(size.max() * patch.scale) + 4
    _, _, height, width = patch.data.shape
    steps = torch.arange(side, device=centre.device)
    # the patch's columns may repeat at the picture's border: find the nearest, then stay in the patch
    left = (
        torch.searchsorted(patch.x[:, 0].contiguous(), centre[:, :1].contiguous())[:, 0] - side // 2
    )
    top = (
        torch.searchsorted(patch.y[:, :, 0].contiguous(), centre[:, 1:].contiguous())[:, 0]
        - side // 2
    )
    columns = (left[:, None] + steps).clamp_(0, width - 1)
    rows = (top[:, None] + steps).clamp_(0, height - 1)
    frame = torch.arange(len(centre), device=centre.device)[:, None, None]
    where = (slice(None), frame, rows[:, :, None], columns[:, None, :])
    x = patch.x[:, 0].gather(1, columns)[:, None, :]
    y = patch.y[:, :, 0].gather(1, rows)[:, :, None]
    return Canvas(patch.data[where], x, y, patch.scale), where


def _brows(patch: Canvas, who: Identities, fig: Figure) -> None:
    h = fig.head
    colour = who.hair * 0.75 + who.skin * 0.1
    for brow in (slice(17, 22), slice(22, 27)):
        points = fig.face[:, brow, :2]
        inner, where = patch_of(patch, points.mean(1), 0.42 * h)
        distance = polyline(inner.x, inner.y, points) - col(0.0155 * h)
        inner.tint((0.5 - distance * inner.scale * 0.45).clamp(0, 1) * 0.85, colour)
        patch.put(inner, where)


def _mouth(patch: Canvas, who: Identities, fig: Figure) -> None:
    """Lips with the upper one darker, mouth interior, teeth along the upper lip, tongue below."""
    h, points = fig.head, fig.face[:, 48:, :2]
    inner, where = patch_of(patch, points.mean(1), 0.52 * h)
    x, y = inner.x, inner.y
    outer = polygon(x, y, points[:, :12])
    hole = polygon(x, y, points[:, 12:])
    gap = (points[:, 14] - points[:, 18]).norm(dim=1) / h  # height of the opening in head heights
    lips = inner.cover(outer)
    inner.tint(lips, who.lips)
    seam = polyline(x, y, points[:, 12:17])
    lower = polyline(x, y, points[:, (12, 19, 18, 17, 16)])
    upper = (lower > seam).float()
    inner.darken(1 - 0.16 * upper * lips)
    shine = torch.exp(-((lower - col(0.022 * h)) / col(0.012 * h)).square())
    inner.darken(1 + 0.16 * shine * lips * (1 - upper))
    opened = inner.cover(hole) * col(((gap - 0.012) * 60).clamp(0, 1))
    dark = who.lips * 0.16
    inner.tint(opened, dark)
    tongue = ((lower - col(0.055 * h)) * -inner.scale * 0.3 + 0.5).clamp(0, 1)
    inner.tint(opened * tongue * col(((gap - 0.06) * 20).clamp(0, 0.55)), who.lips * 0.7)
    strip = torch.minimum(0.03 * h, 0.45 * gap * h)
    biting = polyline(x, y, points[:, 13:16])
    teeth = (0.5 - (biting - col(strip)) * inner.scale).clamp(0, 1) * inner.cover(
        hole + col(0.004 * h)
    )
    inner.tint(teeth * opened, torch.full_like(who.skin, 0.86))
    inner.tint(
        inner.cover(seam - col(0.004 * h)) * col((1 - gap * 30).clamp(0, 1)) * 0.75, who.lips * 0.35
    )
    patch.put(inner, where)


def _beard(patch: Canvas, frame: _Frame, who: Identities, fig: Figure, skin: Tensor) -> None:
    """Beard and moustache as a soft tint of the lower face."""
    if not bool((who.beard > 0).any()):
        return
    h = fig.head
    mouth = fig.face[:, 48:60, :2].mean(1)
    nose = fig.face[:, 33, :2]
    jaw = polyline(patch.x, patch.y, fig.face[:, :17, :2]) / col(h)
    below = ((frame.y - 0.10) * 6).clamp(0, 1)
    edge = torch.exp(-(jaw / 0.11).square()) * below
    chin = blob(patch.x, patch.y, fig.face[:, 8, :2] + _down(fig, -0.03), 0.16 * h, 0.085 * h)
    lip = (mouth * 0.55 + nose * 0.45) + _down(fig, -0.005)
    moustache = blob(patch.x, patch.y, lip, 0.095 * h, 0.026 * h)
    grain = 0.9 + 0.1 * torch.sin(frame.x * 160) * torch.sin(frame.y * 140)
    amount = torch.maximum(torch.maximum(edge, chin * 1.3), moustache * 1.3).clamp(0, 1) * grain
    patch.tint(amount * skin * col(0.9 * who.beard), who.hair * 0.8 + who.skin * 0.06)


def _front_hair(patch: Canvas, frame: _Frame, who: Identities, h: Tensor) -> None:
    """Cap of hair down to the hairline, with sideburns; a bun for some; bald heads keep their skin."""
    puff = 0.025 + (0.05 + 0.05 * col(who.curly)) * col(who.volume)
    skull = _skull(frame, who, puff)[0] + _curls(frame, who)
    forward_x, forward_y = col(frame.forward[:, 0]), col(frame.forward[:, 1])
    x = frame.x - 0.22 * forward_x
    y = frame.y - 0.20 * forward_y
    line = -0.315 + 0.03 * col(who.hairline) + 2.6 * x.square() + 0.16 * col(who.parting) * x
    line = line + 0.007 * torch.sin(x * 75 + 5 * col(who.parting)) + 0.005 * torch.sin(x * 171)
    sides = torch.where(col(who.hair_length) > 0, 0.45, 0.02)
    hairy = torch.maximum(y - torch.minimum(line, sides + 0 * line), skull)
    alpha = patch.cover(hairy * col(h)) * col(1 - who.bald)
    patch.paint(alpha, who.hair, _gloss(frame, who), 0.0)
    patch.place(alpha, *_comb(frame, who), HAIR)
    rim = torch.exp(-(hairy.clamp_min(0) / 0.03)) * (1 - alpha) * (skull < 0) * col(1 - who.bald)
    patch.darken(1 - 0.18 * rim)
    bun = ellipse(
        frame.x + 0.3 * forward_x, frame.y + 0.60, col(0.15 + 0.05 * who.volume), col(0.13 + 0 * h)
    )
    alpha = patch.cover(bun * col(h)) * col(who.bun * (1 - who.bald))
    patch.paint(alpha, who.hair, _gloss(frame, who), 0.0)
    patch.place(alpha, *_comb(frame, who), HAIR)


def _glasses(patch: Canvas, who: Identities, fig: Figure) -> None:
    """Rims, bridge and temples of those who wear glasses."""
    if not bool((who.glasses > 0).any()):
        return
    h, points = fig.head, fig.face[..., :2]
    on = col(who.glasses)
    dark = who.hair * 0.3 + 0.03
    flat = (fig.rotation[:, 0, 0]).clamp_min(0.5) * h
    rims = []
    for eye, ear in ((_LEFT_EYE, 16), (_RIGHT_EYE, 17)):
        centre = points[:, eye].mean(1) + _down(fig, 0.012)
        lens = ellipse(
            patch.x - col(centre[:, 0]), patch.y - col(centre[:, 1]), col(0.108 * flat), col(0.082 * h)
        )  # fmt: skip
        patch.tint(patch.cover(lens) * 0.10 * on, torch.full_like(dark, 0.9))
        rims.append(lens.abs())
        outer = points[:, 36 if ear == 16 else 45] * 0.85 + fig.body[:, ear] * 0.15
        rims.append(
            polyline(
                patch.x, patch.y, torch.stack((outer, fig.body[:, ear] + _down(fig, -0.05)), 1)
            )
        )
    middle = torch.stack(
        (points[:, 39] * 0.8 + points[:, 27] * 0.2, points[:, 42] * 0.8 + points[:, 27] * 0.2), 1
    )
    rims.append(polyline(patch.x, patch.y, middle))
    distance = rims[0]
    for other in rims[1:]:
        distance = torch.minimum(distance, other)
    patch.tint(patch.cover(distance - col(0.009 * h)) * on, dark)
