"""Textures of the drawn presenters: one atlas per person, laid on in body-part coordinates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters.rows import FULL_TURN_RAD, Draws, per_picture

TILE_TEXELS = 96  # a side of the square tile of one material
TILE_HEAD_HEIGHTS = 1.6  # a tile covers that much; beyond it comes its mirror image
SKIN, TOP, BOTTOM, HAIR = range(4)  # rows of the atlas
MATERIALS = 4
_LEAVES = 40
# picture heights: smaller heads get a smoother atlas, because a sharp one glitters in motion
_SMALL_HEAD_PICTURE_HEIGHTS = 0.16


def draw_atlas(draw: Draws, head: Tensor, curly: Tensor) -> Tensor:
    """Draw (B, 3, 4 x 96, 96) relative brightness per channel, about 0.

    The four tiles of a person lie below each other: skin, top, bottom, hair. `head` (B,) is the
    head height in picture heights, `curly` (B,) is 1 for curly hair.
    """
    materials = [_skin(draw), _cloth(draw), _cloth(draw), _hair(draw, curly)]
    # every tile is filtered alone, so that nothing bleeds over the borders between materials
    tiles = torch.stack(materials, 2).flatten(0, 2)[:, None]
    padded = F.pad(tiles, (1, 1, 1, 1), mode="replicate")
    smooth = F.avg_pool2d(padded, 3, 1)
    is_small = (head < _SMALL_HEAD_PICTURE_HEIGHTS).repeat_interleave(3 * MATERIALS)
    chosen = torch.where(per_picture(is_small), smooth, tiles)
    return chosen.view(len(head), 3, MATERIALS * TILE_TEXELS, TILE_TEXELS)


def read_texture(atlases: Tensor, u: Tensor, v: Tensor, material: Tensor) -> Tensor:
    """Read (N, 3, h, w) texture values of B atlases, where N = B T frames.

    Args:
        atlases: (B, 3, 4 x 96, 96), one per person.
        u, v: (N, h, w) part coordinates in head heights.
        material: (N, h, w) row of the atlas.
    """
    count, height, width = u.shape
    people = len(atlases)
    x = _within_tile(u)
    y = _within_tile(v)
    row = (2 / MATERIALS) * (y + material)
    grid = torch.stack((2 * x - 1, row - 1), -1)
    grid = grid.view(people, -1, width, 2)
    values = F.grid_sample(atlases, grid, mode="bilinear", align_corners=False)
    values = values.view(people, 3, -1, height, width)
    return values.transpose(1, 2).reshape(count, 3, height, width)


def _within_tile(coordinate: Tensor) -> Tensor:
    """Convert head heights to a share of the tile, mirrored beyond its ends, off its border."""
    margin = 0.5 / TILE_TEXELS
    position = torch.remainder(coordinate * (1 / TILE_HEAD_HEIGHTS), 2)
    mirrored = 1 - (position - 1).abs()
    return mirrored.clamp_(margin, 1 - margin)


def draw_octave(draw: Draws, rows: int, columns: int, channels: int = 1) -> Tensor:
    """Draw (B, channels, 96, 96) smooth noise of unit strength with rows x columns cells."""
    shape = (draw.count, channels, rows, columns)
    coarse = torch.randn(shape, generator=draw.generator)
    if (rows, columns) == (TILE_TEXELS, TILE_TEXELS):
        return coarse
    size = (TILE_TEXELS, TILE_TEXELS)
    return F.interpolate(coarse, size, mode="bicubic", align_corners=False)


def draw_leaves(draw: Draws, count: int = _LEAVES) -> Tensor:
    """Draw (B, 3, 96, 96) dead leaves: discs of power-law sizes over each other, unit strength."""
    axis = (torch.arange(TILE_TEXELS) + 0.5) / TILE_TEXELS
    picture = draw_octave(draw, 3, 3, 3)
    center = draw.uniform(0, 1, count, 2)
    radius = 0.03 + 0.25 * draw.uniform(0, 1, count) ** 3
    color = 0.4 * torch.randn((draw.count, count, 3), generator=draw.generator)
    color = color + torch.randn((draw.count, count, 1), generator=draw.generator)
    squeeze = draw.uniform(0.6, 1.6, count)
    for k in range(count):
        x = (axis - center[:, k, :1]).abs()[:, None, :]
        x = x * squeeze[:, k, None, None]
        y = (axis - center[:, k, 1:]).abs()[:, :, None]
        square = x * x + y * y
        inside = (square < radius[:, k, None, None] ** 2)[:, None]
        picture = torch.where(inside, color[:, k, :, None, None], picture)
    return picture


def _skin(draw: Draws) -> Tensor:
    """Draw pores, blotches that are redder than the rest, and freckles for some."""
    red = torch.tensor((-0.3, 1.0, 0.9))[:, None, None]
    fine_pores = 0.022 * draw_octave(draw, TILE_TEXELS, TILE_TEXELS)
    pores = fine_pores + 0.016 * draw_octave(draw, 40, 40)
    red_blotches = 0.018 * draw_octave(draw, 11, 11) * red
    blotches = red_blotches + 0.03 * draw_octave(draw, 5, 5)
    spots = (draw_octave(draw, 44, 44) - 1.4) * 3
    has_freckles = per_picture(draw.chance(0.15))
    freckles = -0.10 * spots.clamp(0, 1) * has_freckles
    strength = per_picture(draw.uniform(0.4, 1.5))
    return (pores + blotches) * strength + freckles * red.clamp_min(0.5)


def _cloth(draw: Draws) -> Tensor:
    """Draw folds and grain; a weave or knit for some, a print of leaves or clouds for others."""
    creases = torch.exp(-(draw_octave(draw, 3, 5) * 2.5).square())
    folds = 0.03 + 0.08 * draw_octave(draw, 4, 7)
    folds = folds + 0.05 * draw_octave(draw, 11, 6)
    folds = folds - 0.10 * creases
    grain = 0.05 * draw_octave(draw, TILE_TEXELS, TILE_TEXELS)
    grain = grain + 0.045 * draw_octave(draw, 38, 38)
    weave = _weave(draw)
    print_strength = 0.45 * draw_leaves(draw)
    printed = print_strength * per_picture(draw.uniform(0.3, 1.0) * draw.chance(0.2))
    clouds = 0.12 * draw_octave(draw, 12, 12, 3)
    cloudy = clouds * per_picture(draw.uniform() * draw.chance(0.4))
    folds = folds * per_picture(draw.uniform(0.5, 1.8))
    cloth = folds + grain * per_picture(draw.uniform(0.3, 1.6))
    return (cloth + weave + printed + cloudy).clamp(-0.8, 1.2)


def _weave(draw: Draws) -> Tensor:
    """Draw (B, 1, 96, 96) the crossing threads of a weave or knit; 0 for most people."""
    angle = torch.arange(TILE_TEXELS) * (FULL_TURN_RAD / TILE_TEXELS)
    waves = torch.sin(angle * draw.uniform(14, 36, 2, 1))
    across, along = waves.unbind(1)
    threads = across[:, None] * along[:, :, None]
    strength = per_picture(draw.uniform() * draw.chance(0.3))
    return 0.16 * threads[:, None] * strength


def _hair(draw: Draws, curly: Tensor) -> Tensor:
    """Draw strands along v, in locks; curly hair gets rounder locks."""
    strands = 0.18 * draw_octave(draw, 7, 86)
    strands = strands + 0.20 * draw_octave(draw, 4, 32)
    strands = strands + 0.14 * draw_octave(draw, 3, 11)
    curls = 0.24 * draw_octave(draw, 26, 28)
    curls = curls + 0.16 * draw_octave(draw, 54, 54)
    curls = curls + 0.1 * draw_octave(draw, 9, 9)
    locks = torch.where(per_picture(curly) > 0, curls, strands)
    hair = locks + 0.04 * draw_octave(draw, TILE_TEXELS, TILE_TEXELS)
    return hair.repeat(1, 3, 1, 1)
