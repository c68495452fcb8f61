"""What layers are made with: maps enlarged, grown, extended and filled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLAT = 1.0  # of a share per picture height


def push_pull(color: Tensor, weight: Tensor) -> Tensor:
    """(N,C,H,W) color where weight (N,1,H,W) is 1, elsewhere filled from known places by a
    pyramid."""
    levels = [torch.cat([color * weight, weight], 1)]
    while min(levels[-1].shape[2:]) > 1:
        shrunk = F.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False)
        gain = (2.0 / (1.0 + shrunk[:, -1:])).clamp_min(
            1
        )  # known parts count up to twice their share
        levels.append(shrunk * gain)
    last = levels[
        -1
    ]  # of a long picture it has several places, some of them perhaps without anything known
    filled, mean = (x[:, :-1] / x[:, -1:].clamp_min(1e-4) for x in (last, last.mean((2, 3), True)))
    filled = torch.where(last[:, -1:] > 1e-4, filled, mean)
    for level in reversed(levels[:-1]):
        filled = F.interpolate(filled, level.shape[2:], mode="bilinear", align_corners=False)
        known = level[:, -1:].clamp(0, 1)
        filled = filled * (1 - known) + level[:, :-1]
    return filled


def per_frame(maps: Tensor, frames: int) -> Tensor:
    """Maps (B,...) once for each of T frames, (B T,...); those of one image take no memory."""
    return maps[:, None].expand(-1, frames, *maps.shape[1:]).flatten(0, 1)


def looked_up(maps: Tensor, places: Tensor) -> Tensor:
    """(N,C,h,w) maps (N or 1,C,H,W) at places (N,2,h,w), -1 to 1; nothing outside."""
    each = maps.expand(len(places), -1, -1, -1)
    where = places.permute(0, 2, 3, 1)
    return F.grid_sample(each, where, align_corners=False)


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Coarse maps (B,C,h,w), whose outer nodes lie on the outer pixels, at a size."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=True)


def grown(mask: Tensor, radius: int) -> Tensor:
    """The mask's maximum over a square of 2 radius + 1 pixels."""
    return F.max_pool2d(
        F.max_pool2d(mask, (2 * radius + 1, 1), 1, (radius, 0)), (1, 2 * radius + 1), 1, (0, radius)
    )


def blurred(maps: Tensor, radius: int) -> Tensor:
    """The maps' mean over squares of 2 radius + 1 pixels, as far as those lie inside."""
    across = F.avg_pool2d(maps, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(across, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False)


def extended(maps: Tensor, margins: tuple[int, int]) -> Tensor:
    """(B,C,H,W) with its first and last row repeated for some pixels above and below."""
    return F.pad(maps, (0, 0, *margins), mode="replicate")


def crisp(soft: Tensor, level: float, height: int) -> Tensor:
    """(N,1,H,W) an outline where soft shares cross `level`, as sharp as a mask's: two pixels wide.

    height: the picture's, in pixels; slopes of less than FLAT per picture height make no outline.
    """
    around = F.pad(soft, (1, 1, 1, 1), mode="replicate")
    across = around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]
    down = around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]
    slope = (across.square() + down.square()).sqrt()
    return (0.5 + (soft - level) / slope.clamp_min(2 * FLAT / height)).clamp(0, 1)
