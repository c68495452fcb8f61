"""Turn pictures into tensors for networks, and tensors back into frames."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def to_tensor(image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Return a picture (H,W,3) uint8 as (1,3,h,w) float32 in [0,1], resized to `size` (h,w)."""
    height, width = size
    shrinks = image.shape[0] > height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    channels_first = np.ascontiguousarray(resized.transpose(2, 0, 1))
    return torch.from_numpy(channels_first)[None].float() / 255


def mask_tensor(mask: np.ndarray | None, size: tuple[int, int]) -> torch.Tensor | None:
    """Return a mask (H,W) float32 as (1,1,h,w) at `size` (h,w), or None where there is no mask."""
    if mask is None:
        return None
    height, width = size
    resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(resized)[None, None]


def to_frames(pictures: torch.Tensor) -> np.ndarray:
    """Return pictures (t,3,H,W) in [0,1] as frames (t,H,W,3) uint8, rounded to the nearest
    value."""
    scaled = pictures.detach().float().clamp(0, 1) * 255
    rounded = (scaled + 0.5).to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()
