"""Paint what is on a face, from its 68 points: light and shadow, nose, eyes, mouth, glasses."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.head_axes import brighten, down, right
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import (
    Canvas,
    as_map,
    distance_to,
    ellipse_around,
    polygon,
    polyline,
    smallest,
)

EYES = (slice(36, 42), slice(42, 48))  # face points, image left first
_BROWS = (slice(17, 22), slice(22, 27))
_SIDES = (-1.0, 1.0)  # image left, image right
_CHEEKS = ((48, 2, 31, -1.0), (54, 14, 35, 1.0))  # mouth corner, jaw, nostril, side
_NOSTRILS = ((32, 31), (34, 35))  # inner and outer point
_TEETH_COLOR = 0.86


def shade_face(patch: Canvas, people: Identities, figure: Figure) -> None:
    """Paint eye sockets, cheeks, nose and chin as soft light and shadow."""
    points = figure.face[..., :2]
    light = as_map(people.light[:, 0])
    for eye, brow in zip(EYES, _BROWS, strict=True):
        eye_center = points[:, eye].mean(1)
        socket = 0.6 * eye_center + 0.4 * points[:, brow].mean(1)
        brighten(patch, figure, socket, (0.085, 0.038), -0.17)
        brighten(patch, figure, eye_center + down(figure, 0.055), (0.07, 0.018), -0.07)
    for corner, jaw, nostril, side in _CHEEKS:
        cheek = (points[:, corner] + points[:, jaw] + points[:, 30]) / 3
        brighten(patch, figure, cheek, (0.075, 0.06), 0.07 + 0.03 * light * side)
        fold = 0.5 * points[:, corner] + 0.5 * points[:, nostril]
        fold = fold + right(figure, 0.03 * side)
        brighten(patch, figure, fold, (0.018, 0.05), -0.09)
    bridge = points[:, 28:31].mean(1)
    tip = points[:, 30]
    below_nose = points[:, 33] + down(figure, 0.022)
    below_lips = points[:, 57] + down(figure, 0.03)
    chin = 0.6 * points[:, 8] + 0.4 * points[:, 57]
    brighten(patch, figure, bridge, (0.022, 0.085), 0.12)
    for side in _SIDES:
        flank = bridge + right(figure, 0.052 * side)
        brighten(patch, figure, flank, (0.02, 0.09), -0.10 + 0.08 * side * light)
    brighten(patch, figure, tip, (0.026, 0.022), 0.14)
    brighten(patch, figure, below_nose, (0.055, 0.016), -0.22)
    brighten(patch, figure, below_lips, (0.06, 0.018), -0.13)
    brighten(patch, figure, chin, (0.05, 0.03), 0.07)


def paint_nose(patch: Canvas, people: Identities, figure: Figure) -> None:
    """Paint nostrils and the edges of the nose's wings."""
    h = figure.head
    points = figure.face[..., :2]
    for inner, outer in _NOSTRILS:
        center = 0.75 * points[:, inner] + 0.25 * points[:, outer]
        spot = ellipse_around(patch, center, 0.02 * h, 0.011 * h)
        patch.tint(patch.cover(spot) * 0.8, people.skin * 0.42)
    edges = []
    for inner, outer in _NOSTRILS:
        top = points[:, outer] + down(figure, -0.03)
        wing = torch.stack((top, points[:, outer], points[:, inner], points[:, 33]), 1)
        edges.append(polyline(patch, wing))
    edge = smallest(edges) - as_map(0.004 * h)
    patch.tint(patch.cover(edge) * 0.45, people.skin * 0.55)


def paint_eye(patch: Canvas, people: Identities, figure: Figure, eye: slice, gaze: Tensor) -> None:
    """Paint white, iris with pupil and glint, lid shadow and lashes of one eye."""
    h = figure.head
    skin = people.skin
    points = figure.face[:, eye, :2]
    center = points.mean(1)
    part, index = patch.patch_of_patch(center, 0.36 * h)
    opening = polygon(part, points) - as_map(0.004 * h)
    white = part.cover(opening)
    part.tint(white, torch.full_like(skin, 0.86) + 0.06 * skin)

    look_x = right(figure, 1.0) * gaze[:, :1] * 0.035
    look_y = down(figure, 1.0) * gaze[:, 1:] * 0.012
    look = center + look_x + look_y
    from_pupil = distance_to(part, look)
    iris = part.cover(from_pupil - as_map(0.036 * h))
    part.tint(iris * white, people.iris)
    pupil = part.cover(from_pupil - as_map(0.016 * h))
    part.tint(pupil * white, people.iris * 0.1)
    glint = look + right(figure, -0.012) + down(figure, -0.012)
    spark = distance_to(part, glint) - as_map(0.008 * h)
    part.tint(part.cover(spark) * white * 0.9, torch.ones_like(skin))

    upper = points[:, :4]
    lid = polyline(part, upper)
    lid_shadow = torch.exp(-lid / as_map(0.014 * h))
    part.darken(1 - 0.25 * lid_shadow * white)
    lashes = part.cover(lid - as_map(0.0085 * h))
    part.tint(lashes * 0.85, skin * 0.16)
    lower = polyline(part, points[:, (3, 4, 5, 0)])
    part.tint(part.cover(lower - as_map(0.003 * h)) * 0.45, skin * 0.45)
    crease = polyline(part, upper + down(figure, -0.028)[:, None])
    part.tint(part.cover(crease - as_map(0.003 * h)) * 0.4, skin * 0.5)
    patch.put(part, index)


def paint_mouth(patch: Canvas, people: Identities, figure: Figure) -> None:
    """Paint lips with the upper one darker, mouth interior, teeth and tongue."""
    h = figure.head
    points = figure.face[:, 48:, :2]
    part, index = patch.patch_of_patch(points.mean(1), 0.52 * h)
    outline = polygon(part, points[:, :12])
    interior = polygon(part, points[:, 12:])
    gap = (points[:, 14] - points[:, 18]).norm(dim=1) / h  # height of the opening, head heights
    lips = part.cover(outline)
    part.tint(lips, people.lips)

    seam = polyline(part, points[:, 12:17])
    lower = polyline(part, points[:, (12, 19, 18, 17, 16)])
    is_upper = (lower > seam).float()
    part.darken(1 - 0.16 * is_upper * lips)
    from_shine = (lower - as_map(0.022 * h)) / as_map(0.012 * h)
    shine = torch.exp(-from_shine.square())
    part.darken(1 + 0.16 * shine * lips * (1 - is_upper))

    is_open = ((gap - 0.012) * 60).clamp(0, 1)
    opening = part.cover(interior) * as_map(is_open)
    part.tint(opening, people.lips * 0.16)
    tongue = ((lower - as_map(0.055 * h)) * -part.scale * 0.3 + 0.5).clamp(0, 1)
    is_wide = ((gap - 0.06) * 20).clamp(0, 0.55)
    part.tint(opening * tongue * as_map(is_wide), people.lips * 0.7)
    teeth_height = torch.minimum(0.03 * h, 0.45 * gap * h)
    from_upper_lip = polyline(part, points[:, 13:16])
    teeth = (0.5 - (from_upper_lip - as_map(teeth_height)) * part.scale).clamp(0, 1)
    teeth = teeth * part.cover(interior + as_map(0.004 * h))
    part.tint(teeth * opening, torch.full_like(people.skin, _TEETH_COLOR))
    is_shut = as_map((1 - gap * 30).clamp(0, 1))
    line = part.cover(seam - as_map(0.004 * h))
    part.tint(line * is_shut * 0.75, people.lips * 0.35)
    patch.put(part, index)


def paint_glasses(patch: Canvas, people: Identities, figure: Figure) -> None:
    """Paint rims, bridge and temples of those who wear glasses."""
    if not bool((people.glasses > 0).any()):
        return
    h = figure.head
    points = figure.face[..., :2]
    wears_glasses = as_map(people.glasses)
    color = people.hair * 0.3 + 0.03
    turned_h = figure.rotation[:, 0, 0].clamp_min(0.5) * h  # lenses of turned heads are narrow
    edges = []
    for eye, outer_corner, ear in ((EYES[0], 36, 16), (EYES[1], 45, 17)):
        center = points[:, eye].mean(1) + down(figure, 0.012)
        lens = ellipse_around(patch, center, 0.108 * turned_h, 0.082 * h)
        patch.tint(patch.cover(lens) * 0.10 * wears_glasses, torch.full_like(color, 0.9))
        edges.append(lens.abs())
        hinge = points[:, outer_corner] * 0.85 + figure.body[:, ear] * 0.15
        over_ear = figure.body[:, ear] + down(figure, -0.05)
        edges.append(polyline(patch, torch.stack((hinge, over_ear), 1)))
    left = points[:, 39] * 0.8 + points[:, 27] * 0.2
    right_end = points[:, 42] * 0.8 + points[:, 27] * 0.2
    edges.append(polyline(patch, torch.stack((left, right_end), 1)))
    distance = smallest(edges) - as_map(0.009 * h)
    patch.tint(patch.cover(distance) * wears_glasses, color)
