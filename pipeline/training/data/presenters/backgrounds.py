"""Backgrounds of the drawn presenters: gradients, dead leaves, noise in two octaves, a shelf."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters.rows import Draws, Rows, per_picture

_LEAVES = 14  # shapes per background
_HALF_TURN_RAD = 3.1416
# largest strengths of coarse noise, fine noise, shelf, leaf softness, blur of the whole
_LARGEST_STRENGTHS = (0.12, 0.04, 0.24, 1.0, 1.0)
_SHELF_SHARE = 0.14  # of the backgrounds show books or tiles


@dataclass(frozen=True)
class Scenery(Rows):
    """One row per background.

    A leaf is [center x, center y, half width, half height, half turns, red, green, blue,
    box if over 0.5, 1 where it exists].
    """

    colors: Tensor  # (B, 2, 3) at the top and at the bottom
    leaves: Tensor  # (B, 14, 10)
    coarse: Tensor  # (B, 3, 9, 6) noise
    fine: Tensor  # (B, 1, 72, 48) noise
    shelf: Tensor  # (B, 3, 5, 26) blocks in rows, as books or tiles
    strength: Tensor  # (B, 5) of coarse noise, fine noise, shelf, leaf softness, blur of the whole


def draw_scenery(draw: Draws) -> Scenery:
    """Draw random backgrounds, from plain studios to cluttered rooms."""
    generator = draw.generator
    count = draw.count
    leaves = draw.uniform(0, 1, _LEAVES, 10)
    leaves[:, :, 2:4] = 0.03 + 0.3 * leaves[:, :, 2:4] ** 2  # sizes near a power law
    share_of_leaves = draw.uniform()[:, None]
    leaves[:, :, 9] = (leaves[:, :, 9] < share_of_leaves).float()
    blocks = torch.randn((count, 3, 5, 26), generator=generator)
    blocks = 0.5 * blocks + blocks.mean(1, keepdim=True)
    largest = torch.tensor(_LARGEST_STRENGTHS)
    strength = draw.uniform(0, 1, 5) * largest
    noise_share = strength[:, :2] / largest[:2]
    strength[:, :2] *= noise_share  # squares the share: plain walls are common
    strength[:, 2] *= draw.chance(_SHELF_SHARE)
    top = draw.color(0.28)
    bottom = draw.color(0.28)
    return Scenery(
        colors=torch.stack((top, bottom), 1),
        leaves=leaves,
        coarse=torch.randn((count, 3, 9, 6), generator=generator),
        fine=torch.randn((count, 1, 72, 48), generator=generator),
        shelf=blocks,
        strength=strength,
    )


def paint_background(scene: Scenery, size: tuple[int, int]) -> Tensor:
    """Paint (B, 3, H, W) one picture per background at `size` (H, W); H is the unit of length."""
    height, width = size
    device = scene.colors.device
    column = torch.arange(width, device=device) + 0.5
    row = torch.arange(height, device=device) + 0.5
    x = (column / height - 0.5 * width / height)[None, None, :]
    y = (row / height)[None, :, None]
    coarse_strength, fine_strength, shelf_strength, softness, blur = scene.strength.unbind(1)

    blend = (y + 0.25 * x).clamp(0, 1)[:, None]
    top = scene.colors[:, 0, :, None, None]
    bottom = scene.colors[:, 1, :, None, None]
    picture = top + (bottom - top) * blend
    shelf = F.interpolate(scene.shelf, size, mode="nearest")
    picture = picture + per_picture(shelf_strength) * shelf
    for k in range(_LEAVES):
        _paint_leaf(picture, scene.leaves[:, k], softness, x, y, height)
    gray = scene.coarse.mean(1, keepdim=True)
    # rooms vary in brightness more than in hue
    tinted = 1.5 * gray + 0.35 * (scene.coarse - gray)
    coarse = F.interpolate(tinted, size, mode="bicubic", align_corners=False)
    fine = F.interpolate(scene.fine, size, mode="bicubic", align_corners=False)
    picture = picture + per_picture(coarse_strength) * coarse
    picture = picture + per_picture(fine_strength) * fine
    pooled = F.avg_pool2d(picture, 5, 3, 2, count_include_pad=False)
    soft = F.interpolate(pooled, size, mode="bilinear")
    return picture.lerp_(soft, per_picture(blur)).clamp_(0.02, 0.98)


def _paint_leaf(
    picture: Tensor, leaf: Tensor, softness: Tensor, x: Tensor, y: Tensor, height: int
) -> None:
    """Lay one ellipse or box per picture over it, sharp or out of focus.

    Args:
        picture: (B, 3, H, W), changed in place.
        leaf: (B, 10), see `Scenery`.
        softness: (B,) 0 for sharp edges.
        x, y: pixel centers in picture heights, (1, 1, W) and (1, H, 1).
        height: H in pixels.
    """
    values = [value[:, None, None] for value in leaf.unbind(1)]
    center_x, center_y, half_width, half_height, turns, red, green, blue, square, exists = values
    angle = _HALF_TURN_RAD * turns
    is_box = square > 0.5  # boxes stand upright: windows, shelves, door frames
    cosine = torch.where(is_box, 1.0, torch.cos(angle))
    sine = torch.where(is_box, 0.0, torch.sin(angle))
    away_x = x - (center_x - 0.5) * 0.9
    away_y = y - center_y
    u = away_x * cosine + away_y * sine
    v = away_y * cosine - away_x * sine
    ellipse = torch.hypot(u / half_width, v / half_height) - 1
    box = torch.maximum(u.abs() / half_width, v.abs() / half_height) - 1
    smaller_half = torch.minimum(half_width, half_height)
    distance = torch.where(is_box, box, ellipse) * smaller_half
    edge_width = 1 / height + 0.05 * softness[:, None, None] ** 2
    sharpness = 1 / edge_width
    coverage = (0.5 - distance * sharpness).clamp(0, 1)
    alpha = (coverage * exists)[:, None]
    color = torch.stack((red, green, blue), 1)
    gray = color.mean(1, keepdim=True)
    muted = gray + 0.3 * (color - gray)
    picture.lerp_(muted.expand_as(picture), alpha.expand_as(picture))
