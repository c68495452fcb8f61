"""Generate the pose of a speaker without a driving video: beat gestures of the arms and sway of the
body.

`strokes` plans the gestures of the arms from the accents of the speech. Here they are applied to
the talking head of `head`, with a sway of the torso and a little movement of arms at rest, and made
smaller where they would leave the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.motion import timing
from pipeline.motion.curves import fit_frames, hann_mean
from pipeline.motion.gestures.arm_ik import Arm, find_arms
from pipeline.motion.gestures.head import HeadMotion, draw_waves, talking_head
from pipeline.motion.gestures.strokes import Stroke, angles_at, frames_of, plan_strokes
from pipeline.motion.keypoints import (
    ARMS,
    HIPS,
    L_SHOULDER,
    R_SHOULDER,
    SHOULDERS,
    complex_pixels,
)
from pipeline.values import InputError, Keypoints, Pose

if TYPE_CHECKING:
    from pipeline.motion.prosody import Prosody

MODES = ("still", "head", "full")
UPPER_BODY = np.array([0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 17])  # what sways with the torso

# Standard deviation and most of the sway of the torso.
SWAY_DEG = 0.7
MAX_SWAY_DEG = 1.8
# Speed of sway and idle movement in pauses, over that while speaking.
PAUSE_SPEED = 0.15
SPEECH_SMOOTHING_SECONDS = 0.2
# Standard deviation by which shoulder, elbow and wrist are never quite still.
IDLE_DEG = (0.5, 1.0, 1.2)
# Where hips are not seen the torso sways about a point this far under the neck.
PIVOT_SHOULDER_WIDTHS = 1.4
# Shares of the frame: gestures stay this far inside, or where the reference already is.
MARGIN = 0.004
# A gesture is made smaller in these steps until it stays in the frame; in the last two rounds it
# goes.
SHRINK = 0.75
ROUNDS = 12
MIN_SWING = 0.05


def default_mode(reference: Pose) -> str:
    """Return "full" where at least one arm with its wrist is in the picture, else "head"."""
    return "full" if find_arms(reference) else "head"


def pose_free(
    reference: Pose,
    face: Keypoints,
    head: HeadMotion,
    prosody: Prosody,
    rng: np.random.Generator,
    mode: str | None = None,
) -> Pose:
    """Return the pose of a speaker without a driving video.

    Args:
        reference: the pose in the reference image, one frame.
        face: the talking face (T,68,2) in the place of the reference's.
        head: the motion of the head, T frames.
        prosody: of the speech, T frames.
        rng: draws the gestures.
        mode: "still", "head", "full", or None for what the reference allows.
    """
    mode = mode or default_mode(reference)
    if mode not in MODES:
        modes = ", ".join(MODES)
        raise InputError(f"gestures {mode!r} are not known; choose one of {modes}")
    if mode == "still":
        held = timing.hold(reference, len(face), prosody.fps)
        return replace(held, face=face)
    pose = talking_head(reference, face, head, prosody.fps)
    if mode == "head":
        return pose
    return add_gestures(pose, reference, prosody, rng)


def add_gestures(pose: Pose, reference: Pose, prosody: Prosody, rng: np.random.Generator) -> Pose:
    """Add sway of the torso and beat gestures of the arms to a talking head.

    What would leave the frame, or bring a hand before the face, is made smaller until it does not.
    """
    if not reference.body.visible[0, SHOULDERS].all():
        return pose
    arms = find_arms(reference)
    strokes = plan_strokes(prosody, arms, rng, len(pose) / pose.fps)
    waves = draw_waves(_clock(prosody, pose), rng, 1 + 3 * len(arms))
    idle = waves[:, 1:].reshape(len(pose), -1, 3)
    gestures = _Gestures(
        pose=pose,
        reference=reference,
        arms=arms,
        strokes=strokes,
        time=(np.arange(len(pose)) + 0.5) / pose.fps,
        sway=MAX_SWAY_DEG * np.tanh(SWAY_DEG / MAX_SWAY_DEG * waves[:, 0]),
        idle=np.tanh(idle / 2) * 2 * IDLE_DEG,
    )
    swing = gestures.largest_swing()
    sizes = np.ones(len(strokes))
    for round_number in range(ROUNDS):
        moved = gestures.apply(sizes, swing)
        bad = _forbidden(moved, reference, pose)
        if not bad.any():
            return moved
        factor = SHRINK if round_number < ROUNDS - 2 else 0
        sizes = np.where(gestures.strokes_in(bad), sizes * factor, sizes)
    return gestures.apply(np.zeros(len(strokes)), swing)


def _clock(prosody: Prosody, pose: Pose) -> np.ndarray:
    """Return the seconds (T,) of a clock that nearly stands still in pauses."""
    speech = fit_frames(prosody.speech, len(pose))
    speech = hann_mean(speech, SPEECH_SMOOTHING_SECONDS * pose.fps)
    speed = PAUSE_SPEED + (1 - PAUSE_SPEED) * speech
    return np.cumsum(speed) / pose.fps


@dataclass(frozen=True)
class _Gestures:
    """Hold all that moves a person: strokes, `sway` (T,) and `idle` (T,arms,3) degrees, at `time`
    (T,) s."""

    pose: Pose
    reference: Pose
    arms: list[Arm]
    strokes: list[Stroke]
    time: np.ndarray
    sway: np.ndarray
    idle: np.ndarray

    def apply(self, sizes: np.ndarray, swing: float) -> Pose:
        """Return the moved pose; `sizes` scale the strokes, `swing` the sway and the idle
        movement."""
        low = np.array([arm.low for arm in self.arms]).reshape(-1, 3)
        high = np.array([arm.high for arm in self.arms]).reshape(-1, 3)
        turns = angles_at(self.strokes, sizes, self.time, len(self.arms))
        turns = np.clip(turns + swing * self.idle, low, high)
        return _move(self.pose, self.reference, self.arms, turns, swing * self.sway)

    def largest_swing(self) -> float:
        """Return the largest factor on sway and idle movement that is allowed without any
        stroke."""
        no_strokes = np.zeros(len(self.strokes))
        swing = 1.0
        while swing:
            moved = self.apply(no_strokes, swing)
            if not _forbidden(moved, self.reference, self.pose).any():
                break
            swing = swing * SHRINK if swing > MIN_SWING else 0.0
        return swing

    def strokes_in(self, frames: np.ndarray) -> np.ndarray:
        """Return (strokes,) bool: those that change one of the frames (T,) bool."""
        count = len(self.strokes)
        changed = [frames_of(self.strokes, k, self.time) for k in range(count)]
        return np.array([frames[rows].any() for rows in changed])


def _move(
    pose: Pose, reference: Pose, arms: list[Arm], turns: np.ndarray, sway: np.ndarray
) -> Pose:
    """Turn the arms by `turns` (T,arms,3) and the upper body by `sway` (T,), both in degrees."""
    body = complex_pixels(pose.body.xy, pose.size)
    hands = complex_pixels(pose.hands.xy, pose.size)
    face = complex_pixels(pose.face.xy, pose.size)
    rest = complex_pixels(reference.body.xy[0], pose.size)
    for rows in ARMS.values():
        # The arm rises with its shoulder as the person breathes.
        shoulder, elbow, wrist = rows.joints
        breath = (body[:, shoulder] - rest[shoulder])[:, None]
        body[:, [elbow, wrist]] = rest[[elbow, wrist]] + breath
        hands[:, rows.hand] += breath
    for k, arm in enumerate(arms):
        shoulder, elbow, wrist = arm.rows.joints
        placed = arm.place(body[:, shoulder], turns[:, k])
        body[:, [elbow, wrist]] = placed[:, :2]
        hands[:, arm.rows.hand] = placed[:, 2:]
    pivot = _pivot(reference, rest)
    turn = np.exp(1j * np.radians(sway))[:, None]
    body[:, UPPER_BODY] = pivot + (body[:, UPPER_BODY] - pivot) * turn
    hands = pivot + (hands - pivot) * turn
    face = pivot + (face - pivot) * turn
    return replace(
        pose,
        body=_with_pixels(pose.body, body, pose.size),
        hands=_with_pixels(pose.hands, hands, pose.size),
        face=_with_pixels(pose.face, face, pose.size),
    )


def _with_pixels(part: Keypoints, pixels: np.ndarray, size: tuple[int, int]) -> Keypoints:
    """Return the key points at complex pixels (T,K) of a picture of `size` (H,W)."""
    height, width = size
    xy = np.stack([pixels.real / width, pixels.imag / height], 2)
    return Keypoints(xy, part.score)


def _pivot(reference: Pose, rest: np.ndarray) -> complex:
    """Return the point the torso sways about: between the hips, or under the neck if they are not
    seen."""
    hips = list(HIPS)
    if reference.body.visible[0, hips].all():
        return rest[hips].mean()
    width = abs(rest[R_SHOULDER] - rest[L_SHOULDER])
    return rest[list(SHOULDERS)].mean() + 1j * PIVOT_SHOULDER_WIDTHS * width


def _forbidden(moved: Pose, reference: Pose, pose: Pose) -> np.ndarray:
    """Return (T,) bool: a point leaves the margin of the frame or a hand comes before the face.

    What is so in `pose` already is allowed.
    """
    bad = _leaves(moved.body, reference.body, pose.body)
    bad |= _leaves(moved.hands, reference.hands, pose.hands)
    bad |= _leaves(moved.face, reference.face, pose.face)
    if moved.face.visible[0].any():
        covers = _before_face(moved, moved.face) & ~_before_face(pose, moved.face)
        bad |= (covers & moved.hands.visible).any(1)
    return bad


def _leaves(moved: Keypoints, reference: Keypoints, before: Keypoints) -> np.ndarray:
    """Return (T,) bool: a point that lay inside the frame leaves its margin and where it was
    before."""
    rest = np.broadcast_to(reference.xy[:1], before.xy.shape)
    least = np.minimum(rest, before.xy)
    most = np.maximum(rest, before.xy)
    too_low = moved.xy < np.minimum(least, MARGIN)
    too_high = moved.xy > np.maximum(most, 1 - MARGIN)
    in_frame = (before.xy >= 0) & (before.xy <= 1)
    counted = moved.visible & in_frame.all(2)
    out = (too_low | too_high).any(2)
    return (out & counted).any(1)


def _before_face(pose: Pose, face: Keypoints) -> np.ndarray:
    """Return (T,42) bool: the points of the hands of a pose that lie in the box of a face."""
    known = face.visible[0]
    first = face.xy[:, known].min(1)[:, None]
    last = face.xy[:, known].max(1)[:, None]
    inside = (pose.hands.xy > first) & (pose.hands.xy < last)
    return inside.all(2)
