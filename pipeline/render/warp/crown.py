"""A head whose crown the picture cuts off: beyond the edge goes on what hair, or a bald head,
would.

The outline is a half ellipse as wide as the head is at the edge and as high as heads are; forehead
that meets the edge is covered with the hair beside it, if there is any.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.render.warp.tones import features, ramp

AROUND = 0.3  # head heights from the head's ellipse within which what meets the edge is its hair
HAIR = 0.08  # head heights from the head's ellipse up to which hair stands
HAIRY = (0.2, 0.32)  # distance from the skin's color at which what meets the edge is hair
LEAST = 0.1  # share of the head's width at the edge that must be hair for it to cover the forehead
SPREAD = 0.2  # halves of the head's width over which hair beside the forehead counts
HAIRLINE = 0.12  # halves of the head's width over which forehead turns into hair


def crown(
    image: Tensor, head: Tensor, person: Tensor, skin: Tensor, top: int
) -> tuple[Tensor, Tensor]:
    """Color (B,3,top,W) and alpha (B,1,top,W) of heads above pictures whose first row is row
    `top`.

    image (B,3,H,W), head (B,1,H,W), the distance to a head in head heights, and person (B,1,H,W)
    without arms all go on above the picture; skin (B,3): `features` of the person's skin, NaN where
    it is not known.
    """
    edge = image[:, :, top : top + 1]
    near = head[:, :, top : top + 1] < AROUND
    cut = person[:, :, top : top + 1] * near
    x = torch.arange(image.shape[3], device=image.device, dtype=image.dtype).expand_as(cut)
    there = cut > 0.5
    left = torch.where(there, x, image.shape[3]).amin(3, keepdim=True)
    right = torch.where(there, x, -1.0).amax(3, keepdim=True)
    half = ((right - left + 1) / 2).clamp_min(1)
    high = (head[:, :, :top].amin(3, keepdim=True) < HAIR).sum(2, keepdim=True).to(image.dtype)
    above = torch.arange(top, 0, -1, device=image.device, dtype=image.dtype)[:, None] - 0.5
    round_ = (
        ((x - (left + right) / 2) / half).square() + (above / high.clamp_min(1)).square()
    ).sqrt()
    alpha = (
        (0.5 + (1 - round_) * torch.minimum(half, high) / 2).clamp(0, 1)
        * (high > 0)
        * (right >= left)
    )

    hair = ramp((features(edge) - skin[:, :, None, None]).norm(dim=1, keepdim=True), *HAIRY) * cut
    hair = hair.nan_to_num()
    covered = hair.sum(3, keepdim=True) > LEAST * 2 * half
    near = (
        torch.exp(-(x[:, :, 0, :, None] - x[:, :, 0, None]).abs() / (SPREAD * half))
        * hair[:, :, 0, None]
    )
    color = (near @ edge[:, :, 0, :, None])[..., 0] / near.sum(3).clamp_min(1e-6)
    color = torch.where(covered, torch.lerp(color[:, :, None], edge, hair), edge)
    line = (above / (HAIRLINE * half)).clamp(0, 1)
    return torch.lerp(edge, color, line.expand_as(alpha)), alpha
