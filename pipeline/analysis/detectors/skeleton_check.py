"""Whether a picture is an already drawn skeleton rather than a photo: black share and limb palette."""

from __future__ import annotations

import cv2
import numpy as np

SAID = (
    "is an already drawn skeleton, not a picture of a person; give the original photo or clip, "
    "or pass the key points as a pose file (.npz)"
)
CLIP_SAID = f"the driving clip {SAID}; the skeleton stays black"
BLACK = 24  # brightest channel of a black pixel, with room for video noise
BLACK_SHARE = (
    0.7  # skeletons measured: 0.93 and more; night scenes: below 0.7 at this level of black
)
SATURATION = 150  # of 255: limb colours are pure hues, dimmed by their alpha only
PURE_SHARE = 0.5  # of the lit pixels; the rest are grey face dots and anti-aliased rims
HUES = 12  # bins of 30 degrees: the 17 limb colours run once round the circle
HUES_NEEDED = 6
HUE_SHARE = 0.02  # of the pure pixels, for a bin to count
SIDE = 512  # pictures are looked at no larger than this, without blending colours


def is_skeleton(image: np.ndarray) -> bool:
    """True where a picture (H, W, 3) uint8 is mostly black with thin limbs of many pure hues."""
    step = max(1, max(image.shape[:2]) // SIDE)
    small = np.ascontiguousarray(image[::step, ::step])
    lit = small.max(axis=2) > BLACK
    if not lit.any() or lit.mean() > 1 - BLACK_SHARE:
        return False
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(small, cv2.COLOR_RGB2HSV)[lit], -1, 0)
    pure = saturation >= SATURATION
    if pure.mean() < PURE_SHARE:
        return False
    counts = np.bincount(hue[pure].astype(int) * HUES // 180, minlength=HUES)
    return int((counts > HUE_SHARE * pure.sum()).sum()) >= HUES_NEEDED


def is_skeleton_clip(chunk: np.ndarray) -> bool:
    """Whether the first and the middle frame of a chunk (T, H, W, 3) both are drawn skeletons."""
    return is_skeleton(chunk[0]) and is_skeleton(chunk[len(chunk) // 2])
