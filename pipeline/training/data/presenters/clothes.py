"""Paint clothes in torso coordinates: trousers or skirt, the upper garment, jacket and neckline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import Canvas, as_map, ellipse
from pipeline.training.data.presenters.textures import BOTTOM, SKIN, TOP

# the trapezius, head heights above the shoulder line
_NECK_TOP = -0.32  # at the neck
_SHOULDER_TOP = -0.17  # at the shoulder joint
_QUARTER_TURN_RAD = 1.5708


@dataclass(frozen=True)
class TorsoAxes:
    """Maps and measures of the torso in head heights; (N, h, w) or (N, 1, 1)."""

    u: Tensor  # across, 0 in the middle, positive to the image right
    v: Tensor  # down, 0 at the shoulders
    length: Tensor  # from the shoulders to the hips
    half_shoulders: Tensor
    half_hips: Tensor
    light: Tensor  # across the torso
    head: Tensor  # picture heights per head height


def torso_axes(crop: Canvas, people: Identities, figure: Figure) -> TorsoAxes:
    """Compute the torso coordinates of the pixels of a crop."""
    h = figure.head
    middle = figure.body[:, 1]
    x = crop.x - as_map(middle[:, 0])
    y = crop.y - as_map(middle[:, 1])
    across = figure.across / h[:, None]
    down = figure.down / h[:, None]
    u = x * as_map(across[:, 0]) + y * as_map(across[:, 1])
    v = x * as_map(down[:, 0]) + y * as_map(down[:, 1])
    length = ((figure.hips - middle) * figure.down).sum(1) / h
    shoulders = (figure.body[:, 5] - figure.body[:, 2]).norm(dim=1)
    return TorsoAxes(
        u=u,
        v=v,
        length=as_map(length),
        half_shoulders=as_map(shoulders / 2 / h),
        half_hips=as_map(people.bones[:, 5] / 2 * people.girth),
        light=as_map(people.light[:, 0]),
        head=as_map(h),
    )


def paint_upper_garment(crop: Canvas, people: Identities, axes: TorsoAxes) -> None:
    """Paint shirt or jacket from the shoulders to the hem."""
    u = axes.u
    v = axes.v
    share = (v / axes.length).clamp(0, 1.2)
    edge = _half_width(share, axes)
    slope = ((u.abs() - 0.22) / (axes.half_shoulders - 0.22)).clamp(0, 1.4)
    rise = _SHOULDER_TOP - _NECK_TOP
    top = _NECK_TOP + rise * slope * (1.3 - 0.3 * slope)
    inside_hem = torch.maximum(u.abs() - edge, v - axes.length * 1.07)
    distance = torch.maximum(inside_hem, top - v) * axes.head
    alpha = crop.cover(distance)
    shade = _torso_shade(u / edge, share, axes.light)
    crop.paint(alpha, people.top, shade, 1.0)
    texture_u = u * (0.8 / axes.half_shoulders) + 0.8
    texture_v = v * (2.2 / axes.length) + 0.4
    crop.set_texture(alpha, texture_u, texture_v, TOP)
    _paint_jacket(crop, people, axes, alpha, shade)
    _paint_neckline(crop, people, axes, alpha)


def _half_width(share: Tensor, axes: TorsoAxes) -> Tensor:
    """Return the half width of the torso, head heights, from 0 (shoulders) to 1 (hips)."""
    chest = axes.half_shoulders * 0.90 + 0.05
    waist = axes.half_hips * 0.5 + chest * 0.42 + 0.02
    above_hem = (share * 1.55).clamp(0, 1)
    to_waist = torch.sin(_QUARTER_TURN_RAD * above_hem).square()
    belly = chest + (waist - chest) * to_waist
    hem = axes.half_hips + 0.28
    to_hem = ((share - 0.60) / 0.40).clamp(0, 1).square()
    return belly + (hem - waist) * to_hem


def _torso_shade(across: Tensor, share: Tensor, light: Tensor) -> Tensor:
    """Return the brightness of the upper garment with bust and folds.

    The dark edge fades out towards the shoulder, where the sleeve goes on in the same cloth.
    """
    across = across.clamp(-1, 1)
    below_shoulder = (share * 3).clamp(0, 1)
    shade = 1.05 - 0.22 * across**4 * below_shoulder
    shade = shade - 0.07 * share
    shade = shade + 0.15 * across * light
    bust_x = ((across.abs() - 0.42) * 5).square()
    bust_y = ((share - 0.36) * 6).square()
    bust = torch.exp(-bust_x - bust_y)
    shade = shade - 0.06 * bust
    folds = 0.05 * torch.sin(across * 9 + 4 * share)
    near_hem = ((share - 0.6) * 2).clamp(0, 1)
    return shade - folds * near_hem


def paint_lower_garment(crop: Canvas, people: Identities, axes: TorsoAxes) -> None:
    """Paint the pelvis in trousers, or a flared skirt."""
    u = axes.u
    v = axes.v - axes.length  # counts from the hips
    skirt = as_map(people.skirt)
    is_skirt = skirt > 0
    bottom = torch.where(is_skirt, skirt, 0.36)
    below = v.clamp_min(0)
    flare = torch.where(is_skirt, 0.16 * below, -0.04 * below)
    flare = flare - 0.15 * (-v).clamp_min(0)
    edge = axes.half_hips + 0.26 + flare
    outside_y = torch.maximum(v - bottom, -0.04 - v)
    distance = torch.maximum(u.abs() - edge, outside_y) * as_map(people.head)
    alpha = crop.cover(distance)
    across = (u / edge).clamp(-1, 1)
    waves = 0.06 * torch.sin(across * 14)
    folds = torch.where(is_skirt, waves * v.clamp(0, 1), 0.0)
    shade = 1.0 - 0.22 * across**4
    shade = shade + 0.1 * across * axes.light
    crop.paint(alpha, people.bottom, shade + folds, 0.3)
    crop.set_texture(alpha, u + 0.8, v, BOTTOM)


def _paint_jacket(
    crop: Canvas, people: Identities, axes: TorsoAxes, alpha: Tensor, shade: Tensor
) -> None:
    """Paint the shirt in the gap of an open jacket, the seam and the lapels."""
    u = axes.u
    v = axes.v
    wears_jacket = as_map(people.jacket)
    widening = 0.22 * v.clamp_min(0) * as_map(people.neckline - 0.3)
    half_gap = 0.05 + (0.16 + widening).clamp(0.02, 0.6)
    away = u.abs() - half_gap
    shirt = crop.cover(away * axes.head) * alpha * wears_jacket
    crop.paint(shirt, people.inner, shade * 0.95, 0.25)
    crop.set_texture(shirt, u + 0.8, v + 0.4, BOTTOM)
    line = 1 - (away.abs() * 30).clamp(0, 1)
    seam = line * alpha * wears_jacket * 0.35
    from_lapel = away - 0.08 - 0.1 * (0.7 - v)
    line = (0.16 - from_lapel.abs() * 14).clamp(0, 1)
    lapel = line * (v < 0.7) * alpha * wears_jacket
    crop.darken(1 - seam - lapel)


def _paint_neckline(crop: Canvas, people: Identities, axes: TorsoAxes, alpha: Tensor) -> None:
    """Paint the skin in the neckline, round or pointed, and its dark rim."""
    u = axes.u
    v = axes.v
    depth = 0.02 + 0.4 * people.neckline
    is_pointed = as_map(people.collar)
    bowl = ellipse(u, v + 0.16, torch.full_like(is_pointed, 0.30), as_map(0.12 + depth))
    half_wedge = 0.30 - 0.5 * (v + 0.15)
    wedge = torch.maximum(u.abs() - half_wedge, -0.4 - v)
    distance = torch.where(is_pointed > 0, wedge * 0.9, bowl)
    above_chest = crop.cover((v - 0.6) * axes.head)
    skin = crop.cover(distance * axes.head) * above_chest * alpha
    rim = torch.exp(-(distance / 0.02).square()) * alpha * 0.22
    shade = 0.95 - 0.08 * v.clamp(-0.3, 0.5)
    crop.paint(skin, people.skin, shade, 0.0)
    crop.set_texture(skin, u + 0.8, v + 0.6, SKIN)
    crop.darken(1 - rim)
