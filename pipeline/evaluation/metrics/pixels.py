"""Measure pictures (N, 3, H, W) in [0, 1]: sharpness, flicker and movement."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Largest mean change of the truth over 5 x 5 pixels that counts as none: grain changes more pixel
# by pixel.
STILL_CHANGE = 1.5 / 255


def sharpness(pictures: Tensor, box: Tensor) -> float:
    """Return the variance of the Laplacian of the gray pictures inside boxes (N, 1, H, W)."""
    kernel = pictures.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    gray = pictures.mean(1, keepdim=True)
    edges = F.conv2d(gray, kernel, padding=1)[box > 0.5]
    return float(edges.var()) if len(edges) > 1 else float("nan")


def flicker(pictures: Tensor, still: Tensor) -> float:
    """Return the mean |I_t - I_{t-1}| in gray levels of 255 of the pixels `still` (N-1, H, W)."""
    if not still.any():
        return float("nan")
    changes = pictures.diff(dim=0).abs().mean(1)
    return float(changes[still].mean() * 255)


def still_pixels(truth: Tensor) -> Tensor:
    """Return where (N-1, H, W) the truth stands still but for grain."""
    changes = F.avg_pool2d(truth.diff(dim=0), 5, 1, 2, count_include_pad=False)
    return changes.abs().amax(1) < STILL_CHANGE


def motion_energy(pictures: Tensor) -> np.ndarray:
    """Return the mean squared change (N-1,) from frame to frame."""
    changes = torch.diff(pictures, dim=0)
    return changes.square().mean((1, 2, 3)).numpy()
