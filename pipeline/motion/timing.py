"""Fill short gaps of a pose, resample it, and fit it to the length of the speech."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.values import InputError, Keypoints, Pose

FACE_GAP_SECONDS = 0.5  # over which missing face points are interpolated
JOINT_GAP_SECONDS = 0.2  # the same for body and hands, which move faster
LENGTHS = ("pingpong", "loop", "trim", "hold")
TURN_SECONDS = 0.2  # of slowing down before and after a turning point of "pingpong"
BLEND_SECONDS = 0.24  # of cross-fade where a "loop" starts anew


def fill_gaps(pose: Pose) -> Pose:
    """Interpolate short gaps linearly, point by point: the face up to 0.5 s, body and hands 0.2 s.

    A point is missing where its score does not pass `VISIBLE`. Gaps at either end of the clip stay,
    since one side has nothing to interpolate to.
    """
    joint_gap = int(round(JOINT_GAP_SECONDS * pose.fps))
    face_gap = int(round(FACE_GAP_SECONDS * pose.fps))
    return replace(
        pose,
        body=_fill(pose.body, joint_gap),
        hands=_fill(pose.hands, joint_gap),
        face=_fill(pose.face, face_gap),
    )


def _fill(points: Keypoints, longest_gap: int) -> Keypoints:
    seen = points.visible
    xy = points.xy.copy()
    score = points.score.copy()
    interrupted = seen.any(0) & ~seen.all(0)
    for k in np.flatnonzero(interrupted):
        frames = np.flatnonzero(seen[:, k])
        inner = slice(frames[0], frames[-1] + 1)
        rows = np.column_stack([xy[inner, k], score[inner, k]])
        values, _ = bridge(rows, seen[inner, k], longest_gap)
        xy[inner, k] = values[:, :2]
        score[inner, k] = values[:, 2]
    return Keypoints(xy, score)


def resample(pose: Pose, fps: float) -> Pose:
    """Change the frame rate and keep the duration to half a frame; points in between are linear."""
    if not 0 < fps <= 1000:
        raise InputError(f"a frame rate of {fps} makes no sense; give one between 1 and 1000")
    if fps == pose.fps or len(pose) == 0:
        return replace(pose, fps=fps)
    ratio = pose.fps / fps
    frames = max(1, round(len(pose) / ratio))
    centers = (np.arange(frames) + 0.5) * ratio
    return replace(_interpolate(pose, centers - 0.5), fps=fps)


def fit_length(pose: Pose, frames: int, how: str = "pingpong") -> Pose:
    """Cut the pose or continue it to `frames` frames, in one of the ways of `positions`.

    Where a loop starts anew, the pose fades from what the clip would have gone on with.
    """
    source_frames = positions(len(pose), frames, how, pose.fps)
    if frames <= len(pose):
        return pose[:frames]
    if len(pose) > 1 and how == "pingpong":
        return _interpolate(pose, source_frames)
    if len(pose) > 1 and how == "loop":
        ending, restart, weight = _loop_frames(len(pose), frames, pose.fps)
        return mix(pose[ending], pose[restart], weight)
    return pose[source_frames.astype(int)]


def positions(length: int, frames: int, how: str, fps: float) -> np.ndarray:
    """Choose which frame of a clip is shown at each of `frames` frames: (frames,) float, from 0.

    Args:
        length: frames of the clip.
        frames: frames that are needed; a clip that is longer is cut.
        how: "pingpong" goes back and forth and slows down at the turning points, so its positions
            lie between frames. "loop" starts anew and shows the nearer frame of its cross-fade.
            "hold" repeats the last frame. "trim" only cuts.
        fps: the clip's frame rate.

    Raises:
        InputError: `how` is unknown, a length is 0, or "trim" meets a clip that is too short.
    """
    if how not in LENGTHS:
        raise InputError(
            f"unknown way {how!r} to fit the length; choose one of {', '.join(LENGTHS)}"
        )
    if frames < 1 or length < 1:
        raise InputError(
            f"cannot make {frames} frames from a pose of {length}; both must be 1 or more"
        )
    if frames > length and how == "trim":
        raise InputError(
            f"the driving clip has {length} frames and {frames} are needed; give a longer clip "
            "or choose pingpong, loop or hold"
        )
    if frames > length > 1 and how == "pingpong":
        return _pingpong(length, frames, fps)
    if frames > length > 1 and how == "loop":
        ending, restart, weight = _loop_frames(length, frames, fps)
        return np.where(weight > 0.5, restart, ending).astype(float)
    return np.minimum(np.arange(frames, dtype=float), length - 1)


def hold(reference: Pose, frames: int, fps: float) -> Pose:
    """Repeat the first frame of the reference's own pose for `frames` frames."""
    if len(reference) < 1 or frames < 1:
        raise InputError(
            f"cannot hold {len(reference)} frames of a reference pose for {frames} frames"
        )
    first_row = np.zeros(frames, int)
    return replace(reference[first_row], fps=fps)


def _interpolate(pose: Pose, source_frames: np.ndarray) -> Pose:
    """Take the pose at fractional frame positions; positions beyond an end stay on its frame."""
    last = len(pose) - 1
    whole = np.floor(source_frames).astype(int)
    low = np.clip(whole, 0, last)
    high = np.minimum(low + 1, last)
    weight = np.clip(source_frames - low, 0, 1)
    return mix(pose[low], pose[high], weight)


def mix(one: Pose, other: Pose, weight: np.ndarray) -> Pose:
    """Blend two poses, weight (T,) for `other`; where only one shows a point, the nearer one
    decides."""
    return replace(
        one,
        body=_mix_points(one.body, other.body, weight),
        hands=_mix_points(one.hands, other.hands, weight),
        face=_mix_points(one.face, other.face, weight),
    )


def _mix_points(one: Keypoints, other: Keypoints, weight: np.ndarray) -> Keypoints:
    w = np.broadcast_to(weight[:, None], one.score.shape)
    nearer = (w > 0.5).astype(float)
    w = np.where(one.visible == other.visible, w, nearer)
    w_xy = w[..., None]
    xy = one.xy * (1 - w_xy) + other.xy * w_xy
    score = one.score * (1 - w) + other.score * w
    return Keypoints(xy, score)


def _pingpong(length: int, frames: int, fps: float) -> np.ndarray:
    """Positions (frames,) of a triangle wave from 0 whose corners are rounded by a parabola."""
    last = length - 1
    time = np.arange(frames, dtype=float)
    nearest_turn = np.round(time / last)
    corner = last * nearest_turn
    away = np.abs(time - corner)
    reach = min(TURN_SECONDS * fps, last / 2)
    parabola = (away**2 + reach**2) / (2 * reach)
    rounded = np.where(away < reach, parabola, away)
    away = np.where(corner > 0, rounded, away)  # the clip's beginning is no turning point
    turns = (corner / last).astype(int)
    at_beginning = turns % 2 == 0
    return np.where(at_beginning, away, last - away)


def _loop_frames(length: int, frames: int, fps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Plan a loop's cross-fades: the frame that ends, the one that starts anew, the latter's
    weight."""
    blend = round(BLEND_SECONDS * fps)
    fade = max(1, min(blend, length // 3))
    period = length - fade
    time = np.arange(frames)
    restart = time % period
    fading = (time >= period) & (restart < fade)
    weight = np.where(fading, (restart + 1) / (fade + 1), 1.0)
    ending = np.minimum(restart + period, length - 1)
    return ending, restart, weight
