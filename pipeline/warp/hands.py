"""How much of each pixel is a hand's, found by colour in a window around each hand (`matte`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.warp.geometry import Skeleton
from pipeline.warp.maps import grown, push_pull
from pipeline.warp.matte import hand_matte

SURE = 0.9  # a mask above this is the person alone, without background mixed in
Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels


def hand_shares(
    image: Tensor,
    person: Tensor,
    pose: Skeleton,
    trunk: Tensor,
    limbs: Tensor,
    edge: int,
    margins: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """(B,2,H,W) the right and the left hand's share of each pixel, and where what is behind is background.

    What is behind is filled on the coarse grid, from beyond all that may be an arm's or a hand's.
    """
    size, rough = image.shape[2:], limbs.shape[2:]
    small, cover = F.interpolate(torch.cat([image, person], 1), rough, mode="area").split([3, 1], 1)
    upper, hand = limbs[:, :4].amin(1, keepdim=True), limbs[:, 4:].amin(1, keepdim=True)
    free, fore = torch.minimum(upper, hand) > 0.08, limbs[:, 2:4].amin(1, keepdim=True)
    solid = cover > SURE
    weights = torch.cat([~grown(cover, 2).gt(0.1), solid & free, solid & (hand > 0.08) & (fore < 0)])
    filled = push_pull(torch.cat([small, cover], 1).repeat(3, 1, 1, 1), weights.to(image.dtype))
    under = torch.maximum(filled[len(image) : -len(image), 3:], (0.5 - trunk / 0.1).clamp(0, 1))
    alphas = torch.cat([1 - under, under, (0.5 - fore / 0.1).clamp(0, 1)])
    layers = torch.cat(torch.cat([filled[:, :3], alphas], 1).chunk(3), 1)
    found = image.new_zeros(len(image), 2, 2, *size)
    for k in (0, 1):
        box = _window(limbs[:, 4 + k], size)
        if box:
            top, bottom, left, right = box
            maps = _cut(torch.cat([layers, limbs[:, 4 + k : 5 + k]], 1), box, size)
            behind = [(part[:, :3], part[:, 3:]) for part in maps[:, :12].split(4, 1)]
            window = image[:, :, top:bottom, left:right]
            places = _places(pose.hands[:, 1 - k], box, margins, size[0] - sum(margins))
            share = hand_matte(window, places, pose.hands_seen[:, 1 - k], maps[:, 12:], behind, edge)
            found[:, :, k, top:bottom, left:right] = share
    return found[:, 0], found[:, 1]


def _window(distance: Tensor, size: tuple[int, int]) -> Box | None:
    """The pixels (top, bottom, left, right) around a part with distances (B,h,w), if there is any."""
    near = (distance < 0.12).any(0)
    box = []
    for side, full in ((near.any(1), size[0]), (near.any(0), size[1])):
        at = side.nonzero()[:, 0].tolist()
        if not at:
            return None
        scale = full / len(side)
        box += [max(0, int((at[0] - 1) * scale)), min(full, int((at[-1] + 2) * scale) + 1)]
    return tuple(box)


def _cut(maps: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """The window `box` of coarse maps enlarged to `size`."""
    y, x = (
        torch.arange(*ends, device=maps.device, dtype=maps.dtype) * (2 / (full - 1)) - 1
        for ends, full in zip((box[:2], box[2:]), size, strict=True)
    )
    where = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, where, mode="bilinear", padding_mode="border", align_corners=True)


def _places(points: Tensor, box: Box, margins: tuple[int, int], height: int) -> Tensor:
    """Metric points (B,K,2) as places from -1 to 1 in the window `box` of a picture with `margins`."""
    top, bottom, left, right = box
    corner, extent = (
        points.new_tensor([left, top - margins[0]]),
        points.new_tensor([right - left, bottom - top]),
    )
    return (points * height - corner) / extent * 2 - 1
