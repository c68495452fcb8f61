"""Measure generated gestures on their key points, not on the plan behind them.

A movement of a wrist lies between two neighboring minima of its speed against the neck. A stroke
is a movement of at most 0.32 s and at least 0.05 shoulder widths; preparations and returns last
longer. Its end is the apex. An accent has a stroke where an apex lies within 0.3 s of it, the
fastest one where there are several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics import gestures
from pipeline.evaluation.metrics.pairing import silent_motion
from pipeline.motion import prosody
from pipeline.motion.gestures import arm_ik, beats
from pipeline.motion.gestures.head import draw_head_motion
from pipeline.motion.gestures.strokes import phrases
from pipeline.motion.keypoints import (
    HAND_EDGES,
    HAND_POINTS,
    L_SHOULDER,
    LIMBS,
    MIDDLE_ROOT,
    NECK,
    R_SHOULDER,
    TRUNK_BONES,
    complex_pixels,
)
from pipeline.values import Keypoints, Motion, Pose

LONGEST_STROKE_SECONDS = 0.32
LEAST_PATH_SHOULDER_WIDTHS = 0.05
NEAR_SECONDS = 0.30  # an apex farther from an accent does not belong to it
TOLERANCE_DEG = 0.1
HAND_BONES = [
    *HAND_EDGES,
    *((start + HAND_POINTS, end + HAND_POINTS) for start, end in HAND_EDGES),
]
BODY_BONES = [*TRUNK_BONES, *LIMBS]
LEAST_BONE_PX = 1  # shorter bones of the reference have no exact length


@dataclass(frozen=True)
class SpeakingPerson:
    """One reference that gestures to a speech: the generated motion and the speech's prosody."""

    motion: Motion
    prosody: prosody.Prosody


def gesture_to(reference: Pose, speech: prosody.Prosody, seed: int) -> SpeakingPerson:
    """Generate the pipeline's pose-free motion with a still face, which moves no wrist."""
    frames = len(speech)
    xy = np.repeat(reference.face.xy, frames, 0)
    score = np.repeat(reference.face.score, frames, 0)
    head_rng = np.random.default_rng(seed)
    head_motion = draw_head_motion(speech, frames, speech.fps, head_rng)
    body_rng = np.random.default_rng((seed, 1))
    pose = beats.pose_free(reference, Keypoints(xy, score), head_motion, speech, body_rng)
    return SpeakingPerson(silent_motion(pose, reference, speech), speech)


def apexes(pose: Pose) -> np.ndarray:
    """Return each stroke's apex in seconds and mean speed in shoulder widths a second, (n, 2)."""
    places, visible = gestures.wrists(pose)
    pixel_size = pose.size[::-1]
    shoulders = pose.body.xy[0, R_SHOULDER] - pose.body.xy[0, L_SHOULDER]
    width = float(np.linalg.norm(shoulders * pixel_size))
    neck = pose.body.xy[:, NECK] * pixel_size / max(width, 1e-6)
    places = places - neck[:, None]
    strokes = [_strokes(places[:, wrist], pose.fps) for wrist in np.flatnonzero(visible.all(0))]
    return np.concatenate([np.zeros((0, 2)), *strokes])


def _strokes(places: np.ndarray, fps: float) -> np.ndarray:
    """Return apex and mean speed (n, 2) of the strokes of one wrist (T, 2) against the neck."""
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) * fps
    is_minimum = (speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:])
    minima = np.flatnonzero(is_minimum) + 1
    # The vertex of the parabola through a minimum and its neighbors.
    before = speed[minima - 1]
    at = speed[minima]
    after = speed[minima + 1]
    exact = minima + (before - after) / 2 / np.maximum(before - 2 * at + after, 1e-9)
    # A difference lies between two frames, whose middles are at t + 0.5 frames.
    seconds = (exact + 1) / fps
    movements = zip(minima, minima[1:], strict=False)
    paths = np.array([speed[start : end + 1].sum() / fps for start, end in movements])
    lengths = np.diff(seconds)
    is_stroke = (lengths <= LONGEST_STROKE_SECONDS) & (paths >= LEAST_PATH_SHOULDER_WIDTHS)
    mean_speeds = paths / np.maximum(lengths, 1e-9)
    return np.stack([seconds[1:], mean_speeds], 1)[is_stroke]


def offsets(pose: Pose, accents: np.ndarray) -> np.ndarray:
    """Return the seconds (n,) from accent to apex, for the accents (seconds) that have a stroke."""
    strokes = apexes(pose)
    found = []
    for accent in accents:
        near = strokes[np.abs(strokes[:, 0] - accent) <= NEAR_SECONDS]
        if len(near):
            fastest = np.argmax(near[:, 1])
            found.append(near[fastest, 0] - accent)
    return np.array(found)


def pause_speeds(pose: Pose, speech: prosody.Prosody) -> tuple[np.ndarray, np.ndarray]:
    """Return wrist speeds of the frames in pauses of at least 0.3 s, and of the others."""
    seconds = (np.arange(len(pose)) + 0.5) / pose.fps
    speaking = np.zeros(len(pose), bool)
    for start, stop in phrases(speech.speech, speech.fps):
        speaking |= (seconds >= start) & (seconds <= stop)
    speed = gestures.speed(pose)
    return speed[~speaking], speed[speaking]


def bone_change(pose: Pose, reference: Pose) -> float:
    """Return the largest relative length change of a seen bone of body and hands."""
    body = _bone_changes(pose.body, reference.body, BODY_BONES, pose.size)
    hands = _bone_changes(pose.hands, reference.hands, HAND_BONES, pose.size)
    return float(max([0.0, *body, *hands]))


def _bone_changes(
    points: Keypoints,
    reference: Keypoints,
    bones: Sequence[tuple[int, int]],
    size: tuple[int, int],
) -> np.ndarray:
    """Return each bone's largest relative change over time against the reference's one frame."""
    old = _seen_lengths(reference, bones, size)
    new = _seen_lengths(points, bones, size)
    known = old[0] > LEAST_BONE_PX
    return np.abs(new[:, known] / old[:, known] - 1).max(0)


def _seen_lengths(
    points: Keypoints, bones: Sequence[tuple[int, int]], size: tuple[int, int]
) -> np.ndarray:
    """Return the lengths (T, n) in pixels, 0 for bones that are not seen in every frame."""
    start, end = np.array(bones).T
    across = (points.xy[:, start] - points.xy[:, end]) * size[::-1]
    visible = (points.visible[:, start] & points.visible[:, end]).all(0)
    return np.where(visible, np.linalg.norm(across, axis=2), 0)


def outside_limits(pose: Pose, reference: Pose) -> int:
    """Count joints and frames outside the limits of `arm_ik`.

    Where the reference itself lies outside a limit, the motion may go as far.
    """
    count = 0
    for arm in arm_ik.find_arms(reference):
        upper, fore, hand, shoulders = _bones(pose, arm)
        upper0, fore0, hand0, shoulders0 = _bones(reference, arm)
        sway = shoulders / shoulders0
        abduction = arm.side * _turned(upper0 / 1j, upper / sway / 1j)
        flexion = arm.bend * _turned(fore0 / upper0, fore / upper)
        wrist = _turned(np.ones(1), hand / fore * fore0 / hand0)
        flexion_limits = (0.0, arm_ik.FLEXION_DEG)
        if abs(fore0[0]) < arm_ik.FORESHORTENED * abs(upper0[0]):
            lowest = flexion[0] - arm_ik.POINTING_ELBOW_DEG
            flexion_limits = (lowest, flexion[0] + arm_ik.POINTING_ELBOW_DEG)
        count += _count_outside(abduction, arm_ik.ABDUCTION_DEG)
        count += _count_outside(flexion, flexion_limits)
        count += _count_outside(wrist, (-arm_ik.WRIST_DEG, arm_ik.WRIST_DEG))
    return count


def _count_outside(degrees: np.ndarray, limits: tuple[float, float]) -> int:
    """Count angles outside the limits, which are widened to the first angle, the reference's."""
    lowest = min(limits[0], degrees[0]) - TOLERANCE_DEG
    highest = max(limits[1], degrees[0]) + TOLERANCE_DEG
    return int(((degrees < lowest) | (degrees > highest)).sum())


def _turned(start: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return degrees (1 + T,) of the start and of each frame, less than half a turn away."""
    first = np.degrees(np.angle(start))
    turns = np.degrees(np.angle(now / start))
    return np.concatenate([first, first + turns])


def _bones(pose: Pose, arm: arm_ik.Arm) -> list[np.ndarray]:
    """Return upper arm, forearm, hand and shoulder line, each (T,) complex in pixels."""
    shoulder, elbow, wrist = arm.rows.joints
    body = complex_pixels(pose.body.xy, pose.size)
    upper = body[:, elbow] - body[:, shoulder]
    fore = body[:, wrist] - body[:, elbow]
    root = arm.rows.hand.start + MIDDLE_ROOT
    palm = complex_pixels(pose.hands.xy[:, root], pose.size)
    if not pose.hands.visible[0, root]:
        palm = body[:, wrist] + fore  # without a hand the wrist does not turn
    shoulders = body[:, L_SHOULDER] - body[:, R_SHOULDER]
    return [upper, fore, palm - body[:, wrist], shoulders]
