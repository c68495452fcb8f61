"""What a detector finds in results of what it finds in the truth: points, hands and faces."""

from __future__ import annotations

import math

import numpy as np

from pipeline.motion.keypoints import L_SHOULDER, LEFT_HAND, R_SHOULDER, RIGHT_HAND
from pipeline.values import Keypoints, Pose

BODY_REACH_SHOULDER_WIDTHS = 0.2
HAND_REACH_SHOULDER_WIDTHS = 0.1


def shares(truth: Pose, result: Pose) -> dict[str, float]:
    """Return the shares of body points, hands, hand points and faces that are found again.

    Both poses hold what the detector sees in the same frames. A point is found again where it is
    seen within a reach of its true place. A hand or a face is found again where any of its points
    is seen. NaN where the truth shows none, and of points where it shows no shoulders, whose width
    is the unit of their reach.
    """
    width = shoulder_widths(truth)
    scale = truth.pixel_scale
    body_reach = BODY_REACH_SHOULDER_WIDTHS * width
    hand_reach = HAND_REACH_SHOULDER_WIDTHS * width
    has_unit = bool(np.isfinite(width).any())
    body_points = found(truth.body, result.body, scale, body_reach)
    hand_points = found(truth.hands, result.hands, scale, hand_reach)
    hands = hands_seen(result.hands)
    faces = result.face.visible.any(1)
    true_faces = truth.face.visible.any(1)
    return {
        "body points": share(body_points, truth.body.visible & has_unit),
        "hands": share(hands, hands_seen(truth.hands)),
        "hand points": share(hand_points, truth.hands.visible & has_unit),
        "faces": share(faces, true_faces),
    }


def shoulder_widths(pose: Pose) -> np.ndarray:
    """Return the distance (T, 1) of the shoulders in pixels, at least the clip's median.

    A person seen from the side has narrow shoulders and no shorter arms.
    """
    places = pose.body.xy * pose.pixel_scale
    across = places[:, R_SHOULDER] - places[:, L_SHOULDER]
    widths = np.linalg.norm(across, axis=1)
    seen = pose.body.all_seen((R_SHOULDER, L_SHOULDER))
    if not seen.any():
        return np.full((len(pose), 1), math.nan)
    median = np.median(widths[seen])
    at_least = np.maximum(widths, median)
    filled = np.where(seen, at_least, median)
    return filled[:, None]


def found(truth: Keypoints, result: Keypoints, scale: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return which points (T, K) are seen in the result within `reach` (T, 1) of the truth."""
    distance = np.linalg.norm((result.xy - truth.xy) * scale, axis=2)
    return result.visible & (distance <= reach)


def hands_seen(hands: Keypoints) -> np.ndarray:
    """Return which hands (T, 2) are seen, the left one first."""
    visible = hands.visible
    left = visible[:, LEFT_HAND].any(1)
    right = visible[:, RIGHT_HAND].any(1)
    return np.stack([left, right], 1)


def share(found_points: np.ndarray, true_points: np.ndarray) -> float:
    """Return the share of the true ones that are found; NaN where there is none."""
    count = int(np.count_nonzero(true_points))
    if count == 0:
        return math.nan
    return np.count_nonzero(found_points & true_points) / count
