"""A repair made at a small size, added to the warp at full size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def add_repair(low: Tensor, low_warp: Tensor, high_warp: Tensor) -> Tensor:
    """Return (N, 3, H, W): the large warp plus the enlarged change of the small one, in [0, 1].

    The warp keeps all its detail and its outlines; the repair changes color and light. Showing the
    enlarged small picture where it differs gains .1 to .2 dB on real clips and blurs whatever
    moves: eyes, lips, outlines.

    Args:
        low: (N, 3, h, w), the repaired picture.
        low_warp: (N, 3, h, w), the warp at that size.
        high_warp: (N, 3, H, W), the warp at the size wanted.
    """
    if low.shape != low_warp.shape or high_warp.shape[:2] != low.shape[:2]:
        shapes = [tuple(t.shape) for t in (low, low_warp, high_warp)]
        raise ValueError(
            f"a repair needs two small pictures of one shape and as many large ones, got {shapes}"
        )
    size = high_warp.shape[2:]
    # not less the shrunken large warp: a painted mouth is not the same at both sizes
    change = F.interpolate(low - low_warp, size, mode="bilinear", align_corners=False)
    return torch.clamp_(change.add_(high_warp), 0, 1)
