"""HKC and HKV: how surely hands are found in a result, and how richly they move.

The names are those of CyberHost and the papers after it, none of which published code. Their
figures differ by three orders of magnitude, so the definitions here are our own (METRICS.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.motion.keypoints import HAND_POINTS, L_SHOULDER, NECK, R_SHOULDER, SHOULDERS
from pipeline.values import Keypoints, Pose

HAND_SHARE = 0.5  # of its 21 points: a pose that shows as many inside the picture shows the hand
LEAST_FRAMES = 5  # the variance of a point that is seen in fewer says nothing
READ_HEIGHT_PX = 512  # of the frames for which HKV is told in pixels
TINY = 1e-9


@dataclass(frozen=True)
class Confidence:
    """A mean score of hand points.

    Args:
        score: The mean, NaN where no hand was asked for.
        coverage: Share of the clip's hands (two a frame) that it was measured on.
        frames: Frames with such a hand.
    """

    score: float
    coverage: float
    frames: int


@dataclass(frozen=True)
class Variance:
    """How much hand points move.

    Args:
        value: The mean over the points, NaN where none is seen long enough.
        coverage: Share of the clip's points, over all frames, that it was measured on.
    """

    value: float
    coverage: float


def shown_hands(pose: Pose) -> np.ndarray:
    """Return which hands (T, 2), the left one first, a pose shows inside its picture."""
    xy = pose.hands.xy
    is_inside = np.all((xy >= 0) & (xy <= 1), axis=2)
    is_shown = is_inside & pose.hands.visible
    return by_hand(is_shown) >= HAND_SHARE


def by_hand(values: np.ndarray) -> np.ndarray:
    """Return the means (T, 2) over the points (T, 42) of each hand, the left one first."""
    hands = values.reshape(len(values), 2, HAND_POINTS)
    return hands.mean(2)


def hand_confidence(result: Pose, is_asked: np.ndarray) -> Confidence:
    """Return HKC: the mean score of the hands (T, 2) bool that are asked for.

    A person or a hand that the detector misses has the score 0.
    """
    if not is_asked.any():
        return Confidence(math.nan, 0.0, 0)
    scores = by_hand(result.hands.score)
    asked = scores[is_asked]
    frames = int(np.count_nonzero(is_asked.any(1)))
    return Confidence(
        score=float(asked.mean()),
        coverage=float(is_asked.mean()),
        frames=frames,
    )


def in_shoulder_widths(pose: Pose) -> Keypoints:
    """Return the hand points from the neck in mean shoulder widths; unseen without a neck.

    All are unseen where no frame shows both shoulders.
    """
    pixels = pose.body.xy * pose.pixel_scale
    both = pose.body.all_seen(SHOULDERS)
    if not both.any():
        return Keypoints.missing(len(pose), pose.hands.xy.shape[1])
    across = pixels[both, R_SHOULDER] - pixels[both, L_SHOULDER]
    width = np.linalg.norm(across, axis=1).mean()
    neck = pixels[:, NECK, None]
    neck_is_seen = pose.body.visible[:, NECK, None]
    from_neck = pose.hands.xy * pose.pixel_scale - neck
    places = from_neck / max(width, TINY)
    score = np.where(neck_is_seen, pose.hands.score, 0.0)
    return Keypoints(places, score)


def axis_variances(points: Keypoints, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the variances (k, 2) along x and y of the points seen in enough of the frames `rows`.

    The second value is the share of all points and frames `rows` that they are measured on.
    """
    xy = points.xy[rows]
    is_seen = points.visible[rows]
    counts = is_seen.sum(0)
    found = []
    measured = 0
    for point, count in enumerate(counts):
        if count < LEAST_FRAMES:
            continue
        places = xy[:, point]
        seen_places = places[is_seen[:, point]]
        variance = seen_places.var(0)
        found.append(variance)
        measured += int(count)
    coverage = measured / max(is_seen.size, 1)
    return np.array(found), coverage


def hkv_shoulder_widths(pose: Pose, rows: np.ndarray | None = None) -> Variance:
    """Return HKV_sw: the variance of hand points from the neck, in squared shoulder widths.

    `rows` (T,) bool names the frames that count, all by default.
    """
    if rows is None:
        rows = np.ones(len(pose), bool)
    variances, coverage = axis_variances(in_shoulder_widths(pose), rows)
    if not len(variances):
        return Variance(math.nan, coverage)
    by_point = variances.sum(1)
    return Variance(float(by_point.mean()), coverage)


def hkv_pixels(pose: Pose) -> Variance:
    """Return HKV_px512: the mean deviation per coordinate in frames scaled to a height of 512."""
    height, _ = pose.size
    scale = READ_HEIGHT_PX / height
    places = pose.hands.xy * pose.pixel_scale * scale
    points = Keypoints(places, pose.hands.score)
    rows = np.ones(len(pose), bool)
    variances, coverage = axis_variances(points, rows)
    if not len(variances):
        return Variance(math.nan, coverage)
    deviations = np.sqrt(variances)
    return Variance(float(deviations.mean()), coverage)
