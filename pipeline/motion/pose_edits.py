"""Edit a pose as a clip: trim, mirror, speed, loop and ping-pong, arms of one person on another's
body.

Every function takes poses and returns a new one with the frame rate and picture size of the first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion import timing
from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import (
    HIPS,
    L_ARM,
    L_SHOULDER,
    LEFT_HAND,
    MIRROR_BODY,
    MIRROR_FACE,
    MIRROR_HANDS,
    NECK,
    R_ARM,
    R_SHOULDER,
    RIGHT_HAND,
    SHOULDERS,
    complex_pixels,
)
from pipeline.values import InputError, Keypoints, Pose

SPEEDS = (0.1, 10.0)
ARMS = ((R_ARM, RIGHT_HAND), (L_ARM, LEFT_HAND))  # shoulder, elbow, wrist; rows of the hand
# Percentile over time that is taken as a bone's length: a turned trunk looks smaller than it is.
FULL_LENGTH_PERCENTILE = 75
TRUNK_GAP_SECONDS = 0.5  # over which a trunk's lean is interpolated where hips are missing
MIN_LENGTH_PX = 1.0  # shorter bones have no direction and no ratio


def trim(pose: Pose, start: float | None = None, stop: float | None = None) -> Pose:
    """Keep the frames whose centers lie from `start` to `stop` seconds; None = the clip's own
    end."""
    seconds = len(pose) / pose.fps
    first = 0.0 if start is None else start
    last = seconds if stop is None else stop
    if not (np.isfinite([first, last]).all() and 0 <= first < last):
        raise InputError(
            f"cannot trim to {first:g} up to {last:g} s; give two times in order, from 0"
        )
    if first >= seconds or last > seconds + 1 / pose.fps:
        raise InputError(
            f"cannot trim to {first:g} up to {last:g} s: the pose lasts {seconds:.2f} s; give "
            "times within it"
        )
    centers = (np.arange(len(pose)) + 0.5) / pose.fps
    rows = np.flatnonzero((centers >= first) & (centers < last))
    if not len(rows):
        raise InputError(
            f"no frame lies between {first:g} and {last:g} s; give times further apart"
        )
    return pose[rows[0] : rows[-1] + 1]


def mirror(pose: Pose) -> Pose:
    """Show the pose in a mirror: x becomes 1 - x, and left and right points change names."""
    return replace(
        pose,
        body=_mirrored(pose.body, MIRROR_BODY),
        hands=_mirrored(pose.hands, MIRROR_HANDS),
        face=_mirrored(pose.face, MIRROR_FACE),
    )


def _mirrored(points: Keypoints, order: np.ndarray) -> Keypoints:
    xy = points.xy[:, order].copy()
    score = points.score[:, order]
    xy[..., 0] = np.where(score > 0, 1 - xy[..., 0], xy[..., 0])
    return Keypoints(xy, score)


def speed(pose: Pose, factor: float) -> Pose:
    """Play the pose `factor` times as fast at its own frame rate, resampled by time."""
    slowest, fastest = SPEEDS
    if not (np.isfinite(factor) and slowest <= factor <= fastest):
        raise InputError(f"speed is {factor}; give a factor from {slowest:g} to {fastest:g}")
    if factor == 1:
        return pose
    played = replace(pose, fps=pose.fps * factor)
    return timing.resample(played, pose.fps)


def loop(pose: Pose, frames: int) -> Pose:
    """Repeat the clip to `frames` frames; where it starts anew it fades out of its own last
    frames."""
    return timing.fit_length(pose, frames, "loop")


def pingpong(pose: Pose, frames: int) -> Pose:
    """Play the clip back and forth to `frames` frames, slowing down where it turns."""
    return timing.fit_length(pose, frames, "pingpong")


def with_arms(pose: Pose, other: Pose) -> Pose:
    """Put elbows, wrists and hands of `other` on head, torso and legs of `pose`.

    One scale in pixels for the clip, from shoulder widths and trunks (neck to hips). In every frame
    the arms turn by the difference of the two trunks' lean and hang on the shoulders of `pose`;
    where a shoulder is missing its arm is too. `other` is brought to the frame rate and, back and
    forth, to the length of `pose`.
    """
    if len(pose) < 1 or len(other) < 1:
        raise InputError(f"arms need poses with frames, got {len(pose)} and {len(other)}")
    resampled = timing.resample(other, pose.fps)
    other = timing.fit_length(resampled, len(pose), "pingpong")
    ratio = _trunk_ratio(pose, other)
    turn = _lean(pose) * np.conj(_lean(other))
    new_shoulders = complex_pixels(pose.body.xy, pose.size)
    joints = complex_pixels(other.body.xy, other.size)
    fingers = complex_pixels(other.hands.xy, other.size)
    body = Keypoints(pose.body.xy.copy(), pose.body.score.copy())
    hands = Keypoints(pose.hands.xy.copy(), pose.hands.score.copy())
    for (shoulder, elbow, wrist), hand_rows in ARMS:
        both_seen = pose.body.visible[:, shoulder] & other.body.visible[:, shoulder]
        for target, source, places, rows in (
            (body, other.body, joints, [elbow, wrist]),
            (hands, other.hands, fingers, hand_rows),
        ):
            arm = places[:, rows] - joints[:, shoulder, None]
            moved = new_shoulders[:, shoulder, None] + ratio * turn[:, None] * arm
            fractions = np.stack([moved.real / pose.size[1], moved.imag / pose.size[0]], 2)
            score = source.score[:, rows] * both_seen[:, None]
            target.score[:, rows] = score
            target.xy[:, rows] = np.where(score[..., None] > 0, fractions, 0.0)
    return replace(pose, body=body, hands=hands)


def _trunk_ratio(pose: Pose, other: Pose) -> float:
    """Divide the trunk size of `pose` by that of `other`: the mean over the lengths that both
    show."""
    ratios = []
    for measure in (_shoulder_line, _trunk):
        mine = _full_length(*measure(pose))
        theirs = _full_length(*measure(other))
        if min(mine, theirs) > MIN_LENGTH_PX:
            ratios.append(mine / theirs)
    if not ratios:
        raise InputError(
            "the two poses share neither both shoulders nor neck and hips, so arms cannot be "
            "fitted; use a clip that shows them"
        )
    return float(np.mean(ratios))


def _full_length(bone: np.ndarray, seen: np.ndarray) -> float:
    """Measure a bone (T,) complex in pixels where it is seen; 0 where it never is."""
    if not seen.any():
        return 0.0
    return np.percentile(np.abs(bone[seen]), FULL_LENGTH_PERCENTILE)


def _shoulder_line(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Right to left shoulder (T,) complex in pixels, and where both are seen (T,) bool."""
    body = complex_pixels(pose.body.xy, pose.size)
    seen = np.all(pose.body.visible[:, SHOULDERS], 1)
    return body[:, L_SHOULDER] - body[:, R_SHOULDER], seen


def _trunk(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the hips to neck (T,) complex in pixels, and where all three are seen (T,) bool."""
    body = complex_pixels(pose.body.xy, pose.size)
    seen = np.all(pose.body.visible[:, [NECK, *HIPS]], 1)
    return body[:, NECK] - body[:, HIPS].mean(1), seen


def _lean(pose: Pose) -> np.ndarray:
    """Measure the trunk's direction against upright: (T,) unit numbers; 1 where it is unknown."""
    trunk, seen = _trunk(pose)
    seen = seen & (np.abs(trunk) > MIN_LENGTH_PX)
    upward = np.where(seen, trunk, -1j)
    angle = np.where(seen, np.angle(upward * 1j), 0.0)
    angle, known = bridge(angle, seen, round(TRUNK_GAP_SECONDS * pose.fps))
    return np.exp(1j * np.where(known, angle, 0.0))
