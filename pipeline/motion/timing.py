"""Time: fill gaps, resample, and fit a pose to the length of the speech."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.fda import bridge
from pipeline.values import InputError, Keypoints, Pose

FACE_GAP, JOINT_GAP = 0.5, 0.2  # seconds over which missing points are interpolated
LENGTHS = ("pingpong", "loop", "trim", "hold")
TURN = 0.2  # seconds of slowing down before and after a turning point of the ping-pong
BLEND = 0.24  # seconds of cross-fade where a loop starts anew


def fill_gaps(pose: Pose) -> Pose:
    """Returns the pose with short gaps filled linearly, per point: face up to 0.5 s, body and hands 0.2 s.

    A point counts as missing where its score does not pass `VISIBLE`. Gaps at either end are left: there is
    nothing on the other side to interpolate to.
    """
    limits = {"body": JOINT_GAP, "hands": JOINT_GAP, "face": FACE_GAP}
    return replace(
        pose, **{n: _fill(getattr(pose, n), int(round(s * pose.fps))) for n, s in limits.items()}
    )


def _fill(points: Keypoints, limit: int) -> Keypoints:
    seen = points.visible
    xy, score = points.xy.copy(), points.score.copy()
    for k in np.flatnonzero(seen.any(0) & ~seen.all(0)):
        ids = np.flatnonzero(seen[:, k])
        inner = slice(ids[0], ids[-1] + 1)
        values = np.column_stack([xy[inner, k], score[inner, k]])
        values, _ = bridge(values, seen[inner, k], limit)
        xy[inner, k], score[inner, k] = values[:, :2], values[:, 2]
    return Keypoints(xy, score)


def resample(pose: Pose, fps: float) -> Pose:
    """Returns the pose at another frame rate, by time: as long to half a frame, points in between linear."""
    if not 0 < fps <= 1000:
        raise InputError(f"a frame rate of {fps} makes no sense; give one between 1 and 1000")
    if fps == pose.fps or len(pose) == 0:
        return replace(pose, fps=fps)
    ratio = pose.fps / fps
    frames = max(1, round(len(pose) / ratio))
    return replace(_at(pose, (np.arange(frames) + 0.5) * ratio - 0.5), fps=fps)


def fit_length(pose: Pose, frames: int, how: str = "pingpong") -> Pose:
    """Returns the pose cut or continued to `frames` frames.

    "pingpong" goes back and forth and slows down at the turning points, "loop" starts anew with a short
    cross-fade, "hold" repeats the last frame, "trim" only cuts and refuses a clip that is too short.
    """
    if how not in LENGTHS:
        raise InputError(
            f"unknown way {how!r} to fit the length; choose one of {', '.join(LENGTHS)}"
        )
    if frames < 1 or len(pose) < 1:
        raise InputError(
            f"cannot make {frames} frames from a pose of {len(pose)}; both must be 1 or more"
        )
    if frames <= len(pose):
        return pose[:frames]
    if how == "trim":
        raise InputError(
            f"the driving clip has {len(pose)} frames and {frames} are needed; give a longer clip or choose "
            "pingpong, loop or hold"
        )
    if how == "hold" or len(pose) == 1:
        return pose[np.minimum(np.arange(frames), len(pose) - 1)]
    return (
        _at(pose, _pingpong(len(pose), frames, pose.fps))
        if how == "pingpong"
        else _loop(pose, frames)
    )


def hold(reference: Pose, frames: int, fps: float) -> Pose:
    """Returns the reference's own pose, standing still for `frames` frames."""
    if len(reference) < 1 or frames < 1:
        raise InputError(
            f"cannot hold {len(reference)} frames of a reference pose for {frames} frames"
        )
    return replace(reference[np.zeros(frames, int)], fps=fps)


def _at(pose: Pose, times: np.ndarray) -> Pose:
    """The pose at fractional frame positions, held at the ends."""
    low = np.clip(np.floor(times).astype(int), 0, len(pose) - 1)
    high = np.minimum(low + 1, len(pose) - 1)
    return _mix(pose[low], pose[high], np.clip(times - low, 0, 1))


def _mix(one: Pose, other: Pose, weight: np.ndarray) -> Pose:
    """Between two poses, weight (T,) towards the other; where one lacks a point, the nearer one decides."""
    parts = {}
    for name in ("body", "hands", "face"):
        a, b = getattr(one, name), getattr(other, name)
        w = np.broadcast_to(weight[:, None], a.score.shape)
        w = np.where(a.visible == b.visible, w, (w > 0.5).astype(float))
        xy = a.xy * (1 - w[..., None]) + b.xy * w[..., None]
        parts[name] = Keypoints(xy, a.score * (1 - w) + b.score * w)
    return replace(one, **parts)


def _pingpong(length: int, frames: int, fps: float) -> np.ndarray:
    """Positions (frames,) of a triangle wave from 0 whose corners are rounded by a parabola."""
    last = length - 1
    t = np.arange(frames, dtype=float)
    corner = last * np.round(t / last)  # the nearest turning point in time
    away = np.abs(t - corner)
    reach = min(TURN * fps, last / 2)
    rounded = np.where(away < reach, (away**2 + reach**2) / (2 * reach), away)
    away = np.where(corner > 0, rounded, away)  # the clip's beginning is no turning point
    return np.where((corner / last).astype(int) % 2 == 0, away, last - away)


def _loop(pose: Pose, frames: int) -> Pose:
    fade = max(1, min(round(BLEND * pose.fps), len(pose) // 3))
    period = len(pose) - fade
    t = np.arange(frames)
    phase, again = t % period, t >= period
    weight = np.where(again & (phase < fade), (phase + 1) / (fade + 1), 1.0)
    tail = np.minimum(phase + period, len(pose) - 1)  # what the clip would have gone on with
    return _mix(pose[tail], pose[phase], weight)
