"""Where a retargeted body stands: on the ground line by its feet, else by its face or its neck."""

from __future__ import annotations

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import ANKLES, EYES_NOSE, L_HIP, NECK, R_HIP
from pipeline.motion.retarget import proportions
from pipeline.motion.retarget.fit import Gains, Parts, Source, median_place, pose_of
from pipeline.values import Keypoints, Pose

FEET_SHARE = 0.5  # of the frames that must show a foot for the body to stand on it
# Leg lengths: a foot this much higher than the other carries 1/e of its weight.
SUPPORT_LEGS = 0.03
LEG_PERCENTILE = 90  # over time
MIN_LEG_PX = 1.0


def both_stand(pose: Pose, reference: Pose) -> bool:
    """Tell whether both people show feet to stand on, in the picture."""
    return _feet_share(pose) >= FEET_SHARE and shows_feet(reference)


def shows_feet(reference: Pose) -> bool:
    """Tell whether a picture shows a foot of its person."""
    return _feet_share(reference) == 1


def _feet_share(pose: Pose) -> float:
    heights = pose.body.xy[:, ANKLES, 1]
    in_picture = heights <= 1 + proportions.INSIDE
    shown = in_picture & pose.body.visible[:, ANKLES]
    return float(np.any(shown, 1).mean())


def neck_path(
    source: Source, chain: np.ndarray, gains: Gains, on_feet: bool
) -> tuple[np.ndarray, bool]:
    """Find the neck's path (T,2) in pixels up to a constant, and whether it comes from the feet.

    On feet: the mean of both, weighted to the lower one, moves as the driver's times the leg ratio,
    so that a planted foot stays planted; where all bones have one ratio this is a plain scaling.

    Args:
        source: the driver.
        chain: (T,19,2) the points relative to the neck, every bone at its length.
        gains: the factors on the bones.
        on_feet: whether both people show feet.
    """
    neck = source.body[:, NECK]
    legs = [gains.bones[name] for name in proportions.LEG if name in gains.bones]
    if not on_feet or not legs:
        return gains.scale * neck, False
    gain = float(np.mean(legs))
    path = gain * neck
    ankles = gain * source.body[:, ANKLES]
    stand = ankles - chain[:, ANKLES]
    seen = source.pose.body.visible[:, ANKLES]
    weight = _foot_weights(source, seen)
    weighted = weight[..., None] * stand
    excess = weighted.sum(1) - path
    excess, _ = bridge(excess, np.any(seen, 1), len(excess))
    return path + excess, True


def _foot_weights(source: Source, seen: np.ndarray) -> np.ndarray:
    """Share the body's weight (T,2) between the ankles that are `seen`: nearly all on the lower
    one."""
    heights = source.body[:, (NECK, *ANKLES), 1]
    reach = np.abs(np.ptp(heights, axis=1))
    leg = float(np.percentile(reach, LEG_PERCENTILE))
    leg = max(leg, MIN_LEG_PX)
    low = np.where(seen, source.body[:, ANKLES, 1], -np.inf)
    lowest = low.max(1, keepdims=True, where=seen, initial=-1e9)
    weight = np.exp((low - lowest) / (SUPPORT_LEGS * leg))
    total = weight.sum(1, keepdims=True)
    weight = np.where(seen, weight, 0.0)
    return weight / np.maximum(total, 1e-9)


def offset_to(goal: Pose, moved: Pose, frames: np.ndarray, on_feet: bool) -> tuple[np.ndarray, str]:
    """Measure how far to move a pose, (2,) pixels, and name what it was anchored on.

    Args:
        goal: where it shall be; one frame, or as many as `moved`.
        moved: the pose, in a picture of the same size.
        frames: those of `moved` to measure; none means all.
        on_feet: whether its feet shall stand on the goal's ground line.
    """
    rows = moved[frames] if len(frames) else moved
    goal_seen = np.any(goal.body.visible, 0)
    shared = np.any(rows.body.visible, 0) & goal_seen
    if not shared[NECK]:
        return _loose_offset(goal, rows)
    offset = _step(goal.body, rows.body, NECK, goal.pixel_scale)
    anchor = "neck"
    if shared[R_HIP] and shared[L_HIP]:
        right = _step(goal.body, rows.body, R_HIP, goal.pixel_scale)
        left = _step(goal.body, rows.body, L_HIP, goal.pixel_scale)
        hips = (right + left) / 2
        offset = (offset + hips) / 2
        anchor = "neck and hips"
    if on_feet:
        rise = _ground(goal) - _ground(rows)
        offset[1] = rise * goal.pixel_scale[1]
        anchor = "ground"
    return offset, anchor


def face_offset(goal: Pose, moved: Pose, frames: np.ndarray) -> np.ndarray | None:
    """Measure how far to move a pose, (2,) pixels, so that eyes and nose come to the goal's; None
    where one of both shows none. The arguments are those of `offset_to`."""
    rows = moved[frames] if len(frames) else moved
    face_shared = np.any(rows.face.visible, 0) & np.any(goal.face.visible, 0)
    face_points = EYES_NOSE[face_shared[EYES_NOSE]]
    if not len(face_points):
        return None
    return _mean_step(goal.face, rows.face, face_points, goal.pixel_scale)


def _loose_offset(goal: Pose, moved: Pose) -> tuple[np.ndarray, str]:
    """Measure the offset of people without a shared neck: by eyes and nose, else by the shared
    joints."""
    by_face = face_offset(goal, moved, np.zeros(0, int))
    if by_face is not None:
        return by_face, "face"
    joints_shared = np.any(moved.body.visible, 0) & np.any(goal.body.visible, 0)
    joints = np.flatnonzero(joints_shared)
    if len(joints):
        return _mean_step(goal.body, moved.body, joints, goal.pixel_scale), "joints"
    return np.zeros(2), ""


def _mean_step(
    goal: Keypoints, moved: Keypoints, points: np.ndarray, pixel_scale: np.ndarray
) -> np.ndarray:
    steps = [_step(goal, moved, k, pixel_scale) for k in points.tolist()]
    return np.mean(steps, axis=0)


def _step(goal: Keypoints, moved: Keypoints, k: int, pixel_scale: np.ndarray) -> np.ndarray:
    """Measure the way (2,) in pixels from point k to its goal, between their medians over time."""
    way = median_place(goal, k) - median_place(moved, k)
    return way * pixel_scale


def _ground(pose: Pose) -> float:
    """Measure the ground line as a fraction of the picture: the median over time of the lower
    foot."""
    seen = pose.body.visible[:, ANKLES]
    height = np.where(seen, pose.body.xy[:, ANKLES, 1], -np.inf)
    lower = height.max(1)
    standing = np.any(seen, 1)
    return float(np.median(lower[standing]))


def contained(pose: Pose, size: tuple[int, int], gain: float) -> Pose:
    """Fit the driving pose with its whole frame into a picture of `size`, centered."""
    picture = np.array([size[1], size[0]], float)
    margin = (picture - gain * pose.pixel_scale) / 2
    body = gain * pose.body.xy * pose.pixel_scale
    hands = gain * pose.hands.xy * pose.pixel_scale
    face = gain * pose.face.xy * pose.pixel_scale
    parts = Parts(body + margin, hands + margin, face + margin)
    return pose_of(parts, pose, size)
