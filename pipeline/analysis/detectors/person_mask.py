"""The cut-out of a person: a segmenter's coarse, soft mask brought to the picture's own edges.

He, Sun, Tang, "Guided Image Filtering", TPAMI 2013, eq. 19 to 21, its coefficients found on a smaller picture
(He, Sun, "Fast Guided Filter", 2015).
"""

from __future__ import annotations

import cv2
import numpy as np

ROWS = 768  # of the picture on which the coefficients are found
RADIUS = 6  # pixels there: a mask of 256 x 256 is about as blurred
EPSILON = 1e-4  # of colours in [0, 1]: weaker edges, a hundredth of the range, do not count
SOFT = (
    0.3,
    0.7,
)  # what lies between becomes the edge; a veil below is no person, a thin place above is one


def to_edges(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1] of a picture (H, W, 3) uint8 and a mask (h, w) of any size, in [0, 1]."""
    height, width = picture.shape[:2]
    rows = min(height, ROWS)
    size = max(1, round(width * rows / height)), rows
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    gain, base = _coefficients(
        small, cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    )
    both = cv2.resize(np.dstack([gain, base]), (width, height), interpolation=cv2.INTER_LINEAR)
    guided = both[..., 3]
    for channel in range(3):  # one at a time: a full-size float copy of the picture takes 100 MB
        guided += both[..., channel] * (picture[..., channel].astype(np.float32) / 255)
    return ((guided - SOFT[0]) / (SOFT[1] - SOFT[0])).clip(0, 1)


def _coefficients(guide: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) and (h, w): the mask near each pixel as an affine function of the colours."""
    mean = _mean(guide)
    covariance = np.empty((*mask.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i + 1):
            covariance[..., i, j] = (
                _mean(guide[..., i] * guide[..., j]) - mean[..., i] * mean[..., j]
            )
            covariance[..., j, i] = covariance[..., i, j]
    covariance += EPSILON * np.eye(3, dtype=np.float32)
    middle = _mean(mask)
    shared = _mean(guide * mask[..., None]) - mean * middle[..., None]
    gain = np.linalg.solve(covariance, shared[..., None])[..., 0]
    return _mean(gain), _mean(middle - (gain * mean).sum(-1))


def _mean(maps: np.ndarray) -> np.ndarray:
    side = 2 * RADIUS + 1
    return cv2.boxFilter(maps, -1, (side, side), borderType=cv2.BORDER_REFLECT)
