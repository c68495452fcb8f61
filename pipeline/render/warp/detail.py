"""The fine detail of the warp given back to a picture that was generated small: no training, any
size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# a generated pixel this far from the warp's has lost 63 % of the trust in the warp's detail
TOLERANCE = 0.06
REACH = 3  # pixels of the small picture over which the least trust counts, against halos


def trust(generated: Tensor, low_warp: Tensor) -> Tensor:
    """Returns (N,1,h,w): exp(-(|generated - warp| / TOLERANCE)^2), least over neighbours, then
    smoothed."""
    apart = (generated - low_warp).abs().amax(1, keepdim=True)
    agree = torch.exp(-(apart / TOLERANCE).square())
    least = -F.max_pool2d(-agree, REACH, 1, REACH // 2)
    return F.avg_pool2d(least, 3, 1, 1, count_include_pad=False)


def detail_transfer(low: Tensor, low_warp: Tensor, high_warp: Tensor) -> Tensor:
    """Returns (N,3,H,W): up(low) + trust * (high_warp - up(low_warp)), pictures in [0,1].

    `low` (N,3,h,w) is the generated picture, `low_warp` the warp at its size, `high_warp` (N,3,H,W)
    the warp at the size wanted. Where the network kept the warp the result is the warp in full
    detail; where it repaired the warp the result is the bicubic picture.
    """
    if low.shape != low_warp.shape or high_warp.shape[:2] != low.shape[:2]:
        shapes = [tuple(t.shape) for t in (low, low_warp, high_warp)]
        raise ValueError(
            "detail transfer needs two small pictures of one shape and as many large ones, "
            f"got {shapes}"
        )
    size = high_warp.shape[2:]
    channels = low.shape[1]
    # not less the shrunken large warp: a painted mouth is not the same at both sizes
    change = low - low_warp
    # what the network changed is smooth where it is trusted: the cheap bilinear enlargement will do
    # for it
    smooth = torch.cat([change, trust(low, low_warp)], 1)
    smooth = F.interpolate(smooth, size, mode="bilinear", align_corners=False)
    plain = F.interpolate(low, size, mode="bicubic", align_corners=False)
    return torch.lerp(plain, smooth[:, :channels].add_(high_warp), smooth[:, channels:]).clamp_(
        0, 1
    )
