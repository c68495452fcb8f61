"""Measure one pose for the alignment report: turned heads and bodies, hands at the face, face
height."""

from __future__ import annotations

import numpy as np

from pipeline.motion.fda import is_missing
from pipeline.motion.keypoints import (
    EYE_CORNERS,
    EYES,
    HAND_POINTS,
    HIPS,
    JAW_ENDS,
    L_JAW,
    L_SHOULDER,
    NECK,
    NOSE,
    NOSE_TIP,
    R_HIP,
    R_JAW,
    R_SHOULDER,
    SHOULDERS,
)
from pipeline.values import VISIBLE, Keypoints, Pose

# Distance of the nose's tip from the head's axis over half the width between the jaw's ends.
NOSE_DEPTH = 1.1
MIN_HALF_WIDTH_PX = 0.5  # between the jaw's ends: a narrower face tells no turn
# Shoulder width over torso length of a person seen from the front, as pose detectors mark them.
FRONT = 0.72
MIN_TORSO_PX = 1.0
MIN_SHOULDERS = 0.05  # of the torso: narrower shoulders have no left and right
# Measured at a cheek and a brow: how far around the face's box, and how many of a hand's points in
# it.
AT_FACE = 0.15
AT_FACE_POINTS = 5
HEAD_OVER_NECK = 0.6  # of the nose, in shoulder widths: .4 to .9 in 20 clips
WHOLE_FACE = 0.8  # share of the 68 points that a face's height is measured with


def head_yaw(pose: Pose) -> np.ndarray:
    """Estimate the head's turn: (T,) degrees, positive to the picture's right, NaN without a face.

    The tip of the nose lies NOSE_DEPTH half widths before the head's axis, so it moves by that
    times tan(yaw) against the middle of the jaw's ends.
    """
    picture_width = pose.size[1]
    x = pose.face.xy[..., 0] * picture_width
    right = x[:, R_JAW]
    left = x[:, L_JAW]
    half_width = (left - right) / 2
    middle = (right + left) / 2
    seen = pose.face.all_seen([*JAW_ENDS, NOSE_TIP])
    wide = np.abs(half_width) > MIN_HALF_WIDTH_PX
    known = seen & wide
    unit = np.where(known, half_width, 1.0)
    ahead = (x[:, NOSE_TIP] - middle) / unit
    radians = np.arctan(ahead / NOSE_DEPTH)
    return np.where(known, np.degrees(radians), np.nan)


def body_facing(pose: Pose) -> np.ndarray:
    """Estimate the shoulders' turn from the camera: (T,) degrees, 180 shows the back, NaN when
    unknown.

    The shoulders' width over the torso's length against that of a person seen from the front; the
    right shoulder on the picture's right means the back.
    """
    body = pose.body.xy * pose.pixel_scale
    middle_of_hips = body[:, HIPS].mean(1)
    torso = np.linalg.norm(middle_of_hips - body[:, NECK], axis=1)
    seen = pose.body.all_seen([NECK, *SHOULDERS, *HIPS])
    known = seen & (torso > MIN_TORSO_PX)
    unit = np.where(known, torso, 1.0)
    shoulders = body[:, L_SHOULDER, 0] - body[:, R_SHOULDER, 0]
    width = shoulders / unit
    share = np.clip(width / FRONT, -1, 1)
    radians = np.arccos(share)
    return np.where(known, np.degrees(radians), np.nan)


def turned_away(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool the person turns away from the camera.

    There is no face, and the shoulders are seen from behind, or the head in profile or not at all
    though the picture has room for it. In profile or further round the nose lies beside both eyes,
    not between them.
    """
    height, width = pose.size
    x = pose.body.xy[..., 0]
    y = pose.body.xy[..., 1]
    shoulders = (x[:, L_SHOULDER] - x[:, R_SHOULDER]) * width
    torso = np.abs(y[:, R_HIP] - y[:, NECK]) * height
    from_behind = shoulders < -MIN_SHOULDERS * torso
    nose = x[:, NOSE]
    eyes = x[:, EYES]
    right_of_eyes = nose < eyes.min(1)
    left_of_eyes = nose > eyes.max(1)
    head_seen = pose.body.visible[:, [NOSE, *EYES]]
    profile = head_seen.all(1) & (right_of_eyes | left_of_eyes)
    neck = y[:, NECK] * height
    widths = np.abs(shoulders)
    head_place = neck - HEAD_OVER_NECK * widths
    has_room = head_place > 0
    no_head = ~head_seen.any(1)
    no_head &= has_room
    away = from_behind | no_head | profile
    shoulders_seen = pose.body.all_seen(SHOULDERS)
    return shoulders_seen & is_missing(pose.face) & away


def covered(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool some points of one hand lie in the face's box, slightly
    widened."""
    frames = len(pose)
    seen = pose.face.visible[..., None]
    places = np.where(seen, pose.face.xy, np.nan)
    has_face = ~is_missing(pose.face)
    low = np.zeros((frames, 2))
    high = np.zeros((frames, 2))
    low[has_face] = np.nanmin(places[has_face], 1)
    high[has_face] = np.nanmax(places[has_face], 1)
    margin = AT_FACE * (high - low)
    low = low - margin
    high = high + margin
    hands = pose.hands.xy
    inside = (hands > low[:, None]) & (hands < high[:, None])
    at_face = pose.hands.visible & inside.all(2)
    by_hand = at_face.reshape(frames, 2, HAND_POINTS)
    enough = by_hand.sum(2) >= AT_FACE_POINTS
    return has_face & enough.any(1)


def spans(flags: np.ndarray, fps: float) -> tuple[tuple[float, float], ...]:
    """Find the runs of true frames as (start, stop) seconds."""
    padded = np.r_[0, flags.astype(int), 0]
    changes = np.flatnonzero(np.diff(padded))
    runs = []
    for start, stop in changes.reshape(-1, 2):
        runs.append((float(start / fps), float(stop / fps)))
    return tuple(runs)


def face_height(pose: Pose) -> float:
    """Measure the median height in pixels of the box around a whole face, 0 without any."""
    seen = pose.face.visible
    whole = seen.mean(1) > WHOLE_FACE
    if not whole.any():
        return 0.0
    y = np.where(seen, pose.face.xy[..., 1], np.nan)
    y = y[whole]
    height = np.nanmax(y, 1) - np.nanmin(y, 1)
    return float(np.median(height) * pose.size[0])


def outside(pose: Pose, reference: Pose) -> float:
    """Measure the share of frames in which a point that the reference shows leaves the picture."""
    if not len(pose):
        return 0.0
    body = _leaves(pose.body, reference.body)
    hands = _leaves(pose.hands, reference.hands)
    either = body | hands
    return float(either.mean())


def _leaves(points: Keypoints, reference: Keypoints) -> np.ndarray:
    """Tell in which frames (T,) bool a point is outside that the reference has in the picture."""
    place = reference.xy[0]
    reference_inside = (place >= 0) & (place <= 1)
    reference_shows = reference.visible[0] & reference_inside.all(1)
    outside_axis = (points.xy < 0) | (points.xy > 1)
    away = outside_axis.any(2) & (points.score > VISIBLE)
    leaving = away & reference_shows
    return leaving.any(1)


def left_right_swapped(pose: Pose) -> bool:
    """Tell whether most frames with a face have the right shoulder on the side of the face's left
    half."""
    face_seen = pose.face.all_seen([*JAW_ENDS, *EYE_CORNERS])
    seen = face_seen & pose.body.all_seen(SHOULDERS)
    jaw = _width(pose.face, JAW_ENDS)
    eyes = _width(pose.face, EYE_CORNERS)
    shoulders = _width(pose.body, SHOULDERS)
    wide = np.abs(shoulders) > 0.5 * np.abs(jaw)
    face_agrees = jaw * eyes > 0
    sure = seen & wide & face_agrees
    if not sure.any():
        return False
    crossed = jaw * shoulders < 0
    return bool(crossed[sure].mean() > 0.5)


def _width(points: Keypoints, pair: tuple[int, int]) -> np.ndarray:
    """Measure the signed horizontal distance (T,) from the right to the left point."""
    right, left = pair
    x = points.xy[..., 0]
    return x[:, left] - x[:, right]
