"""Backgrounds and fine texture of the drawn presenters: gradients, dead leaves, noise in several octaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters.rows import Rows

if TYPE_CHECKING:
    from pipeline.training.data.presenters.identity import Draws

_LEAVES = 14  # shapes per background


@dataclass(frozen=True)
class Scenery(Rows):
    """One row per background: colours (B, 2, 3), leaves (B, 14, 10), two octaves of noise, a shelf."""

    colours: Tensor
    leaves: Tensor
    coarse: Tensor
    fine: Tensor
    shelf: Tensor  # (B, 3, 5, 26) blocks in rows, as books or tiles
    strength: Tensor  # (B, 5) of coarse, fine, shelf, leaf softness, blur of the whole


def scenery(draw: Draws) -> Scenery:
    """Random backgrounds of one generator: studio-plain to cluttered."""
    generator, count = draw.generator, draw.count
    leaves = draw.uniform(0, 1, _LEAVES, 10)
    leaves[:, :, 2:4] = 0.03 + 0.3 * leaves[:, :, 2:4] ** 2  # power-law-like sizes
    busy = draw.uniform()[:, None]
    leaves[:, :, 9] = (leaves[:, :, 9] < busy).float()  # how many of them are there
    blocks = torch.randn((count, 3, 5, 26), generator=generator)
    blocks = 0.5 * blocks + blocks.mean(1, keepdim=True)
    strength = draw.uniform(0, 1, 5) * torch.tensor((0.12, 0.04, 0.24, 1.0, 1.0))
    strength[:, :2] *= strength[:, :2] / strength.new_tensor((0.12, 0.04))  # plain walls are common
    strength[:, 2] *= draw.chance(0.14)
    return Scenery(
        torch.stack((draw.colour(0.28), draw.colour(0.28)), 1), leaves,
        torch.randn((count, 3, 9, 6), generator=generator),
        torch.randn((count, 1, 72, 48), generator=generator),
        blocks, strength,
    )  # fmt: skip


def background(scene: Scenery, size: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) picture of each background, the same at every frame; H is the unit of length."""
    height, width = size
    device = scene.colours.device
    x = ((torch.arange(width, device=device) + 0.5) / height - 0.5 * width / height)[None, None, :]
    y = ((torch.arange(height, device=device) + 0.5) / height)[None, :, None]
    blend = (y + 0.25 * x).clamp(0, 1)[:, None]
    first, second = scene.colours[:, 0, :, None, None], scene.colours[:, 1, :, None, None]
    picture = first + (second - first) * blend
    shelf = F.interpolate(scene.shelf, size, mode="nearest")
    picture = picture + scene.strength[:, 2, None, None, None] * shelf
    for k in range(_LEAVES):
        _leaf(picture, scene.leaves[:, k], scene.strength[:, 3], x, y, height)
    tone = scene.coarse.mean(1, keepdim=True)
    tinted = 1.5 * tone + 0.35 * (scene.coarse - tone)  # rooms vary in brightness more than in hue
    coarse = F.interpolate(tinted, size, mode="bicubic", align_corners=False)
    fine = F.interpolate(scene.fine, size, mode="bicubic", align_corners=False)
    picture = picture + scene.strength[:, 0, None, None, None] * coarse
    picture = picture + scene.strength[:, 1, None, None, None] * fine
    soft = F.interpolate(
        F.avg_pool2d(picture, 5, 3, 2, count_include_pad=False), size, mode="bilinear"
    )
    return picture.lerp_(soft, scene.strength[:, 4, None, None, None]).clamp_(0.02, 0.98)


def _leaf(
    picture: Tensor, leaf: Tensor, softness: Tensor, x: Tensor, y: Tensor, height: int
) -> None:
    """Lays one ellipse or box per picture over it, sharp or out of focus."""
    values = [v[:, None, None] for v in leaf.unbind(1)]
    cx, cy, rx, ry, angle, red, green, blue, square, there = values
    cosine, sine = torch.cos(3.1416 * angle), torch.sin(3.1416 * angle)
    upright = square > 0.5  # boxes stand upright: windows, shelves, door frames
    cosine, sine = torch.where(upright, 1.0, cosine), torch.where(upright, 0.0, sine)
    px, py = x - (cx - 0.5) * 0.9, y - cy
    u, v = px * cosine + py * sine, py * cosine - px * sine
    round_ = torch.hypot(u / rx, v / ry) - 1
    box = torch.maximum(u.abs() / rx, v.abs() / ry) - 1
    distance = torch.where(upright, box, round_) * torch.minimum(rx, ry)
    blur = 1 / (1 / height + 0.05 * softness[:, None, None] ** 2)
    alpha = ((0.5 - distance * blur).clamp(0, 1) * there)[:, None]
    colour = torch.stack((red, green, blue), 1)
    mean = colour.mean(1, keepdim=True)
    picture.lerp_((mean + 0.3 * (colour - mean)).expand_as(picture), alpha.expand_as(picture))
