"""Edits of a pose as a clip: trim, mirror, speed, loop and ping-pong, arms of one person on another's body.

Every function takes poses and returns a new one with the frame rate and picture size of the first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion import timing
from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import (
    HIPS,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    LEFT_HAND,
    MIRROR_BODY,
    MIRROR_FACE,
    MIRROR_HANDS,
    NECK,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
    RIGHT_HAND,
    SHOULDERS,
)
from pipeline.values import InputError, Keypoints, Pose

SPEEDS = (0.1, 10.0)
# shoulder, elbow and wrist, hand
ARMS = (
    (R_SHOULDER, (R_ELBOW, R_WRIST), RIGHT_HAND),
    (L_SHOULDER, (L_ELBOW, L_WRIST), LEFT_HAND),
)
FULL_LENGTH = (
    75  # percentile over time taken as a bone's length: a turned trunk looks smaller than it is
)
TRUNK_GAP = 0.5  # seconds over which the lean of a trunk is interpolated where hips are missing


def trim(pose: Pose, start: float | None = None, stop: float | None = None) -> Pose:
    """Returns the frames whose centres lie from `start` to `stop` seconds; None = the clip's own end."""
    seconds = len(pose) / pose.fps
    first, last = 0.0 if start is None else start, seconds if stop is None else stop
    if not (np.isfinite([first, last]).all() and 0 <= first < last):
        raise InputError(
            f"cannot trim to {first:g} up to {last:g} s; give two times in order, from 0"
        )
    if first >= seconds or last > seconds + 1 / pose.fps:
        raise InputError(
            f"cannot trim to {first:g} up to {last:g} s: the pose lasts {seconds:.2f} s; give times within it"
        )
    centres = (np.arange(len(pose)) + 0.5) / pose.fps
    rows = np.flatnonzero((centres >= first) & (centres < last))
    if not len(rows):
        raise InputError(
            f"no frame lies between {first:g} and {last:g} s; give times further apart"
        )
    return pose[rows[0] : rows[-1] + 1]


def mirror(pose: Pose) -> Pose:
    """Returns the pose seen in a mirror: x becomes 1 - x, and left and right points change names."""
    parts = {}
    for name, order in (("body", MIRROR_BODY), ("hands", MIRROR_HANDS), ("face", MIRROR_FACE)):
        points = getattr(pose, name)
        xy, score = points.xy[:, order].copy(), points.score[:, order]
        xy[..., 0] = np.where(score > 0, 1 - xy[..., 0], xy[..., 0])
        parts[name] = Keypoints(xy, score)
    return replace(pose, **parts)


def speed(pose: Pose, factor: float) -> Pose:
    """Returns the pose played `factor` times as fast at its own frame rate, resampled by time."""
    if not (np.isfinite(factor) and SPEEDS[0] <= factor <= SPEEDS[1]):
        raise InputError(f"speed is {factor}; give a factor from {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    if factor == 1:
        return pose
    return timing.resample(replace(pose, fps=pose.fps * factor), pose.fps)


def loop(pose: Pose, frames: int) -> Pose:
    """Returns `frames` frames; where the clip starts anew it cross-fades out of its own last frames."""
    return timing.fit_length(pose, frames, "loop")


def pingpong(pose: Pose, frames: int) -> Pose:
    """Returns `frames` frames of the clip back and forth, slowing down where it turns."""
    return timing.fit_length(pose, frames, "pingpong")


def with_arms(pose: Pose, other: Pose) -> Pose:
    """Returns head, torso and legs of `pose` with elbows, wrists and hands of `other`.

    One scale in pixels for the clip, from shoulder widths and trunks (neck to hips). In every frame the arms
    turn by the difference of the two trunks' lean and hang on the shoulders of `pose`; where a shoulder is
    missing its arm is too. `other` is brought to the frame rate and, back and forth, to the length of `pose`.
    """
    if len(pose) < 1 or len(other) < 1:
        raise InputError(f"arms need poses with frames, got {len(pose)} and {len(other)}")
    other = timing.fit_length(timing.resample(other, pose.fps), len(pose), "pingpong")
    mine, theirs = _pixels(pose.body, pose.size), _pixels(other.body, other.size)
    ratio, turn = (
        _trunk_ratio(pose, mine, other, theirs),
        _lean(pose, mine) * np.conj(_lean(other, theirs)),
    )
    body, body_score = pose.body.xy.copy(), pose.body.score.copy()
    hands, hands_score = pose.hands.xy.copy(), pose.hands.score.copy()
    fingers = _pixels(other.hands, other.size)
    for shoulder, joints, side in ARMS:
        both = pose.body.visible[:, shoulder] & other.body.visible[:, shoulder]

        def moved(points: np.ndarray, k: int = shoulder) -> np.ndarray:
            z = mine[:, k, None] + ratio * turn[:, None] * (points - theirs[:, k, None])
            return np.stack([z.real / pose.size[1], z.imag / pose.size[0]], 2)

        for xy, score, source, new, where in (
            (body, body_score, other.body, theirs, list(joints)),
            (hands, hands_score, other.hands, fingers, side),
        ):
            score[:, where] = source.score[:, where] * both[:, None]
            xy[:, where] = np.where(score[:, where, None] > 0, moved(new[:, where]), 0.0)
    return replace(pose, body=Keypoints(body, body_score), hands=Keypoints(hands, hands_score))


def _pixels(points: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """(T,K) complex x + iy in pixels of a picture of `size` (H,W)."""
    return points.xy[..., 0] * size[1] + 1j * (points.xy[..., 1] * size[0])


def _trunk_ratio(pose: Pose, mine: np.ndarray, other: Pose, theirs: np.ndarray) -> float:
    """Trunk size of `pose` over that of `other`: the mean of what both show of shoulders and neck to hips."""
    ratios = []
    for measure in (_shoulders, _trunk):
        lengths = []
        for person, points in ((pose, mine), (other, theirs)):
            bone, seen = measure(person, points)
            lengths.append(np.percentile(np.abs(bone[seen]), FULL_LENGTH) if seen.any() else 0.0)
        if min(lengths) > 1.0:
            ratios.append(lengths[0] / lengths[1])
    if not ratios:
        raise InputError(
            "the two poses share neither both shoulders nor neck and hips, so arms cannot be fitted; use a "
            "clip that shows them"
        )
    return float(np.mean(ratios))


def _shoulders(pose: Pose, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    right, left = SHOULDERS
    return points[:, left] - points[:, right], pose.body.visible[:, list(SHOULDERS)].all(1)


def _trunk(pose: Pose, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = pose.body.visible[:, [NECK, *HIPS]].all(1)
    return points[:, NECK] - points[:, list(HIPS)].mean(1), seen


def _lean(pose: Pose, points: np.ndarray) -> np.ndarray:
    """(T,) unit numbers, the trunk's direction from hips to neck against upright; 1 where it is unknown."""
    trunk, seen = _trunk(pose, points)
    seen = seen & (np.abs(trunk) > 1.0)
    angle = np.where(seen, np.angle(np.where(seen, trunk, -1j) * 1j), 0.0)
    angle, known = bridge(angle, seen, round(TRUNK_GAP * pose.fps))
    return np.exp(1j * np.where(known, angle, 0.0))
