"""Bring a segmenter's coarse, soft mask of a person to the picture's own edges.

He, Sun, Tang, "Guided Image Filtering", TPAMI 2013, eq. 19 to 21. The coefficients are found on a
smaller picture (He, Sun, "Fast Guided Filter", 2015).
"""

from __future__ import annotations

import cv2
import numpy as np

ROWS = 768  # of the picture on which the coefficients are found
RADIUS_PX = 6  # in that picture: a mask of 256 x 256 is about as blurred
EPSILON = 1e-4  # of colors in [0, 1]: edges weaker than a hundredth of the range do not count
# Mask values between them become the edge: a veil below is no person, a thin place above is one.
EDGE_LOW = 0.3
EDGE_HIGH = 0.7


def to_edges(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Refine a mask (h,w) of any size in [0, 1] to (H,W) float32 by its picture (H,W,3) uint8."""
    height, width = picture.shape[:2]
    rows = min(height, ROWS)
    columns = max(1, round(width * rows / height))
    size = (columns, rows)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    guide = small.astype(np.float32) / 255
    coarse = mask.astype(np.float32)
    small_mask = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    gain, base = _coefficients(guide, small_mask)
    stacked = np.dstack([gain, base])
    full = cv2.resize(stacked, (width, height), interpolation=cv2.INTER_LINEAR)
    guided: np.ndarray = full[..., 3]
    for channel in range(3):  # one at a time: a full-size float copy of the picture takes 100 MB
        level = picture[..., channel].astype(np.float32)
        color = level / 255
        guided += full[..., channel] * color
    edge = EDGE_HIGH - EDGE_LOW
    sharpened = (guided - EDGE_LOW) / edge
    return sharpened.clip(0, 1)


def _coefficients(guide: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the mask near each pixel as an affine function of the colors.

    Return the gain (h,w,3) and the base (h,w).
    """
    color_mean = _mean(guide)
    covariance = np.empty((*mask.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i + 1):
            product = guide[..., i] * guide[..., j]
            mean_product = color_mean[..., i] * color_mean[..., j]
            covariance[..., i, j] = _mean(product) - mean_product
            covariance[..., j, i] = covariance[..., i, j]
    covariance += EPSILON * np.eye(3, dtype=np.float32)
    mask_mean = _mean(mask)
    product = guide * mask[..., None]
    mean_product = color_mean * mask_mean[..., None]
    cross_covariance = _mean(product) - mean_product
    solution = np.linalg.solve(covariance, cross_covariance[..., None])
    gain = solution[..., 0]
    gained = gain * color_mean
    base = mask_mean - gained.sum(-1)
    return _mean(gain), _mean(base)


def _mean(maps: np.ndarray) -> np.ndarray:
    """Average in a square window around each pixel."""
    side = 2 * RADIUS_PX + 1
    return cv2.boxFilter(maps, -1, (side, side), borderType=cv2.BORDER_REFLECT)
