"""Tell when the driving person comes closer to the camera or goes away."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import HIPS, L_SHOULDER, NECK, R_SHOULDER, SHOULDERS
from pipeline.motion.retarget.face_size import face_boxes, full_widths
from pipeline.values import Pose

SMOOTHING_SECONDS = 0.4  # people walk slower than they nod and turn
SMOOTHING_REACH = 3  # sigmas
CUE_SHARE = 0.5  # of the frames that must show a length for it to tell nearness
MIN_CUES = 2
MIN_LENGTH_PX = 1.0
# Largest over smallest size: people who gesture in their place reach 1.12, a man who walks in 1.8.
WALKS = 1.25
EDGES_PERCENTILE = (5, 95)  # over time


def nearness(pose: Pose) -> np.ndarray:
    """Measure how large the person is in each frame (T,) over their usual size; 1 for somebody who
    stays in their place.

    Face height, face width, shoulders and torso are each compared with their own median; the median
    of the four holds, as only one of them shrinks when a head nods or turns or a body bends.
    """
    stays = np.ones(len(pose))
    cues = []
    for length in _lengths(pose):
        log = _log_of_usual(length)
        if log is not None:
            cues.append(log)
    if len(cues) < MIN_CUES:
        return stays
    stacked = np.stack(cues)
    finite = np.isfinite(stacked)
    known = finite.any(0)
    size = np.zeros(len(pose))
    size[known] = np.nanmedian(stacked[:, known], axis=0)
    size, _ = bridge(size, known, len(pose))
    sigma = SMOOTHING_SECONDS * pose.fps
    size = _smoothed(size, sigma)
    low, high = np.percentile(size, EDGES_PERCENTILE)
    if high - low < np.log(WALKS):
        return stays
    usual = np.median(size)
    return np.exp(size - usual)


def head_sizes(aligned: Pose, reference: Pose) -> np.ndarray:
    """Measure the head's height over the reference's (T,), as the driver comes closer or goes
    away; one value for somebody who stays, 1 without a face."""
    boxes = face_boxes(aligned)
    goal = face_boxes(reference)
    if not (boxes.seen.any() and goal.seen.any()):
        return np.ones(len(aligned))
    heights = boxes.height[boxes.seen]
    goals = goal.height[goal.seen]
    usual = np.median(heights) / np.median(goals)
    return usual * nearness(aligned)


def size_range(aligned: Pose, reference: Pose) -> tuple[float, float]:
    """Find the smallest and the largest of the `head_sizes`, but for rare ones."""
    if not len(aligned):
        return 1.0, 1.0
    sizes = head_sizes(aligned, reference)
    low, high = np.percentile(sizes, EDGES_PERCENTILE)
    return float(low), float(high)


def _lengths(pose: Pose) -> tuple[np.ndarray, ...]:
    """Measure the lengths (T,) in pixels that tell nearness; NaN where one is not seen."""
    boxes = face_boxes(pose)
    body = pose.body.xy * pose.pixel_scale
    across = body[:, L_SHOULDER] - body[:, R_SHOULDER]
    middle_of_hips = body[:, HIPS].mean(1)
    down = middle_of_hips - body[:, NECK]
    shoulders = np.linalg.norm(across, axis=1)
    torso = np.linalg.norm(down, axis=1)
    shoulders_seen = pose.body.all_seen(SHOULDERS)
    torso_seen = pose.body.all_seen((NECK, *HIPS))
    return (
        np.where(boxes.seen, boxes.height, np.nan),
        full_widths(pose),
        np.where(shoulders_seen, shoulders, np.nan),
        np.where(torso_seen, torso, np.nan),
    )


def _log_of_usual(length: np.ndarray) -> np.ndarray | None:
    """Take the logarithm of a length (T,) over its median; NaN where it is not seen.

    A length that is rarely seen tells nothing: None.
    """
    finite = np.isfinite(length)
    known = finite & (length > MIN_LENGTH_PX)
    least = CUE_SHARE * len(length)
    if known.sum() <= least:
        return None
    positive = np.where(known, length, 1.0)
    log = np.log(positive)
    usual = np.median(log[known])
    return np.where(known, log - usual, np.nan)


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth a curve (T,) under a Gaussian of `sigma` frames; it goes on at its ends as it came."""
    count = len(values)
    reach = round(SMOOTHING_REACH * sigma)
    reach = min(reach, count - 1)
    padded = np.pad(values, reach, mode="reflect", reflect_type="odd")
    smooth = gaussian_filter1d(padded, sigma, mode="nearest")
    return smooth[reach : reach + count]
