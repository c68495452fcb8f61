"""Which points of a pose can be drawn."""

from __future__ import annotations

import numpy as np

from pipeline.values import Keypoints

# Picture sizes from the center: 16 * 65536 pixels with 4 sub-pixel bits still fit OpenCV's 32-bit
# integers.
FARTHEST_PICTURES = 16.0


def drawable(points: Keypoints) -> np.ndarray:
    """Tell which points (T,K) bool have a score and lie where OpenCV can draw them."""
    from_center = np.abs(np.nan_to_num(points.xy, nan=np.inf) - 0.5)
    near = from_center.max(2) <= FARTHEST_PICTURES
    return near & (points.score > 0)
