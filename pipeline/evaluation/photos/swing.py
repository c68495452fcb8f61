"""Edit the points of one pose (T = 1): turn an arm, shift or shake everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.motion.keypoints import ARMS, L_SHOULDER, R_SHOULDER, complex_pixels, head_height
from pipeline.values import Keypoints, Pose

# Turns from rest, outwards positive. The whole arm goes from across the body to overhead, the
# forearm bends both ways.
TURNS_DEG = {
    "shoulder": (-45, -30, -15, 15, 30, 45, 60, 75, 90, 105, 120, 135),
    "elbow": (-90, -75, -60, -45, -30, -15, 15, 30, 45, 60, 75, 90),
}
JOINTS = {"shoulder": 0, "elbow": 1}  # rows of `ArmRows.joints`
OTHER_SIDE = {"right": "left", "left": "right"}


def sense(pose: Pose, side: str) -> float:
    """Return 1 where an arm goes outwards by turning from x (right) to y (down), else -1.

    That depends on which side of the other shoulder the arm's shoulder lies.
    """
    xy = pose.body.xy[0]
    right_x, _ = xy[R_SHOULDER]
    left_x, _ = xy[L_SHOULDER]
    right_sense = 1.0 if left_x >= right_x else -1.0
    return right_sense if side == "right" else -right_sense


def turns(pose: Pose, side: str, joint: str) -> np.ndarray:
    """Return TURNS_DEG as radians in the picture's sense, positive from x (right) to y (down)."""
    outwards = np.radians(TURNS_DEG[joint])
    return sense(pose, side) * outwards


def swung(
    pose: Pose, side: str, angles_rad: Sequence[float] | np.ndarray, joint: str = "shoulder"
) -> Pose:
    """Turn what hangs on a joint of one arm, hand included, about it: one frame for each angle."""
    arm = ARMS[side]
    first = JOINTS[joint]
    center_row = arm.joints[first]
    moving_rows = list(arm.joints[first + 1 :])
    center = complex_pixels(pose.body.xy[:, center_row], pose.size)
    gains = np.exp(1j * np.asarray(angles_rad, float))
    first_frame = np.zeros(len(gains), int)
    frames = pose[first_frame]
    body = _turned(frames, frames.body, moving_rows, center, gains)
    hands = _turned(frames, frames.hands, arm.hand, center, gains)
    return replace(frames, body=body, hands=hands)


def _turned(
    pose: Pose, points: Keypoints, rows: list[int] | slice, center: np.ndarray, gains: np.ndarray
) -> Keypoints:
    """Turn some points about a center (1,), x + iy in pixels, by complex gains (T,)."""
    height, width = pose.size
    places = complex_pixels(points.xy[:, rows], pose.size)
    placed = center + gains[:, None] * (places - center)
    xy = points.xy.copy()
    xy[:, rows, 0] = placed.real / width
    xy[:, rows, 1] = placed.imag / height
    return Keypoints(xy, points.score)


def shifted(pose: Pose, right: float) -> Pose:
    """Move every point to the right by a share of the picture's width."""
    step = np.array([right, 0.0])
    return replace(
        pose,
        body=Keypoints(pose.body.xy + step, pose.body.score),
        hands=Keypoints(pose.hands.xy + step, pose.hands.score),
        face=Keypoints(pose.face.xy + step, pose.face.score),
    )


def shaken(pose: Pose, share: float, rng: np.random.Generator) -> Pose:
    """Move every point by its own Gaussian offset, of a deviation of `share` head heights."""
    head_px = head_height(pose).item()
    deviation = share * head_px / pose.pixel_scale
    return replace(
        pose,
        body=_shaken(pose.body, deviation, rng),
        hands=_shaken(pose.hands, deviation, rng),
        face=_shaken(pose.face, deviation, rng),
    )


def _shaken(points: Keypoints, deviation: np.ndarray, rng: np.random.Generator) -> Keypoints:
    offsets = rng.normal(0, deviation, points.xy.shape)
    return Keypoints(points.xy + offsets, points.score)
