"""Where a person's hands, face and next pose lie, from points that are known already.

The numbers are those of MediaPipe's graphs `holistic_landmark` and `pose_landmark` (Google,
Apache-2.0). All points are in pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.analysis.detectors import regions
from pipeline.analysis.detectors.regions import Box, Region

PERSON_SCALE = 1.25  # of the square about a body's circle
ROUGH_HAND_SCALE = 2.7  # of the circle about wrist and knuckles, as the pose has them
HAND_FROM_PALM_SCALE = 2.0
HAND_DOWN = -0.1  # a hand lies towards the fingers from its center, in heights of its box
HEAD_SCALE = 3.0  # of the box of the pose's face points
FACE_FROM_KEYS_SCALE = 2.0  # of the box of a face detector's key points
FACE_DOWN = -0.1  # up towards the brow
FACE_SCALE = 1.5  # of the box of a face's mesh
# Points of the pose: wrist, little finger and index finger of the left and the right hand.
POSE_HANDS = ((15, 17, 19), (16, 18, 20))
POSE_EYES = (5, 2)  # the person's right one first
POSE_HEAD = slice(0, 11)
PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]  # of a hand's 21 points
WRIST = 0
INDEX_KNUCKLE = 5
MIDDLE_KNUCKLE = 9
RING_KNUCKLE = 13
MESH_EYE_CORNERS = (33, 263)  # of the face mesh, the person's right one first


@dataclass(frozen=True)
class Tolerance:
    """How far the last look's region may be off the present one and still be used.

    turn_deg: difference of their angles. move and grow: of places and sides, in sides.
    margin: the last look's points lie inside the present region, which is this much larger.
    """

    turn_deg: float
    move: float
    grow: float
    margin: float


HAND_TOLERANCE = Tolerance(40, 0.2, 0.4, -0.1)
FACE_TOLERANCE = Tolerance(15, 0.1, 0.3, -0.2)


def person(center: np.ndarray, rim: np.ndarray) -> Region:
    """Return where a person is of whom the hips' middle (2,) and a point above the head are known.

    The rim lies on the circle around the whole body.
    """
    circle = regions.box_through(center, rim, regions.UP)
    return circle.squared(PERSON_SCALE)


def rough_hand(wrist: np.ndarray, little: np.ndarray, index: np.ndarray) -> Region:
    """Return about where a hand is of whom the pose gives three points (2,)."""
    middle = (2 * index + little) / 3
    circle = regions.box_through(wrist, middle, regions.UP)
    x, y = middle
    moved = replace(circle, x=x, y=y)
    return moved.squared(ROUGH_HAND_SCALE, HAND_DOWN)


def hand(center: np.ndarray, rim: np.ndarray) -> Region:
    """Return where a hand is of which center (2,) and a point (2,) of its rim are known."""
    circle = regions.box_through(center, rim, regions.DOWN)
    return circle.squared(1.0, HAND_DOWN)


def hand_again(points: np.ndarray) -> Region:
    """Return where the hand with these points (21,2) is."""
    palm = _palm(points)
    return palm.squared(HAND_FROM_PALM_SCALE, HAND_DOWN)


def head(points: np.ndarray) -> Region:
    """Return where the face of a pose (33,2) is to be searched."""
    right_eye, left_eye = points[list(POSE_EYES)]
    angle = regions.angle_between(right_eye, left_eye, regions.RIGHT)
    box = regions.box_of(points[POSE_HEAD], angle)
    return box.squared(HEAD_SCALE)


def face(keys: np.ndarray) -> Region:
    """Return where a face is of which a detector gives the key points (6,2), eyes first."""
    right_eye, left_eye = keys[:2]
    angle = regions.angle_between(right_eye, left_eye, regions.RIGHT)
    box = regions.box_of(keys, angle)
    return box.squared(FACE_FROM_KEYS_SCALE, FACE_DOWN)


def face_again(points: np.ndarray) -> Region:
    """Return where the face with these mesh points (468 or more,2) is."""
    right_corner, left_corner = points[list(MESH_EYE_CORNERS)]
    angle = regions.angle_between(right_corner, left_corner, regions.RIGHT)
    box = regions.box_of(points, angle)
    return box.squared(FACE_SCALE)


def _palm(points: np.ndarray) -> Box:
    """Return the turned box of a palm (the hand's points are (21,2)), fingers up."""
    outer_knuckles = (points[INDEX_KNUCKLE] + points[RING_KNUCKLE]) / 2
    knuckles = (outer_knuckles + points[MIDDLE_KNUCKLE]) / 2
    angle = regions.angle_between(points[WRIST], knuckles, regions.UP)
    axes = _axes(angle)
    own = points[PALM] @ axes
    low = own.min(0)
    high = own.max(0)
    middle = (low + high) / 2
    x, y = axes @ middle
    width, height = high - low
    return Box(x, y, width, height, angle)


def _axes(angle: float) -> np.ndarray:
    """Return the matrix (2,2) with which points (K,2) @ matrix are in a turned region's axes."""
    sin = np.sin(angle)
    cos = np.cos(angle)
    return np.array([[cos, -sin], [sin, cos]])


def is_kept(before: Region, points: np.ndarray, now: Region, tolerance: Tolerance) -> bool:
    """Tell whether the last look's region still fits the present one, and its points (K,2), too."""
    angle = regions.turn(before.angle - now.angle)
    turned_deg = abs(np.degrees(angle))
    if turned_deg > tolerance.turn_deg:
        return False
    grown = abs(before.side - now.side)
    if grown > tolerance.grow * now.side:
        return False
    axes = _axes(now.angle)
    center = np.array([now.x, now.y])
    center_before = np.array([before.x, before.y])
    moved = (center_before - center) @ axes
    farthest = np.abs(moved).max()
    if farthest > tolerance.move * now.side:
        return False
    reach = now.side * (1 + tolerance.margin) / 2
    own = (points - center) @ axes
    outermost = np.abs(own).max()
    return bool(outermost < reach)
