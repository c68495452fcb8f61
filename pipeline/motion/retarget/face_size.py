"""Measure how large a face is: the upright box around the points that speech does not move.

The splice (`fda`) puts the talking face into this box of the driving head. So a driving head whose
box is the reference's gives the reference's own face at its own size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.motion.fda import rotate
from pipeline.motion.keypoints import CHIN, EYE_CORNERS, NOSE_ROOT, RIGID_FACE
from pipeline.motion.retarget.measures import head_yaw
from pipeline.values import Pose

# A head turned further shows its width too badly to tell the full one.
MAX_YAW_DEG = 40.0
# Width over height, between two people's faces: more is a failure of a box.
MAX_SHAPE = 1.5
MIN_SIDE_PX = 1.0


class FaceRatio(NamedTuple):
    """The reference's face over the driver's, in pixels."""

    width: float
    height: float


class FaceBoxes(NamedTuple):
    """Upright boxes of faces in pixels: width (T,), height (T,), and whether there is one (T,)."""

    width: np.ndarray
    height: np.ndarray
    seen: np.ndarray


def face_boxes(pose: Pose) -> FaceBoxes:
    """Measure the upright boxes of the faces."""
    points = pose.face.xy * pose.pixel_scale
    right_corner, left_corner = EYE_CORNERS
    line = points[:, left_corner] - points[:, right_corner]
    across, down = line.T
    tilt = np.arctan2(down, across)
    rigid = points[:, RIGID_FACE]
    upright = rotate(rigid, -tilt)
    sides = np.ptp(upright, axis=1)
    width, height = sides.T
    wide = width > MIN_SIDE_PX
    high = height > MIN_SIDE_PX
    complete = pose.face.all_seen(RIGID_FACE)
    return FaceBoxes(
        width=width,
        height=height,
        seen=complete & wide & high,
    )


def full_widths(pose: Pose) -> np.ndarray:
    """Measure the faces' widths (T,) in pixels as if they looked at the camera; NaN where
    unknown."""
    boxes = face_boxes(pose)
    yaw = head_yaw(pose)
    frontal = np.abs(yaw) <= MAX_YAW_DEG
    known = boxes.seen & frontal
    degrees = np.where(known, yaw, 0.0)
    radians = np.radians(degrees)
    widths = boxes.width / np.cos(radians)
    return np.where(known, widths, np.nan)


def face_ratio(pose: Pose, reference: Pose, frames: np.ndarray) -> FaceRatio | None:
    """Compare two faces by their medians over time; None where one of them is not seen.

    frames: those in which both stand alike, where faces are compared as they are; else none. The
    widths of turned heads are compared as if they looked at the camera.
    """
    rows = pose[frames] if len(frames) else pose
    boxes = face_boxes(rows)
    goal = face_boxes(reference)
    height = _median_ratio(goal.height, goal.seen, boxes.height, boxes.seen)
    if height is None:
        return _profile_ratio(rows, reference)
    if len(frames):
        width = _median_ratio(goal.width, goal.seen, boxes.width, boxes.seen)
    else:
        goal_width = full_widths(reference)
        full_width = full_widths(rows)
        width = _median_ratio(goal_width, goal.seen, full_width, boxes.seen)
    if width is None:
        width = height
    narrowest = height / MAX_SHAPE
    widest = height * MAX_SHAPE
    width = min(max(width, narrowest), widest)
    return FaceRatio(width, height)


def _median_ratio(
    goal: np.ndarray, goal_seen: np.ndarray, now: np.ndarray, seen: np.ndarray
) -> float | None:
    """Divide the median of what is seen of `goal` by that of `now`; None where nothing is."""
    goal_known = goal_seen & np.isfinite(goal)
    known = seen & np.isfinite(now)
    if not goal_known.any():
        return None
    if not known.any():
        return None
    wanted = np.median(goal[goal_known])
    usual = np.median(now[known])
    return float(wanted / usual)


def _profile_ratio(pose: Pose, reference: Pose) -> FaceRatio | None:
    """Compare the lengths from the nose's root to the chin, where the rest of a face is hidden."""
    goal = _profiles(reference)
    now = _profiles(pose)
    goal_seen = goal > MIN_SIDE_PX
    seen = now > MIN_SIDE_PX
    ratio = _median_ratio(goal, goal_seen, now, seen)
    if ratio is None:
        return None
    return FaceRatio(ratio, ratio)


def _profiles(pose: Pose) -> np.ndarray:
    """Measure from the nose's root to the chin (T,) in pixels; 0 where one is hidden."""
    points = pose.face.xy * pose.pixel_scale
    way = points[:, CHIN] - points[:, NOSE_ROOT]
    length = np.linalg.norm(way, axis=1)
    seen = pose.face.all_seen((NOSE_ROOT, CHIN))
    return np.where(seen, length, 0.0)
