"""Tell whether a picture is an already drawn skeleton rather than a photo.

A drawn skeleton is mostly black and has limbs in pure hues.
"""

from __future__ import annotations

import cv2
import numpy as np

SENTENCE = (
    "is an already drawn skeleton, not a picture of a person; give the original photo or clip, "
    "or pass the key points as a pose file (.npz)"
)
CLIP_SENTENCE = f"the driving clip {SENTENCE}; it drives nothing"
BLACK_LEVEL = 24  # of 255, of the brightest channel of a black pixel, with room for video noise
# Skeletons measured 0.93 and more; night scenes measured below 0.7 at this level of black.
BLACK_SHARE = 0.7
PURE_SATURATION = 150  # of 255: limb colors are pure hues, dimmed by their alpha only
PURE_SHARE = 0.5  # of the lit pixels; the rest are gray face dots and anti-aliased rims
HUE_BINS = 12  # of 30 degrees: the 17 limb colors run once round the circle
MIN_HUES = 6
HUE_SHARE = 0.02  # of the pure pixels, for a bin to count
MAX_SIDE_PX = 512  # a larger picture is looked at pixel by pixel in steps, without blending colors
OPENCV_HUES = 180  # hues of an 8-bit HSV picture


def is_skeleton(image: np.ndarray) -> bool:
    """Tell whether a picture (H,W,3) uint8 is mostly black with thin limbs of many pure hues."""
    longer_side = max(image.shape[:2])
    step = max(1, longer_side // MAX_SIDE_PX)
    small = np.ascontiguousarray(image[::step, ::step])
    brightest = small.max(axis=2)
    lit = brightest > BLACK_LEVEL
    if not lit.any():
        return False
    if lit.mean() > 1 - BLACK_SHARE:
        return False
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    lit_pixels = hsv[lit]
    saturation = lit_pixels[:, 1]
    pure = saturation >= PURE_SATURATION
    if pure.mean() < PURE_SHARE:
        return False
    hue = lit_pixels[pure, 0].astype(int)
    bins = hue * HUE_BINS // OPENCV_HUES
    counts = np.bincount(bins, minlength=HUE_BINS)
    needed = HUE_SHARE * pure.sum()
    common = counts > needed
    hues = int(np.count_nonzero(common))
    return hues >= MIN_HUES


def is_skeleton_clip(chunk: np.ndarray) -> bool:
    """Tell whether the first and the middle frame of a chunk (T,H,W,3) both are drawn skeletons."""
    first = chunk[0]
    middle = chunk[len(chunk) // 2]
    return is_skeleton(first) and is_skeleton(middle)
