"""Measure the angle of every bone over time, and split it into rest, slow posture and stroke.

The torso and the arms are a tree of eight bones that start at the hips. The angle of a forearm or a
hand is taken against its parent, that of the other bones against upright. Points are complex
numbers x + iy in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.curves import smoothstep
from pipeline.motion.keypoints import (
    HAND_POINTS,
    HEAD_POINTS,
    HIPS,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    MIDDLE_ROOT,
    NECK,
    NOSE,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
    SHOULDERS,
)
from pipeline.values import BODY, FACE, HANDS, Pose

# Where the parts begin when all 128 points of a pose stand in one row.
FIRST_LEFT_HAND = BODY
FIRST_RIGHT_HAND = BODY + HAND_POINTS
FIRST_FACE = BODY + HANDS

TORSO = 0
HEAD = 1
R_UPPER_ARM, R_FOREARM, R_HAND = 2, 3, 4
L_UPPER_ARM, L_FOREARM, L_HAND = 5, 6, 7
STILL = 8  # stands for the hips, legs and feet, which never turn
# Start point, end point, parent bone. The torso starts between the hips; a hand ends at its middle
# finger's root.
BONES = (
    (HIPS[0], NECK, STILL),
    (NECK, NOSE, TORSO),
    (R_SHOULDER, R_ELBOW, TORSO),
    (R_ELBOW, R_WRIST, R_UPPER_ARM),
    (R_WRIST, FIRST_RIGHT_HAND + MIDDLE_ROOT, R_FOREARM),
    (L_SHOULDER, L_ELBOW, TORSO),
    (L_ELBOW, L_WRIST, L_UPPER_ARM),
    (L_WRIST, FIRST_LEFT_HAND + MIDDLE_ROOT, L_FOREARM),
)
START = np.array([start for start, _, _ in BONES])
END = np.array([end for _, end, _ in BONES])
PARENT = np.array([parent for _, _, parent in BONES])
# The bones whose angle is taken against the parent.
LOCAL = np.array([R_FOREARM, R_HAND, L_FOREARM, L_HAND])
# The bones that move with a bone, itself included.
FOLLOWERS = (range(8), (1,), (2, 3, 4), (3, 4), (4,), (5, 6, 7), (6, 7), (7,))

LEAST_LENGTH_PX = 1e-6  # a shorter bone has no direction
FULL_LENGTH_QUANTILE = 0.95
# Sigma of the fade to gain 1 around missing joints; at 0.12 s arms sprang back.
FADE_SECONDS = 0.5
# A bone whose direction is steady to less than this has no posture to deviate from: it spins.
STEADINESS = (0.2, 0.5)
# Weight of a moment in the rest angle, beside how quiet the speech is then.
REST_FLOOR = 0.15
REST_ROUNDS = 4
REST_WIDTH_DEG = 60  # what lies far from the rest angle pulls it less


def _carriers() -> np.ndarray:
    """Return (128,) the bone that carries each point; STILL for hips, legs and feet."""
    carrier = np.full(BODY + HANDS + FACE, STILL)
    carrier[[NECK, *SHOULDERS]] = TORSO
    carrier[list(HEAD_POINTS)] = HEAD
    carrier[FIRST_FACE:] = HEAD
    carrier[[R_ELBOW, L_ELBOW]] = R_UPPER_ARM, L_UPPER_ARM
    carrier[[R_WRIST, L_WRIST]] = R_FOREARM, L_FOREARM
    carrier[FIRST_RIGHT_HAND:FIRST_FACE] = R_HAND
    carrier[FIRST_LEFT_HAND:FIRST_RIGHT_HAND] = L_HAND
    return carrier


CARRIER = _carriers()


@dataclass(frozen=True)
class PosePoints:
    """Hold all points of a pose in one row: body, hands, face.

    `xy` (T,128) pixels as x + iy, 0 where missing; `visible` (T,128) bool; `inside` (T,128) bool:
    visible and inside the picture; `size` (H,W) pixels.
    """

    xy: np.ndarray
    visible: np.ndarray
    inside: np.ndarray
    fps: float
    size: tuple[int, int]

    @staticmethod
    def of(pose: Pose) -> PosePoints:
        """Collect the points of a pose."""
        parts = (pose.body, pose.hands, pose.face)
        fractions = np.concatenate([part.xy for part in parts], 1)
        visible = np.concatenate([part.visible for part in parts], 1)
        visible = visible & np.isfinite(fractions).all(2)
        in_frame = (fractions >= 0) & (fractions <= 1)
        height, width = pose.size
        pixels = fractions[..., 0] * width + 1j * (fractions[..., 1] * height)
        return PosePoints(
            xy=np.where(visible, pixels, 0),
            visible=visible,
            inside=visible & in_frame.all(2),
            fps=pose.fps,
            size=pose.size,
        )


@dataclass(frozen=True)
class BoneAngles:
    """Hold the bones over time: every field (T,8), or (T,) for one bone.

    `pivot`: the start point, pixels as x + iy. `usable` bool: the bone may turn. `stroke` and
    `posture`: radians. `keep`: the share of the gain that the bone takes, 0 to 1.
    """

    pivot: np.ndarray
    usable: np.ndarray
    stroke: np.ndarray
    posture: np.ndarray
    keep: np.ndarray

    def bone(self, index: int) -> BoneAngles:
        """Return one bone, every field (T,)."""
        return self._select((slice(None), index))

    def rows(self, rows: np.ndarray) -> BoneAngles:
        """Return the bones in some frames."""
        return self._select(rows)

    def _select(self, index: np.ndarray | tuple[slice, int]) -> BoneAngles:
        return BoneAngles(
            self.pivot[index],
            self.usable[index],
            self.stroke[index],
            self.posture[index],
            self.keep[index],
        )


def measure_bones(
    points: PosePoints,
    quiet: np.ndarray,
    posture_seconds: float,
    foreshortened: tuple[float, float],
) -> BoneAngles:
    """Measure the bones and split the angle of every bone into rest, slow posture and stroke.

    Args:
        points: the pose, T frames.
        quiet: (T,) in [0, 1], how quiet the speech is; quiet moments tell the rest angle.
        posture_seconds: sigma of the circular low-pass whose result is the posture.
        foreshortened: projected over full length at which a bone takes nothing and all of the gain.
    """
    hips = list(HIPS)
    pivot = points.xy[:, START]
    pivot[:, TORSO] = points.xy[:, hips].mean(1)
    vector = points.xy[:, END] - pivot
    length = np.abs(vector)
    both_ends = points.visible[:, START] & points.visible[:, END]
    seen = both_ends & (length > LEAST_LENGTH_PX)
    # Hips under the edge of the picture are guesses.
    seen[:, TORSO] &= points.inside[:, hips].all(1)
    usable = seen.copy()
    usable[:, LOCAL] &= seen[:, PARENT[LOCAL]]
    direction = np.where(seen, vector / np.maximum(length, LEAST_LENGTH_PX), 1)
    local = direction.copy()
    local[:, LOCAL] *= np.conj(direction[:, PARENT[LOCAL]])
    keep = _keep(length, seen, usable, foreshortened)
    keep = _fade(keep, usable, points.fps)
    weight = keep + 1e-9
    sigma = posture_seconds * points.fps
    slow = _lowpass(weight * local, sigma)
    steadiness = np.abs(slow) / np.maximum(_lowpass(weight, sigma), 1e-12)
    rest = _rest(local, weight * (REST_FLOOR + quiet[:, None]))
    return BoneAngles(
        pivot=pivot,
        usable=usable,
        stroke=np.angle(local * np.conj(slow)),
        posture=np.angle(slow * np.conj(rest)),
        keep=keep * smoothstep(steadiness, *STEADINESS),
    )


def _keep(
    length: np.ndarray, seen: np.ndarray, usable: np.ndarray, foreshortened: tuple[float, float]
) -> np.ndarray:
    """Return the share (T,8) of the gain that a bone takes: less where it or its parent is
    foreshortened."""
    full = np.ones(len(BONES))
    for bone, rows in enumerate(seen.T):
        if rows.any():
            full[bone] = np.quantile(length[rows, bone], FULL_LENGTH_QUANTILE)
    keep = smoothstep(length / full, *foreshortened)
    keep[:, LOCAL] = np.minimum(keep[:, LOCAL], keep[:, PARENT[LOCAL]])
    return keep


def _fade(keep: np.ndarray, usable: np.ndarray, fps: float) -> np.ndarray:
    """Fade the share (T,8) to 0 where a bone goes missing."""
    sigma = FADE_SECONDS * fps
    present = gaussian_filter1d(usable.astype(float), sigma, axis=0, mode="nearest")
    return np.where(usable, keep * smoothstep(present, 0.5, 1.0), 0)


def _lowpass(values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth (T,8) over time by a Gaussian of `sigma` frames, with mirrored ends."""
    return gaussian_filter1d(values, sigma, axis=0, mode="reflect", truncate=3.0)


def _rest(direction: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return (8,) the robust weighted circular mean of directions (T,8), unit complex numbers."""
    width = np.radians(REST_WIDTH_DEG)
    pull = weight
    for _ in range(REST_ROUNDS):
        mean = (pull * direction).sum(0)
        mean = mean / np.maximum(np.abs(mean), 1e-12)
        away = np.angle(direction * np.conj(mean))
        pull = weight * np.exp(-0.5 * (away / width) ** 2)
    return mean
