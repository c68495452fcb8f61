"""Backgrounds and fine texture of the drawn presenters: gradients, dead leaves, noise in several octaves."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from pipeline.training.person import Draws

_LEAVES = 9  # shapes per background
_TILE = 48  # texels of the cloth texture per side


@dataclass(frozen=True)
class Scenery:
    """One row per background: colours (B, 2, 3), leaves (B, 9, 10), two octaves of noise."""

    colours: Tensor
    leaves: Tensor
    coarse: Tensor
    fine: Tensor
    texture: Tensor  # (B, 3, 48, 48), mean 0, cloth and skin grain
    strength: Tensor  # (B, 4) of coarse, fine, cloth texture, leaf softness

    def __getitem__(self, rows) -> Scenery:
        return Scenery(*(getattr(self, f.name)[rows] for f in fields(self)))

    def to(self, device: torch.device | str) -> Scenery:
        return Scenery(*(getattr(self, f.name).to(device) for f in fields(self)))


def scenery(draw: Draws) -> Scenery:
    """Random backgrounds of one generator: studio-plain to cluttered."""
    generator, count = draw.generator, draw.count
    leaves = draw.uniform(0, 1, _LEAVES, 10)
    leaves[:, :, 2:4] = 0.03 + 0.3 * leaves[:, :, 2:4] ** 2  # power-law-like sizes
    busy = draw.uniform()[:, None]
    leaves[:, :, 9] = (leaves[:, :, 9] < busy).float()  # how many of them are there
    noise = torch.randn((count, 3, _TILE, _TILE), generator=generator)
    half = F.interpolate(
        torch.randn((count, 3, 12, 12), generator=generator), (_TILE, _TILE), mode="bilinear"
    )
    grain = 0.35 * noise.mean(1, keepdim=True) + 0.5 * half.mean(1, keepdim=True) + 0.12 * half
    strength = draw.uniform(0, 1, 4) * torch.tensor((0.10, 0.03, 0.16, 1.0))
    return Scenery(
        torch.stack((draw.colour(0.35), draw.colour(0.35)), 1), leaves,
        torch.randn((count, 3, 9, 6), generator=generator),
        torch.randn((count, 1, 72, 48), generator=generator),
        grain, strength,
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
    for k in range(_LEAVES):
        _leaf(picture, scene.leaves[:, k], scene.strength[:, 3], x, y, height)
    tone = scene.coarse.mean(1, keepdim=True)
    tinted = 1.5 * tone + 0.35 * (scene.coarse - tone)  # rooms vary in brightness more than in hue
    coarse = F.interpolate(tinted, size, mode="bicubic", align_corners=False)
    fine = F.interpolate(scene.fine, size, mode="bicubic", align_corners=False)
    picture = picture + scene.strength[:, 0, None, None, None] * coarse
    return (picture + scene.strength[:, 1, None, None, None] * fine).clamp_(0.02, 0.98)


def _leaf(picture: Tensor, leaf: Tensor, softness: Tensor, x: Tensor, y: Tensor, height: int) -> None:
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
