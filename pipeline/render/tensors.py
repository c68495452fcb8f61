"""Pictures between files and networks: output sizes, crops, tensors, and the draft without a network."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def to_tensor(image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(1,3,H,W) float32 in [0,1] at `size`, area-resized when it shrinks."""
    how = cv2.INTER_AREA if image.shape[0] > size[0] else cv2.INTER_CUBIC
    resized = cv2.resize(image, (size[1], size[0]), interpolation=how)
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))[None].float() / 255


def mask_tensor(mask: np.ndarray | None, size: tuple[int, int]) -> torch.Tensor | None:
    """(1,1,H,W) float32 at `size`, or None where the detector gave no mask."""
    if mask is None:
        return None
    return torch.from_numpy(cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_AREA))[
        None, None
    ]


def to_frames(pictures: torch.Tensor) -> np.ndarray:
    """(t,H,W,3) uint8 from (t,3,H,W) in [0,1], rounded to nearest."""
    scaled = (pictures.detach().float().clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()
