"""Speech -> head motion, blinks and brows, and the pose of a talking head when there is no driving video.

Nods do not follow loudness in any sign that speakers share (measured correlation -0.47 to +0.45 over ten of
them), so this is generated and seeded, not trained: slow sway that grows with speech, a nod at accents,
blinks at pauses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.motion import face_animation
from pipeline.motion.keypoints import ELBOWS, HEAD_POINTS, SHOULDERS
from pipeline.values import BODY, InputError, Keypoints, Pose

if TYPE_CHECKING:
    from pipeline.motion.prosody import Prosody

# Standard deviation of yaw, pitch, roll while speaking; real heads: 4, 4.4, 3.2
SWAY_DEGREES = (2.6, 1.8, 1.6)
SWAY_HERTZ = (0.12, 0.9)
SWAY_WAVES = 10
# standard deviation, of the face's height; the turn about the neck adds its own
SHIFT = (0.012, 0.007)
SILENT_SWAY = 0.55  # of the speaking sway (real heads move 1.5 times as fast while speaking)
NOD_DEGREES = (1.2, 2.6)
NOD_SECONDS = (0.32, 0.50)
NOD_DELAY = 0.03
BROW_SHARE = 0.4  # of the accents
# s and log-normal sigma of the pauses between blinks
BLINK_MEDIAN = 2.4
BLINK_SPREAD = 0.45
BLINK_CLOSE = 0.075
BLINK_HOLD = 0.035
BLINK_OPEN = 0.140
# blinks that move to the start of a near pause
SNAP_SHARE = 0.6
SNAP_SECONDS = 0.5
# of the shoulders, rise as a share of their width
BREATH_HERTZ = 0.25
BREATH_RISE = 0.012
HEAD_DEPTH = np.array([0.66, 0.0, 0.0, -1.15, -1.15])


@dataclass(frozen=True)
class HeadMotion:
    """Per video frame: `angles` (T,3) yaw, pitch, roll in degrees; `blink` (T,) and `brow` (T,) in [0, 1].

    `shift` (T,2), right and down, is in heights of the face.
    """

    angles: np.ndarray
    shift: np.ndarray
    blink: np.ndarray
    brow: np.ndarray


def head_motion(prosody: Prosody, frames: int, fps: float, rng: np.random.Generator) -> HeadMotion:
    """Sway, nods at the accents, blinks and brow raises for `frames` frames; the rng alone decides."""
    if frames < 1 or not fps > 0:
        raise InputError(
            f"head motion needs at least one frame and a positive fps, got {frames} and {fps}"
        )
    time = (np.arange(frames) + 0.5) / fps
    speech = fitted(prosody.speech, frames)
    active = SILENT_SWAY + (1 - SILENT_SWAY) * smooth(speech, 0.5 * fps)
    sway = waves(time, rng, 5)
    angles = sway[:, :3] * np.array(SWAY_DEGREES) * active[:, None]
    shift = sway[:, 3:] * np.array(SHIFT) * active[:, None]
    brow = np.zeros(frames)
    for second, strength in np.asarray(prosody.accents, float).reshape(-1, 2):
        nod = _bump(time, second + NOD_DELAY, rng.uniform(*NOD_SECONDS)) * strength
        angles += nod[:, None] * np.array(
            [rng.normal(0, 0.6), rng.uniform(*NOD_DEGREES), rng.normal(0, 0.5)]
        )
        height = rng.uniform(0.4, 1.0)
        length = rng.uniform(0.4, 0.7)
        if rng.random() < BROW_SHARE:
            brow = np.maximum(brow, height * strength * _bump(time, second, length))
    return HeadMotion(angles, shift, _blinks(time, speech, fps, rng), brow)


def fitted(curve: np.ndarray, frames: int) -> np.ndarray:
    """The curve cut, or held at its last value, to `frames` rows; zeros when it has none."""
    curve = np.asarray(curve, float)[:frames]
    return np.pad(curve, (0, frames - len(curve)), mode="edge") if len(curve) else np.zeros(frames)


def smooth(curve: np.ndarray, frames: float) -> np.ndarray:
    """Hann mean over about `frames` rows, centred, with held ends."""
    half = max(1, int(frames / 2))
    kernel = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(np.pad(curve, half, mode="edge"), kernel / kernel.sum(), mode="valid")


def _bump(time: np.ndarray, centre: float, seconds: float) -> np.ndarray:
    """Raised cosine of height 1 at `centre`, `seconds` long."""
    return 0.5 + 0.5 * np.cos(2 * np.pi * np.clip((time - centre) / seconds, -0.5, 0.5))


def waves(time: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """(T, count) sums of sinusoids with amplitude f^-0.6 and standard deviation 1."""
    low, high = np.log(SWAY_HERTZ)
    hertz = np.exp(rng.uniform(low, high, (SWAY_WAVES, count)))
    phase = rng.uniform(0, 2 * np.pi, (SWAY_WAVES, count))
    weight = hertz**-0.6
    weight /= np.sqrt((weight**2).sum(0) / 2)
    return (weight * np.sin(2 * np.pi * hertz * time[:, None, None] + phase)).sum(1)


def _blinks(
    time: np.ndarray, speech: np.ndarray, fps: float, rng: np.random.Generator
) -> np.ndarray:
    """(T,) lid closure in [0, 1]."""
    quiet = speech < 0.5
    pauses = time[1:][quiet[1:] & ~quiet[:-1]]
    curve = np.zeros(len(time))
    moment = 0.0
    last = -1.0
    while True:
        moment += BLINK_MEDIAN * np.exp(rng.normal(0, BLINK_SPREAD))
        snap = rng.random() < SNAP_SHARE
        if moment > time[-1]:
            return curve
        near = pauses[np.abs(pauses - moment) <= SNAP_SECONDS] if snap else pauses[:0]
        if len(near):
            moment = float(near[np.argmin(np.abs(near - moment))])
        if moment < last + 0.4:  # a snapped blink may not fall on the one before
            continue
        last = moment
        curve = np.maximum(curve, _one_blink(time, moment, fps))


def _one_blink(time: np.ndarray, start: float, fps: float) -> np.ndarray:
    """One blink, seen shut in at least one frame: a frame takes the lowest lid of its own duration."""
    shut = start + BLINK_CLOSE
    lift = start + BLINK_CLOSE + BLINK_HOLD
    early = time - 0.5 / fps
    late = time + 0.5 / fps
    nearest = np.clip((shut + lift) / 2, early, late)
    down = np.clip((nearest - start) / BLINK_CLOSE, 0, 1)
    up = np.clip((lift + BLINK_OPEN - nearest) / BLINK_OPEN, 0, 1)
    value = np.minimum(down, up)
    return value * value * (3 - 2 * value)


def talking_head(reference: Pose, face: Keypoints, head: HeadMotion, fps: float) -> Pose:
    """The pose-free prior: the reference's body held and breathing, its head and face turned and shifted.

    face: the speaking face (T,68,2) in the reference's own place. The neck stays where it is.
    """
    frames = len(face)
    if len(reference) < 1 or not reference.face.visible[0].any():
        raise InputError(
            "the reference shows no face; give a reference image in which the face is seen"
        )
    if len(head.angles) != frames:
        raise InputError(
            f"head motion has {len(head.angles)} frames but the face {frames}; make them equal"
        )
    axes = face_animation.Axes.of(reference.face.xy[0], reference.size)
    known = reference.face.xy[0, reference.face.visible[0]]  # a missing point may lie anywhere
    tall = float(np.ptp(axes.inside(known)[:, 1]))
    shift = (axes.outside(head.shift * tall) - axes.outside(np.zeros(2)))[:, None]
    turned = face_animation.turn(face.xy, head.angles, reference.size, axes) + shift
    body = np.repeat(reference.body.xy[:1], frames, axis=0)
    seen = np.array(HEAD_POINTS)[reference.body.score[0, HEAD_POINTS] > 0]
    depth = HEAD_DEPTH[np.isin(HEAD_POINTS, seen)]
    body[:, seen] = face_animation.turn_points(body[:, seen], depth, head.angles, axes) + shift
    _breathe(body, reference, fps)
    score = np.repeat(reference.body.score[:1], frames, axis=0)
    hands = reference.hands[np.zeros(frames, int)]
    return Pose(
        Keypoints(body, score.reshape(frames, BODY)),
        hands,
        Keypoints(turned, face.score),
        fps,
        reference.size,
    )


def _breathe(body: np.ndarray, reference: Pose, fps: float) -> None:
    """Lifts the shoulders, and the elbows half as far, in place; rest at the first frame."""
    score = reference.body.score[0]
    if not (score[list(SHOULDERS)] > 0).all():
        return
    across = (body[0, SHOULDERS[0]] - body[0, SHOULDERS[1]]) * np.array(reference.size[::-1], float)
    rise = BREATH_RISE * np.hypot(*across) / reference.size[0]
    breath = 0.5 - 0.5 * np.cos(2 * np.pi * BREATH_HERTZ * np.arange(len(body)) / fps)
    for points, share in ((SHOULDERS, 1.0), (ELBOWS, 0.5)):
        for k in points:
            if score[k] > 0:
                body[:, k, 1] -= share * rise * breath
