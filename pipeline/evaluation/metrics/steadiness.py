"""Flicker and seams: what changes between neighboring frames (h, w, 3) uint8 and should not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.values import Pose

# The box of the seen points is grown by this share of its longer side: hair and clothes lie outside
BORDER = 0.25
STILL_LEVELS = 1.5  # the largest mean change of the truth, in gray levels, that counts as none
STILL_SIDE_PX = 5  # of the square over which it is averaged: grain changes more pixel by pixel
LEAST_SHARE = 0.01  # of the picture: fewer pixels are not measured
NEIGHBORS = 4  # changes to each side of a seam that it is compared with
TINY = 1e-6


def change(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the change (h, w) of two frames in gray levels, mean over the colors."""
    difference = cv2.absdiff(one, other)
    return difference.mean(2, dtype=np.float32)


def unrest(before: np.ndarray, frame: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return how far (h, w) a frame lies from the mean of its neighbors, in gray levels.

    A steady change, as of a slow camera, does not count.
    """
    both = before.astype(np.float32) + after
    distance = np.abs(frame - both / 2)
    return distance.mean(2)


def is_still(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return where (h, w) bool two true frames do not differ but for grain."""
    square = (STILL_SIDE_PX, STILL_SIDE_PX)
    averaged = cv2.blur(change(before, after), square)
    return averaged < STILL_LEVELS


def outside_person(pose: Pose, size: tuple[int, int]) -> np.ndarray:
    """Return where (h, w) bool nobody is seen in any frame of a pose, with a wide border.

    Nowhere where no point is seen: the person may be anywhere.
    """
    parts = (pose.body, pose.hands, pose.face)
    places = np.concatenate([part.xy[part.visible] for part in parts])
    outside = np.zeros(size, bool)
    if not len(places):
        return outside
    height, width = size
    pixels = places * np.array([width, height])
    low = pixels.min(0)
    high = pixels.max(0)
    sides = high - low
    border = BORDER * sides.max()
    left, top = np.maximum(low - border, 0).astype(int)
    right, bottom = np.ceil(high + border).astype(int)
    outside[:] = True
    outside[top:bottom, left:right] = False
    return outside


def mean_inside(values: np.ndarray, region: np.ndarray) -> float:
    """Return the mean of values (h, w) in a region; NaN in one that is too small."""
    if region.mean() < LEAST_SHARE:
        return math.nan
    inside = values[region]
    return float(inside.mean())


def seam_ratio(changes: np.ndarray, seams: Sequence[int]) -> float:
    """Return how much more is changed over seams than beside them; 1 is unseen, NaN of none.

    Args:
        changes: (T-1,) mean change from each frame to the next.
        seams: The frames that begin a new segment.
    """
    at_seams = np.zeros(len(changes), bool)
    steps = [seam - 1 for seam in seams if 0 < seam <= len(changes)]
    at_seams[steps] = True
    ratios = []
    for step in steps:
        first = max(0, step - NEIGHBORS)
        around = slice(first, step + NEIGHBORS + 1)
        is_beside = ~at_seams[around]
        if not is_beside.any():
            continue
        beside = changes[around]
        usual = np.median(beside[is_beside])
        ratio = changes[step] / max(usual, TINY)
        ratios.append(ratio)
    return float(np.mean(ratios)) if ratios else math.nan
