"""The three key-point layouts: indices, limbs, regions, left-right pairs, and the height of a head.

Body, 18 points in OpenPose's order. Hands, 42 points: the left hand's 21, then the right hand's 21.
Face, 68 points in iBUG's order: 0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes, 48-59 outer lip,
60-67 inner lip.

Left and right are the person's own. In a person who looks at the camera the right side is on the
picture's left. Every pair of body or face points names the right one first, as the layouts count.
The hands alone are stored left first; a table that follows them says so in its name
(`WRISTS_LEFT_RIGHT`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.values import BODY, FACE, HANDS, Pose

# ---- body

NOSE = 0
NECK = 1
R_SHOULDER, R_ELBOW, R_WRIST = 2, 3, 4
L_SHOULDER, L_ELBOW, L_WRIST = 5, 6, 7
R_HIP, R_KNEE, R_ANKLE = 8, 9, 10
L_HIP, L_KNEE, L_ANKLE = 11, 12, 13
R_EYE, L_EYE = 14, 15
R_EAR, L_EAR = 16, 17

SHOULDERS = (R_SHOULDER, L_SHOULDER)
ELBOWS = (R_ELBOW, L_ELBOW)
WRISTS = (R_WRIST, L_WRIST)
WRISTS_LEFT_RIGHT = (L_WRIST, R_WRIST)  # in the order of the hands
HIPS = (R_HIP, L_HIP)
KNEES = (R_KNEE, L_KNEE)
ANKLES = (R_ANKLE, L_ANKLE)
EYES = (R_EYE, L_EYE)
EARS = (R_EAR, L_EAR)

R_ARM = (R_SHOULDER, R_ELBOW, R_WRIST)
L_ARM = (L_SHOULDER, L_ELBOW, L_WRIST)
HEAD_POINTS = (NOSE, R_EYE, L_EYE, R_EAR, L_EAR)
CORE_POINTS = (NECK, *SHOULDERS, *HIPS)  # the part of the body that turns as one piece
LEG_POINTS = (R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE)

UPPER_ARMS = ((R_SHOULDER, R_ELBOW), (L_SHOULDER, L_ELBOW))
FOREARMS = ((R_ELBOW, R_WRIST), (L_ELBOW, L_WRIST))
THIGHS = ((R_HIP, R_KNEE), (L_HIP, L_KNEE))
SHINS = ((R_KNEE, R_ANKLE), (L_KNEE, L_ANKLE))
LIMBS = (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13)  # arms and legs
TRUNK_BONES = (NECK, R_SHOULDER), (NECK, L_SHOULDER), (NECK, R_HIP), (NECK, L_HIP)
BODY_LIMBS = (  # OpenPose's drawing order, which fixes each limb's color
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7),
    (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip

# ---- hands

HAND_POINTS = HANDS // 2
LEFT_HAND = slice(0, HAND_POINTS)
RIGHT_HAND = slice(HAND_POINTS, HANDS)
MIDDLE_ROOT = 9  # the middle finger's first joint: with the wrist it tells where the hand points
# From the wrist along the thumb, then along each finger.
HAND_EDGES = tuple((0 if k % 4 == 1 else k - 1, k) for k in range(1, HAND_POINTS))


@dataclass(frozen=True)
class ArmRows:
    """Name the points of one arm: `joints` are shoulder, elbow and wrist of the body, `hand` its
    hand's rows."""

    joints: tuple[int, int, int]
    hand: slice


ARMS = {"right": ArmRows(R_ARM, RIGHT_HAND), "left": ArmRows(L_ARM, LEFT_HAND)}

# ---- face

JAW = slice(0, 17)  # from the right ear over the chin to the left ear
R_JAW, L_JAW = 0, 16
JAW_ENDS = (R_JAW, L_JAW)
CHIN = 8
BROWS = slice(17, 27)
NOSE_ROOT = 27
NOSE_TIP = 30
NOSTRILS = slice(31, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
EYE_CORNERS = (36, 45)  # the outer corners
MOUTH = slice(48, 68)
MOUTH_CORNERS = (48, 54)
OUTER_LIP = slice(48, 60)
INNER_LIP = slice(60, 68)
EYES_NOSE = np.arange(27, 48)
RIGID_FACE = np.r_[0:4, 13:48]  # jaw ends, brows, nose, eyes: speech does not move them

# ---- what a mirror does

_BODY_PAIRS = "2-5 3-6 4-7 8-11 9-12 10-13 14-15 16-17"
_FACE_PAIRS = (
    "0-16 1-15 2-14 3-13 4-12 5-11 6-10 7-9 17-26 18-25 19-24 20-23 21-22 31-35 32-34 "
    "36-45 37-44 38-43 39-42 40-47 41-46 48-54 49-53 50-52 55-59 56-58 60-64 61-63 65-67"
)


def _mirror_order(count: int, pairs: str) -> np.ndarray:
    order = np.arange(count)
    for pair in pairs.split():
        right, left = pair.split("-")
        order[int(right)] = int(left)
        order[int(left)] = int(right)
    return order


# Row k is the point that takes the place of point k when left and right are exchanged.
MIRROR_BODY = _mirror_order(BODY, _BODY_PAIRS)
MIRROR_HANDS = np.roll(np.arange(HANDS), HAND_POINTS)
MIRROR_FACE = _mirror_order(FACE, _FACE_PAIRS)

# ---- the unit of length

HEAD_BY_FACE = 1.55  # head height over the distance from brows to chin
HEAD_WIDTHS = 1.6  # width of the shoulders in head heights
HEAD_BY_EARS = 1.4  # head height over the distance of the ears
UNKNOWN_HEAD = 0.2  # picture heights, where nothing is seen that tells
LEAST_HEAD = 0.02  # picture heights

Measured = tuple[
    Any, Any
]  # distances (T,) and whether they are seen (T,): two arrays or two tensors


def complex_pixels(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Turn fractions (..., 2) of a picture of `size` (H,W) into pixels x + iy."""
    height, width = size
    return xy[..., 0] * width + 1j * (xy[..., 1] * height)


def head_height(pose: Pose) -> np.ndarray:
    """Measure the head of one person from chin to crown: (T,) pixels."""
    face = complex_pixels(pose.face.xy, pose.size)
    body = complex_pixels(pose.body.xy, pose.size)
    brows = face[:, BROWS].mean(1)
    face_seen = pose.face.visible.mean(1) > 0.5
    seen = pose.body.visible
    return head_height_from(
        face=(np.abs(brows - face[:, CHIN]), face_seen),
        shoulders=(
            np.abs(body[:, R_SHOULDER] - body[:, L_SHOULDER]),
            seen[:, R_SHOULDER] & seen[:, L_SHOULDER],
        ),
        ears=(np.abs(body[:, R_EAR] - body[:, L_EAR]), seen[:, R_EAR] & seen[:, L_EAR]),
        picture_height=pose.size[0],
    )


def head_height_from(
    face: Measured,
    shoulders: Measured,
    ears: Measured,
    picture_height: float,
    where: Callable[[Any, Any, Any], Any] = np.where,
) -> Any:
    """Measure the head from chin to crown by the face, else by the shoulders, else by the ears.

    Args:
        face: the distance from the middle of the brows to the chin (T,), and where it is seen (T,)
            bool.
        shoulders: the distance between the shoulders, and where both are seen.
        ears: the distance between the ears, and where both are seen.
        picture_height: in the unit of the distances, which is also the result's.
        where: selects between arrays of the kind that is passed: `torch.where` for tensors.
    """
    brows_to_chin, face_seen = face
    shoulder_width, shoulders_seen = shoulders
    ear_distance, ears_seen = ears
    height = where(ears_seen, ear_distance * HEAD_BY_EARS, UNKNOWN_HEAD * picture_height)
    height = where(shoulders_seen, shoulder_width / HEAD_WIDTHS, height)
    height = where(face_seen, brows_to_chin * HEAD_BY_FACE, height)
    return height.clip(LEAST_HEAD * picture_height)
