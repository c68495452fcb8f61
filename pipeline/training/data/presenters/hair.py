"""Paint hair: behind the neck, on the head, beard and brows."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.head_axes import HeadAxes, down, head_axes, skull
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import (
    Canvas,
    as_map,
    blob,
    ellipse,
    polyline,
)
from pipeline.training.data.presenters.textures import HAIR

_BROWS = (slice(17, 22), slice(22, 27))  # face points


def paint_back_hair(canvas: Canvas, people: Identities, figure: Figure) -> None:
    """Paint long hair, behind the neck and in front of the shoulders."""
    if not bool((people.hair_length > 0).any()):
        return
    length = 0.12 + 0.52 * people.hair_length  # head heights below the middle of the head
    tip = figure.center + down(figure, 1.0) * length[:, None]
    crop = canvas.around(0.75 * figure.head, figure.center, tip)
    if crop is None:
        return
    axes = head_axes(crop, figure)
    volume = as_map(people.volume)
    bottom = 0.12 + 0.52 * as_map(people.hair_length)
    x = axes.x + 0.08 * axes.forward_x
    y = axes.y + 0.1
    share = y / bottom
    half_width = 0.40 + 0.08 * volume
    half_width = half_width + 0.07 * share.clamp(0, 1)
    half_width = half_width - 0.10 * (share - 0.75).clamp(0, 1)
    curls = _curls(axes, people)
    ragged = 0.010 * torch.sin(x * 40) + 0.008 * torch.sin(x * 93)
    ragged = ragged + 0.08 * x.abs() - curls
    outside_x = x.abs() - half_width + curls
    outside_y = torch.maximum(y - bottom + ragged, -0.05 - y)
    falling = torch.maximum(outside_x, outside_y)
    on_head = skull(axes, people, 0.05 + 0.08 * volume) + curls
    distance = torch.minimum(falling, on_head)
    is_long = as_map((people.hair_length > 0).float())
    alpha = crop.cover(distance * as_map(figure.head)) * is_long
    crop.paint(alpha, people.hair, _gloss(axes, people) * 0.86, 0.0)
    crop.set_texture(alpha, x * 1.1 + 0.8, y * 0.55 + 0.3, HAIR)


def paint_front_hair(patch: Canvas, axes: HeadAxes, people: Identities, h: Tensor) -> None:
    """Paint the hair down to the hairline, with sideburns; bald heads keep their skin.

    `h` (N,) is the head height.
    """
    volume = as_map(people.volume)
    puff = 0.025 + (0.05 + 0.05 * as_map(people.curly)) * volume
    on_head = skull(axes, people, puff) + _curls(axes, people)
    y = axes.y - 0.20 * axes.forward_y
    hairline = _hairline(axes, people)
    sideburns = torch.where(as_map(people.hair_length) > 0, 0.45, 0.02)
    lower_end = torch.minimum(hairline, sideburns + torch.zeros_like(hairline))
    distance = torch.maximum(y - lower_end, on_head)
    has_hair = as_map(1 - people.bald)
    alpha = patch.cover(distance * as_map(h)) * has_hair
    patch.paint(alpha, people.hair, _gloss(axes, people), 0.0)
    patch.set_texture(alpha, *_combed(axes, people), HAIR)
    shadow = torch.exp(-(distance.clamp_min(0) / 0.03))
    rim = shadow * (1 - alpha) * (on_head < 0) * has_hair
    patch.darken(1 - 0.18 * rim)
    _paint_bun(patch, axes, people, h)


def _hairline(axes: HeadAxes, people: Identities) -> Tensor:
    """Return the y of the hairline above every pixel, head heights; lower at the sides."""
    parting = as_map(people.parting)
    x = axes.x - 0.22 * axes.forward_x
    line = -0.315 + 0.03 * as_map(people.hairline)
    line = line + 2.6 * x.square()
    line = line + 0.16 * parting * x
    line = line + 0.007 * torch.sin(x * 75 + 5 * parting)
    return line + 0.005 * torch.sin(x * 171)


def _paint_bun(patch: Canvas, axes: HeadAxes, people: Identities, h: Tensor) -> None:
    """Paint a bun on the heads that have one."""
    x = axes.x + 0.3 * axes.forward_x
    rx = as_map(0.15 + 0.05 * people.volume)
    ry = as_map(torch.full_like(h, 0.13))
    bun = ellipse(x, axes.y + 0.60, rx, ry)
    has_bun = as_map(people.bun * (1 - people.bald))
    alpha = patch.cover(bun * as_map(h)) * has_bun
    patch.paint(alpha, people.hair, _gloss(axes, people), 0.0)
    patch.set_texture(alpha, *_combed(axes, people), HAIR)


def paint_beard(
    patch: Canvas, axes: HeadAxes, people: Identities, figure: Figure, skin: Tensor
) -> None:
    """Paint beard and mustache as a soft tint of the lower face; `skin` covers the face."""
    if not bool((people.beard > 0).any()):
        return
    h = figure.head
    jaw = polyline(patch, figure.face[:, :17, :2]) / as_map(h)
    below_eyes = ((axes.y - 0.10) * 6).clamp(0, 1)
    edge = torch.exp(-(jaw / 0.11).square()) * below_eyes
    chin_center = figure.face[:, 8, :2] + down(figure, -0.03)
    chin = blob(patch, chin_center, 0.16 * h, 0.085 * h)
    mouth = figure.face[:, 48:60, :2].mean(1)
    nose = figure.face[:, 33, :2]
    upper_lip = (mouth * 0.55 + nose * 0.45) + down(figure, -0.005)
    mustache = blob(patch, upper_lip, 0.095 * h, 0.026 * h)
    grain = 0.9 + 0.1 * torch.sin(axes.x * 160) * torch.sin(axes.y * 140)
    amount = torch.maximum(edge, chin * 1.3)
    amount = torch.maximum(amount, mustache * 1.3).clamp(0, 1)
    alpha = amount * grain * skin * as_map(0.9 * people.beard)
    patch.tint(alpha, people.hair * 0.8 + people.skin * 0.06)


def paint_brows(patch: Canvas, people: Identities, figure: Figure) -> None:
    """Paint both eyebrows as soft strokes."""
    h = figure.head
    color = people.hair * 0.75 + people.skin * 0.1
    for brow in _BROWS:
        points = figure.face[:, brow, :2]
        part, index = patch.patch_of_patch(points.mean(1), 0.42 * h)
        distance = polyline(part, points) - as_map(0.0155 * h)
        soft = (0.5 - distance * part.scale * 0.45).clamp(0, 1)
        part.tint(soft * 0.85, color)
        patch.put(part, index)


def _curls(axes: HeadAxes, people: Identities) -> Tensor:
    """Return the waviness (N, h, w) of the outline of curly hair, head heights."""
    waves = torch.sin(axes.x * 31 + 3 * axes.y) + torch.sin(axes.y * 37 - 2 * axes.x)
    ripples = 0.004 * torch.sin(axes.x * 71) * torch.sin(axes.y * 63)
    return waves * as_map(0.012 * people.curly) + ripples


def _gloss(axes: HeadAxes, people: Identities) -> Tensor:
    """Return the brightness of hair: a band of light on the crown, darker below."""
    light = as_map(people.light[:, 0])
    x = axes.x - 0.1 * light
    band = torch.exp(-((axes.y + 0.30 + 0.6 * x * x) * 7).square())
    towards_light = 1 + 0.8 * axes.x * light
    gloss = 0.86 + 0.34 * band * towards_light
    return gloss - 0.16 * (axes.y - 0.2).clamp(0, 1)


def _combed(axes: HeadAxes, people: Identities) -> tuple[Tensor, Tensor]:
    """Return texture coordinates: around the parting and along the strands, turning with the
    head."""
    x = axes.x - 0.12 * as_map(people.parting) - 0.22 * axes.forward_x
    y = axes.y + 0.67 - 0.2 * axes.forward_y
    around = torch.atan2(x, y) * 0.9 + 0.8
    along = torch.hypot(x, y) * 0.8
    return around, along
