"""How much of each pixel is a hand's, found by colour in a window around each hand (`matte`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.geometry import Skeleton
from pipeline.render.warp.maps import grown, push_pull
from pipeline.render.warp.matte import hand_matte

ANYWHERE = 10.0  # head heights: a hand that is further away is not in the picture
SURE = 0.9  # a mask above this is the person alone, without background mixed in
Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels


def surroundings(image: Tensor, person: Tensor, trunk: Tensor, limbs: Tensor) -> Tensor:
    """(B,12,h,w) on the coarse grid: colour and alpha of background, trunk, forearms behind arms
    and hands.

    Each is filled from beyond all that may be an arm's or a hand's, forearms from beyond all that
    may be a hand's.
    """
    small, cover = F.interpolate(torch.cat([image, person], 1), limbs.shape[2:], mode="area").split(
        [3, 1], 1
    )
    upper = limbs[:, :4].amin(1, keepdim=True)
    hand = limbs[:, 4:].amin(1, keepdim=True)
    free = torch.minimum(upper, hand) > 0.08
    fore = limbs[:, 2:4].amin(1, keepdim=True)
    solid = cover > SURE
    weights = torch.cat(
        [~grown(cover, 2).gt(0.1), solid & free, solid & (hand > 0.08) & (fore < 0)]
    )
    filled = push_pull(torch.cat([small, cover], 1).repeat(3, 1, 1, 1), weights.to(image.dtype))
    under = torch.maximum(filled[len(image) : -len(image), 3:], (0.5 - trunk / 0.1).clamp(0, 1))
    alphas = torch.cat([1 - under, under, (0.5 - fore / 0.1).clamp(0, 1)])
    return torch.cat(torch.cat([filled[:, :3], alphas], 1).chunk(3), 1)


def hand_shares(
    image: Tensor,
    pose: Skeleton,
    layers: Tensor,
    limbs: Tensor,
    edge: int,
    margins: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """(B,2,H,W) the right and the left hand's share of each pixel, and where what is behind is
    background.

    `layers`: see `surroundings`.
    """
    size = image.shape[2:]
    found = image.new_zeros(len(image), 2, 2, *size)
    for k in (0, 1):
        box = window(limbs[:, 4 + k] < 0.12, size)
        if box:
            top, bottom, left, right = box
            maps = cut(torch.cat([layers, limbs[:, 4 + k : 5 + k]], 1), box, size)
            behind = [(part[:, :3], part[:, 3:]) for part in maps[:, :12].split(4, 1)]
            part = image[:, :, top:bottom, left:right]
            places = _places(pose.hands[:, 1 - k], box, margins, size[0] - sum(margins))
            share = hand_matte(part, places, pose.hands_seen[:, 1 - k], maps[:, 12:], behind, edge)
            found[:, :, k, top:bottom, left:right] = share * (maps[:, 12:] < ANYWHERE)
    return found[:, 0], found[:, 1]


def window(near: Tensor, size: tuple[int, int]) -> Box | None:
    """The pixels (top, bottom, left, right) around what is `near` (B,h,w) on the coarse grid, if
    any is."""
    near = near.any(0)
    box = []
    for side, full in ((near.any(1), size[0]), (near.any(0), size[1])):
        at = side.nonzero()[:, 0].tolist()
        if not at:
            return None
        scale = full / len(side)
        box += [max(0, int((at[0] - 1) * scale)), min(full, int((at[-1] + 2) * scale) + 1)]
    return tuple(box)


def cut(maps: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """The window `box` of coarse maps enlarged to `size`."""
    y, x = (
        torch.arange(*ends, device=maps.device, dtype=maps.dtype) * (2 / (full - 1)) - 1
        for ends, full in zip((box[:2], box[2:]), size, strict=True)
    )
    where = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, where, mode="bilinear", padding_mode="border", align_corners=True)


def _places(points: Tensor, box: Box, margins: tuple[int, int], height: int) -> Tensor:
    """Metric points (B,K,2) as places from -1 to 1 in the window `box` of a picture with
    `margins`."""
    top, bottom, left, right = box
    corner = points.new_tensor([left, top - margins[0]])
    extent = points.new_tensor([right - left, bottom - top])
    return (points * height - corner) / extent * 2 - 1
