"""Measures of one pose for the alignment report: turned heads and bodies, hands at the face, face height."""

from __future__ import annotations

import numpy as np

from pipeline.motion.fda import is_missing
from pipeline.motion.keypoints import (
    EYE_CORNERS,
    EYES,
    HAND_POINTS,
    HIPS,
    JAW_ENDS,
    L_SHOULDER,
    NECK,
    NOSE,
    NOSE_TIP,
    R_HIP,
    R_SHOULDER,
    SHOULDERS,
)
from pipeline.values import VISIBLE, Keypoints, Pose

# Distance of the nose's tip from the head's axis over half the width between the jaw's ends.
NOSE_DEPTH = 1.1
# Shoulder width over torso length of a person seen from the front, as pose detectors mark them.
FRONT = 0.72
MIN_SHOULDERS = 0.05  # of the torso: narrower shoulders have no left and right
# Measured at a cheek and a brow: how far around the face's box, and how many of a hand's points in it.
AT_FACE = 0.15
AT_FACE_POINTS = 5
WHOLE_FACE = 0.8  # share of the 68 points that a face's height is measured with


def head_yaw(pose: Pose) -> np.ndarray:
    """Estimate the head's turn: (T,) degrees, positive to the picture's right, NaN without a face.

    The tip of the nose lies NOSE_DEPTH half widths before the head's axis, so it moves by that times
    tan(yaw) against the middle of the jaw's ends.
    """
    x = pose.face.xy[..., 0] * pose.size[1]
    right = x[:, JAW_ENDS[0]]
    left = x[:, JAW_ENDS[1]]
    half_width = (left - right) / 2
    seen = pose.face.visible[:, [*JAW_ENDS, NOSE_TIP]].all(1)
    known = seen & (np.abs(half_width) > 0.5)
    ahead = (x[:, NOSE_TIP] - (right + left) / 2) / np.where(known, half_width, 1.0)
    yaw = np.degrees(np.arctan(ahead / NOSE_DEPTH))
    return np.where(known, yaw, np.nan)


def body_facing(pose: Pose) -> np.ndarray:
    """Estimate the shoulders' turn from the camera: (T,) degrees, 180 shows the back, NaN when unknown.

    The shoulders' width over the torso's length against that of a person seen from the front; the right
    shoulder on the picture's right means the back.
    """
    body = pose.body.xy * pose.pixel_scale
    torso = np.linalg.norm(body[:, HIPS].mean(1) - body[:, NECK], axis=1)
    seen = pose.body.visible[:, [NECK, *SHOULDERS, *HIPS]].all(1)
    known = seen & (torso > 1)
    shoulders = body[:, L_SHOULDER, 0] - body[:, R_SHOULDER, 0]
    width = shoulders / np.where(known, torso, 1.0)
    share = np.clip(width / FRONT, -1, 1)
    return np.where(known, np.degrees(np.arccos(share)), np.nan)


def turned_away(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool the person turns away from the camera.

    There is no face, and the shoulders are seen from behind, or the head in profile or not at all. In
    profile or further round the nose lies beside both eyes, not between them.
    """
    xy = pose.body.xy
    seen = pose.body.visible
    shoulders = (xy[:, L_SHOULDER, 0] - xy[:, R_SHOULDER, 0]) * pose.size[1]
    torso = np.abs(xy[:, R_HIP, 1] - xy[:, NECK, 1]) * pose.size[0]
    from_behind = shoulders < -MIN_SHOULDERS * torso
    nose = xy[:, NOSE, 0]
    eyes = xy[:, EYES, 0]
    beside = (nose < eyes.min(1)) | (nose > eyes.max(1))
    head_seen = seen[:, [NOSE, *EYES]]
    profile = head_seen.all(1) & beside
    away = from_behind | ~head_seen.any(1) | profile
    return seen[:, SHOULDERS].all(1) & is_missing(pose.face) & away


def covered(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool some points of one hand lie in the face's box, slightly widened."""
    places = np.where(pose.face.visible[..., None], pose.face.xy, np.nan)
    has_face = ~is_missing(pose.face)
    low = np.zeros((len(pose), 2))
    high = np.zeros((len(pose), 2))
    low[has_face] = np.nanmin(places[has_face], 1)
    high[has_face] = np.nanmax(places[has_face], 1)
    margin = AT_FACE * (high - low)
    low = (low - margin)[:, None]
    high = (high + margin)[:, None]
    in_box = ((pose.hands.xy > low) & (pose.hands.xy < high)).all(2)
    at_face = pose.hands.visible & in_box
    counts = at_face.reshape(len(pose), 2, HAND_POINTS).sum(2)
    return has_face & (counts >= AT_FACE_POINTS).any(1)


def spans(flags: np.ndarray, fps: float) -> tuple[tuple[float, float], ...]:
    """Find the runs of true frames as (start, stop) seconds."""
    steps = np.diff(np.r_[0, flags.astype(int), 0])
    edges = np.flatnonzero(steps).reshape(-1, 2)
    return tuple((float(start / fps), float(stop / fps)) for start, stop in edges)


def face_height(pose: Pose) -> float:
    """Measure the median height in pixels of the box around a whole face, 0 without any."""
    seen = pose.face.visible
    whole = seen.mean(1) > WHOLE_FACE
    if not whole.any():
        return 0.0
    y = np.where(seen, pose.face.xy[..., 1], np.nan)[whole]
    height = np.nanmax(y, 1) - np.nanmin(y, 1)
    return float(np.median(height) * pose.size[0])


def outside(pose: Pose, reference: Pose) -> float:
    """Measure the share of frames in which a point that the reference shows leaves the picture."""
    if not len(pose):
        return 0.0
    body = _leaves(pose.body, reference.body)
    hands = _leaves(pose.hands, reference.hands)
    return float((body | hands).mean())


def _leaves(points: Keypoints, reference: Keypoints) -> np.ndarray:
    """Tell in which frames (T,) bool a point is outside that the reference has in the picture."""
    place = reference.xy[0]
    reference_inside = ((place >= 0) & (place <= 1)).all(1)
    away = ((points.xy < 0) | (points.xy > 1)).any(2) & (points.score > VISIBLE)
    return (away & (reference.visible[0] & reference_inside)).any(1)


def left_right_swapped(pose: Pose) -> bool:
    """Tell whether most frames with a face have the right shoulder on the side of the face's left half."""
    face_seen = pose.face.visible[:, [*JAW_ENDS, *EYE_CORNERS]].all(1)
    seen = face_seen & pose.body.visible[:, SHOULDERS].all(1)
    jaw = _width(pose.face, JAW_ENDS)
    eyes = _width(pose.face, EYE_CORNERS)
    shoulders = _width(pose.body, SHOULDERS)
    wide = np.abs(shoulders) > 0.5 * np.abs(jaw)
    sure = seen & wide & (jaw * eyes > 0)
    crossed = (jaw * shoulders < 0)[sure]
    return bool(sure.any() and crossed.mean() > 0.5)


def _width(points: Keypoints, pair: tuple[int, int]) -> np.ndarray:
    """Signed horizontal distance (T,) from the right to the left point."""
    right, left = pair
    return points.xy[:, left, 0] - points.xy[:, right, 0]
