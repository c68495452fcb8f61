"""Generate head motion, blinks and brows from speech, and the pose of a talking head.

The sign in which nods follow loudness differs between speakers (measured correlation -0.47 to +0.45
over ten of them). So the motion is generated from a seed, not trained: slow sway that grows with
speech, a nod at accents, blinks at pauses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.motion.curves import fit_frames, hann_mean, smoothstep
from pipeline.motion.face_animation import Axes, turn_face, turn_points
from pipeline.motion.keypoints import ELBOWS, HEAD_POINTS, L_SHOULDER, R_SHOULDER, SHOULDERS
from pipeline.values import BODY, InputError, Keypoints, Pose

if TYPE_CHECKING:
    from pipeline.motion.prosody import Prosody

# Standard deviation of yaw, pitch, roll while speaking; real heads: 4, 4.4, 3.2.
SWAY_DEG = (2.6, 1.8, 1.6)
SWAY_HZ = (0.12, 0.9)
SWAY_WAVES = 10
SWAY_EXPONENT = -0.6  # of the frequency: slow waves are the largest
# Standard deviation; the turn about the neck adds its own shift.
SHIFT_FACE_HEIGHTS = (0.012, 0.007)
# Of the speaking sway; real heads move 1.5 times as fast while speaking.
SILENT_SWAY = 0.55
SPEECH_SMOOTHING_SECONDS = 0.5
NOD_DEG = (1.2, 2.6)
NOD_YAW_DEG = 0.6  # standard deviation of the turn beside a nod
NOD_ROLL_DEG = 0.5
NOD_SECONDS = (0.32, 0.50)
NOD_DELAY_SECONDS = 0.03
# Share of the accents at which the brows rise.
BROW_SHARE = 0.4
BROW_HEIGHT = (0.4, 1.0)
BROW_SECONDS = (0.4, 0.7)
# Pauses between blinks are log-normal.
BLINK_MEDIAN_SECONDS = 2.4
BLINK_SPREAD = 0.45
BLINK_CLOSE_SECONDS = 0.075
BLINK_HOLD_SECONDS = 0.035
BLINK_OPEN_SECONDS = 0.140
MIN_BETWEEN_BLINKS_SECONDS = 0.4
# Share of the blinks that move to the start of a pause, if one is this near.
SNAP_SHARE = 0.6
SNAP_SECONDS = 0.5
BREATH_HZ = 0.25
# Rise of the shoulders over their width.
BREATH_RISE = 0.012
ELBOW_BREATH = 0.5  # of the shoulders' rise
# Of nose, eyes and ears, in distances between the eyes, as `face_animation.DEPTH`.
HEAD_DEPTH = np.array([0.66, 0.0, 0.0, -1.15, -1.15])


@dataclass(frozen=True)
class HeadMotion:
    """Describe the motion of a head per video frame.

    `angles` (T,3) yaw, pitch, roll in degrees; `shift` (T,2) right and down, in heights of the
    face; `blink` (T,) and `brow` (T,) in [0, 1].
    """

    angles: np.ndarray
    shift: np.ndarray
    blink: np.ndarray
    brow: np.ndarray


def draw_head_motion(
    prosody: Prosody, frames: int, fps: float, rng: np.random.Generator
) -> HeadMotion:
    """Draw sway, nods at the accents, blinks and brow raises for `frames` frames."""
    if frames < 1 or not fps > 0:
        raise ValueError(
            f"head motion needs at least one frame and a positive fps, got {frames} and {fps}"
        )
    time = (np.arange(frames) + 0.5) / fps
    speech = fit_frames(prosody.speech, frames)
    speaking = hann_mean(speech, SPEECH_SMOOTHING_SECONDS * fps)
    amount = SILENT_SWAY + (1 - SILENT_SWAY) * speaking
    sway = draw_waves(time, rng, 5)
    angles = sway[:, :3] * np.array(SWAY_DEG) * amount[:, None]
    shift = sway[:, 3:] * np.array(SHIFT_FACE_HEIGHTS) * amount[:, None]
    brow = np.zeros(frames)
    accents = np.asarray(prosody.accents, float).reshape(-1, 2)
    for second, strength in accents:
        nod = _bump(time, second + NOD_DELAY_SECONDS, rng.uniform(*NOD_SECONDS)) * strength
        yaw = rng.normal(0, NOD_YAW_DEG)
        pitch = rng.uniform(*NOD_DEG)
        roll = rng.normal(0, NOD_ROLL_DEG)
        angles += nod[:, None] * np.array([yaw, pitch, roll])
        height = rng.uniform(*BROW_HEIGHT)
        length = rng.uniform(*BROW_SECONDS)
        if rng.random() < BROW_SHARE:
            brow = np.maximum(brow, height * strength * _bump(time, second, length))
    blink = _draw_blinks(time, speech, fps, rng)
    return HeadMotion(angles, shift, blink, brow)


def draw_waves(time: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw (T,count) sums of sine waves with amplitude f^-0.6 and standard deviation 1.

    time: (T,) seconds.
    """
    low, high = np.log(SWAY_HZ)
    shape = (SWAY_WAVES, count)
    frequency = np.exp(rng.uniform(low, high, shape))
    phase = rng.uniform(0, 2 * np.pi, shape)
    amplitude = frequency**SWAY_EXPONENT
    variance = (amplitude**2).sum(0) / 2
    amplitude /= np.sqrt(variance)
    angle = 2 * np.pi * frequency * time[:, None, None] + phase
    return (amplitude * np.sin(angle)).sum(1)


def _bump(time: np.ndarray, center: float, seconds: float) -> np.ndarray:
    """Return a raised cosine of height 1 at `center` and of a length of `seconds`."""
    share = np.clip((time - center) / seconds, -0.5, 0.5)
    return 0.5 + 0.5 * np.cos(2 * np.pi * share)


def _draw_blinks(
    time: np.ndarray, speech: np.ndarray, fps: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the closure (T,) of the lids in [0, 1]."""
    quiet = speech < 0.5
    pause_begins = quiet[1:] & ~quiet[:-1]
    pauses = time[1:][pause_begins]
    closure = np.zeros(len(time))
    moment = 0.0
    last = -1.0
    while True:
        moment += BLINK_MEDIAN_SECONDS * np.exp(rng.normal(0, BLINK_SPREAD))
        snaps = rng.random() < SNAP_SHARE
        if moment > time[-1]:
            return closure
        if snaps:
            moment = _snap(moment, pauses)
        # A blink that moved may not fall on the one before.
        if moment < last + MIN_BETWEEN_BLINKS_SECONDS:
            continue
        last = moment
        closure = np.maximum(closure, _one_blink(time, moment, fps))


def _snap(moment: float, pauses: np.ndarray) -> float:
    """Return the start of the nearest pause, or the moment itself where none is near."""
    distance = np.abs(pauses - moment)
    if len(pauses) == 0 or distance.min() > SNAP_SECONDS:
        return moment
    return float(pauses[np.argmin(distance)])


def _one_blink(time: np.ndarray, start: float, fps: float) -> np.ndarray:
    """Return the closure (T,) of one blink, which is seen shut in at least one frame.

    A frame shows the lowest lid of its own duration.
    """
    shut = start + BLINK_CLOSE_SECONDS
    lift = start + BLINK_CLOSE_SECONDS + BLINK_HOLD_SECONDS
    middle = (shut + lift) / 2
    nearest = np.clip(middle, time - 0.5 / fps, time + 0.5 / fps)
    down = np.clip((nearest - start) / BLINK_CLOSE_SECONDS, 0, 1)
    up = np.clip((lift + BLINK_OPEN_SECONDS - nearest) / BLINK_OPEN_SECONDS, 0, 1)
    return smoothstep(np.minimum(down, up), 0.0, 1.0)


def talking_head(reference: Pose, face: Keypoints, head: HeadMotion, fps: float) -> Pose:
    """Return the pose of a talking head: the body held and breathing, head and face turned and
    shifted.

    The neck stays where it is.

    Args:
        reference: the pose in the reference image, one frame.
        face: the talking face (T,68,2) in the place of the reference's.
        head: the motion of the head, T frames.
        fps: frames a second.
    """
    frames = len(face)
    if len(reference) < 1 or not reference.face.visible[0].any():
        raise InputError(
            "the reference shows no face; give a reference image in which the face is seen"
        )
    if len(head.angles) != frames:
        raise ValueError(
            f"head motion has {len(head.angles)} frames but the face {frames}; make them equal"
        )
    axes = Axes.of(reference.face.xy[0], reference.size)
    shift = _shift_in_fractions(reference, head, axes)
    turned_face = turn_face(face.xy, head.angles, axes) + shift
    body = np.repeat(reference.body.xy[:1], frames, axis=0)
    head_points = np.array(HEAD_POINTS)
    present = reference.body.score[0, head_points] > 0
    seen = head_points[present]
    depth = HEAD_DEPTH[present]
    body[:, seen] = turn_points(body[:, seen], depth, head.angles, axes) + shift
    _breathe(body, reference, fps)
    score = np.repeat(reference.body.score[:1], frames, axis=0)
    return Pose(
        body=Keypoints(body, score.reshape(frames, BODY)),
        hands=reference.hands[np.zeros(frames, int)],
        face=Keypoints(turned_face, face.score),
        fps=fps,
        size=reference.size,
    )


def _shift_in_fractions(reference: Pose, head: HeadMotion, axes: Axes) -> np.ndarray:
    """Return the shift (T,1,2) of the head in fractions of the picture."""
    visible = reference.face.visible[0]
    known = reference.face.xy[0, visible]  # a missing point may lie anywhere
    height = float(np.ptp(axes.inside(known)[:, 1]))
    origin = axes.outside(np.zeros(2))
    return (axes.outside(head.shift * height) - origin)[:, None]


def _breathe(body: np.ndarray, reference: Pose, fps: float) -> None:
    """Lift the shoulders, and the elbows half as far, in place; the first frame is at rest."""
    score = reference.body.score[0]
    if not (score[list(SHOULDERS)] > 0).all():
        return
    height, width = reference.size
    across = body[0, R_SHOULDER] - body[0, L_SHOULDER]
    shoulder_width = np.hypot(*(across * np.array([width, height], float)))
    rise = BREATH_RISE * shoulder_width / height
    phase = 2 * np.pi * BREATH_HZ * np.arange(len(body)) / fps
    breath = 0.5 - 0.5 * np.cos(phase)
    for points, share in ((SHOULDERS, 1.0), (ELBOWS, ELBOW_BREATH)):
        for k in points:
            if score[k] > 0:
                body[:, k, 1] -= share * rise * breath
