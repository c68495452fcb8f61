"""Lips by their key points, beside true lips: best r and J, without phones.

`metrics.mouth` counts closures at the sound's p b m. Where no phones are known, the true lips
themselves tell when a mouth is to be shut.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import binary_dilation, label

from pipeline.evaluation.metrics.mouth import CLOSED, scaled
from pipeline.motion.keypoints import CHIN, NOSE_ROOT
from pipeline.values import Pose

LIP_POINTS = (62, 66)  # the middle of the inner lips, above and below
FACE_ENDS = (NOSE_ROOT, CHIN)
HIT_REACH_FRAMES = 1  # around a true closure, within which a closed frame counts
FALSE_REACH_FRAMES = 2  # the same within which none counts as false
LEAST_FACES = 0.8  # share of the frames with a face, below which a mouth is not read
TINY = 1e-6


def opening(pose: Pose) -> np.ndarray:
    """Return the inner lips' gap (T,) over the face's height, NaN in frames without a face."""
    pixels = pose.face.xy * pose.pixel_scale
    gap = _distance(pixels, LIP_POINTS)
    height = _distance(pixels, FACE_ENDS)
    share = gap / np.maximum(height, TINY)
    is_seen = pose.face.all_seen((*LIP_POINTS, *FACE_ENDS))
    return np.where(is_seen, share, np.nan)


def _distance(pixels: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """Return the distance (T,) of two of the points (T, 68, 2)."""
    one, other = ends
    apart = pixels[:, one] - pixels[:, other]
    return np.linalg.norm(apart, axis=1)


def filled(curve: np.ndarray) -> np.ndarray | None:
    """Bridge the missing values of a curve (T,); None where too many are missing."""
    is_known = np.isfinite(curve)
    count = len(curve)
    least = max(1, LEAST_FACES * count)
    if np.count_nonzero(is_known) < least:
        return None
    rows = np.arange(count)
    known = curve[is_known]
    return np.interp(rows, rows[is_known], known)


def closure_j(curve: np.ndarray, truth: np.ndarray) -> float:
    """Return J of the true closures: those in which the curve (T,) closes, less false closures.

    A closure is a run of frames in which the truth opens by less than 0.15 of its range. The second
    part is the share of the other frames in which the curve is closed. NaN without a closure.
    """
    is_shut = scaled(truth, truth) < CLOSED
    is_closed = scaled(curve, truth) < CLOSED
    closes = binary_dilation(is_closed, iterations=HIT_REACH_FRAMES)
    near_shut = binary_dilation(is_shut, iterations=FALSE_REACH_FRAMES)
    runs, count = label(is_shut)
    if count == 0 or near_shut.all():
        return math.nan
    hits = closes & is_shut
    hit_runs = np.unique(runs[hits])
    recall = len(hit_runs) / count
    false = is_closed[~near_shut]
    return float(recall - false.mean())
