"""Textures of the drawn presenters: an atlas per person, laid on in the coordinates of the body's parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from pipeline.training.data.presenters.identity import Draws

TILE = 96  # texels of a side
COVER = 1.6  # head heights that a tile covers; beyond them comes its mirror image
SKIN, TOP, BOTTOM, HAIR = range(4)  # rows of the atlas
MATERIALS = 4
_LEAVES = 40
_FAR_HEAD = (
    0.16  # picture heights: smaller heads get a smoother atlas, or it would glitter in motion
)


def atlas(draw: Draws, head: Tensor, curly: Tensor) -> Tensor:
    """(B, 3, 4 x 96, 96) relative brightness per channel, about 0, of skin, top, bottom and hair."""
    tiles = [_skin(draw), _cloth(draw), _cloth(draw), _hair(draw, curly)]
    tiles = torch.stack(tiles, 2).flatten(0, 2)[
        :, None
    ]  # each alone, so that nothing bleeds over borders
    smooth = F.avg_pool2d(F.pad(tiles, (1, 1, 1, 1), mode="replicate"), 3, 1)
    far = (head < _FAR_HEAD).repeat_interleave(3 * MATERIALS)[:, None, None, None]
    return torch.where(far, smooth, tiles).view(len(head), 3, MATERIALS * TILE, TILE)


def lookup(rows: Tensor, u: Tensor, v: Tensor, material: Tensor) -> Tensor:
    """(N, 3, h, w) of B atlases, N = B T frames, at part coordinates u, v (N, h, w) in head heights."""
    margin, (count, height, width) = 0.5 / TILE, u.shape
    x, y = (
        (1 - (torch.remainder(c * (1 / COVER), 2) - 1).abs()).clamp_(margin, 1 - margin)
        for c in (u, v)
    )
    grid = torch.stack((2 * x - 1, (2 / MATERIALS) * (y + material) - 1), -1)
    found = F.grid_sample(
        rows, grid.view(len(rows), -1, width, 2), mode="bilinear", align_corners=False
    )
    return (
        found.view(len(rows), 3, -1, height, width).transpose(1, 2).reshape(count, 3, height, width)
    )


def octave(draw: Draws, rows: int, columns: int, channels: int = 1) -> Tensor:
    """(B, channels, 96, 96) smooth noise of unit strength with that many cells."""
    coarse = torch.randn((draw.count, channels, rows, columns), generator=draw.generator)
    if (rows, columns) == (TILE, TILE):
        return coarse
    return F.interpolate(coarse, (TILE, TILE), mode="bicubic", align_corners=False)


def leaves(draw: Draws, count: int = _LEAVES) -> Tensor:
    """(B, 3, 96, 96) dead leaves: discs of power-law sizes over each other, colours of unit strength."""
    axis = (torch.arange(TILE) + 0.5) / TILE
    out = octave(draw, 3, 3, 3)
    place, size = draw.uniform(0, 1, count, 2), 0.03 + 0.25 * draw.uniform(0, 1, count) ** 3
    colour = 0.4 * torch.randn((draw.count, count, 3), generator=draw.generator)
    colour = colour + torch.randn((draw.count, count, 1), generator=draw.generator)
    squeeze = draw.uniform(0.6, 1.6, count)
    for k in range(count):
        x = (axis - place[:, k, :1]).abs()[:, None, :] * squeeze[:, k, None, None]
        y = (axis - place[:, k, 1:]).abs()[:, :, None]
        inside = (x * x + y * y < size[:, k, None, None] ** 2)[:, None]
        out = torch.where(inside, colour[:, k, :, None, None], out)
    return out


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _skin(draw: Draws) -> Tensor:
    """Pores, blotches that are redder than the rest, freckles for some."""
    red = torch.tensor((-0.3, 1.0, 0.9))[:, None, None]
    pores = 0.022 * octave(draw, TILE, TILE) + 0.016 * octave(draw, 40, 40)
    blotches = 0.018 * octave(draw, 11, 11) * red + 0.03 * octave(draw, 5, 5)
    freckles = -0.10 * ((octave(draw, 44, 44) - 1.4) * 3).clamp(0, 1) * _each(draw.chance(0.15))
    return (pores + blotches) * _each(draw.uniform(0.4, 1.5)) + freckles * red.clamp_min(0.5)


def _cloth(draw: Draws) -> Tensor:
    """Folds, grain, a weave or knit for some, a print of dead leaves or clouds for others."""
    creases = torch.exp(-(octave(draw, 3, 5) * 2.5).square())
    folds = 0.03 + 0.08 * octave(draw, 4, 7) + 0.05 * octave(draw, 11, 6) - 0.10 * creases
    grain = 0.05 * octave(draw, TILE, TILE) + 0.045 * octave(draw, 38, 38)
    axis = torch.arange(TILE) * (6.2832 / TILE)
    across, along = torch.sin(axis * draw.uniform(14, 36, 2, 1)).unbind(1)
    weave = across[:, None] * along[:, :, None]
    weave = 0.16 * weave[:, None] * _each(draw.uniform() * draw.chance(0.3))
    printed = 0.45 * leaves(draw) * _each(draw.uniform(0.3, 1.0) * draw.chance(0.2))
    cloudy = 0.12 * octave(draw, 12, 12, 3) * _each(draw.uniform() * draw.chance(0.4))
    cloth = folds * _each(draw.uniform(0.5, 1.8)) + grain * _each(draw.uniform(0.3, 1.6))
    return (cloth + weave + printed + cloudy).clamp(-0.8, 1.2)


def _hair(draw: Draws, curly: Tensor) -> Tensor:
    """Strands along v, in locks; rounder locks for curly hair."""
    strands = 0.18 * octave(draw, 7, 86) + 0.20 * octave(draw, 4, 32) + 0.14 * octave(draw, 3, 11)
    curls = 0.24 * octave(draw, 26, 28) + 0.16 * octave(draw, 54, 54) + 0.1 * octave(draw, 9, 9)
    hair = torch.where(_each(curly) > 0, curls, strands) + 0.04 * octave(draw, TILE, TILE)
    return hair.repeat(1, 3, 1, 1)
