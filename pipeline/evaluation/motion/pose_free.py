"""Rows of `evaluate motion` for motion without a driving video: is it a speaker's, and a body's?

All is measured on the key points that come out, not on the plan behind them. A movement of a wrist lies
between two neighbouring minima of its speed against the neck. A stroke is a movement of at most 0.32 s and
at least 0.05 shoulder widths (preparations and returns last longer); its end is the apex. An accent has a
stroke where one ends within 0.3 s of it, the fastest if there are several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.analysis.detectors import cache, load
from pipeline.evaluation.metrics import gestures
from pipeline.evaluation.report import ASSETS, Row
from pipeline.media import read_image
from pipeline.motion import prosody
from pipeline.motion.gestures import arm_ik, beats
from pipeline.motion.gestures import head as gesture
from pipeline.motion.keypoints import HAND_EDGES, LIMBS, MIDDLE_ROOT, TRUNK_BONES, complex_pixels
from pipeline.motion.refocus import refocus
from pipeline.values import Audio, Keypoints, Motion, Pose

FPS = 25.0
SEEDS = (0, 1)
LONGEST, LEAST_PATH, NEAR = 0.32, 0.05, 0.30  # s, shoulder widths, s
EARLY, LATE = 0.08, 0.04  # s before and after the accent within which an apex is on time
SHIFT = 0.35  # s by which the control's accents come later
TOLERANCE = 0.1  # degrees
ROUNDING = 1e-12  # numpy rounds a complex product by the place of its operands in memory
BODY_BONES = [*TRUNK_BONES, *LIMBS]


@dataclass(frozen=True)
class Case:
    """One reference that speaks: `motion` as generated, and its prosody."""

    motion: Motion
    spoken: prosody.Prosody


def speak(reference: Pose, spoken: prosody.Prosody, seed: int) -> Case:
    """The pose-free prior of the pipeline with a face that does not speak, which moves no wrist."""
    frames = len(spoken)
    face = Keypoints(
        *(np.repeat(part, frames, 0) for part in (reference.face.xy, reference.face.score))
    )
    head = gesture.head_motion(spoken, frames, spoken.fps, np.random.default_rng(seed))
    pose = beats.pose_free(reference, face, head, spoken, np.random.default_rng((seed, 1)))
    tokens = np.zeros((frames, 1, 1), np.float32)
    curves = spoken.intensity, spoken.excitation, np.ones(frames), tokens
    return Case(Motion(pose, reference, None, None, *curves), spoken)


def apexes(pose: Pose) -> np.ndarray:
    """(n,2) seconds of the apexes of all strokes and the mean speed of each, in shoulder widths a second."""
    place, seen = gestures.wrists(pose)
    width = float(np.linalg.norm((pose.body.xy[0, 2] - pose.body.xy[0, 5]) * pose.size[::-1]))
    place = place - (pose.body.xy[:, 1] * pose.size[::-1] / max(width, 1e-6))[:, None]
    found = []
    for wrist in np.flatnonzero(seen.all(0)):
        speed = np.linalg.norm(np.diff(place[:, wrist], axis=0), axis=1) * pose.fps
        low = np.flatnonzero((speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
        before, at, after = speed[low - 1], speed[low], speed[low + 1]
        exact = low + (before - after) / 2 / np.maximum(before - 2 * at + after, 1e-9)
        seconds = (
            exact + 1
        ) / pose.fps  # a difference lies between two frames, whose middles are at t + 0.5
        path = np.array(
            [speed[a : b + 1].sum() / pose.fps for a, b in zip(low, low[1:], strict=False)]
        )
        length = np.diff(seconds)
        is_stroke = (length <= LONGEST) & (path >= LEAST_PATH)
        found.append(np.stack([seconds[1:], path / np.maximum(length, 1e-9)], 1)[is_stroke])
    return np.concatenate([np.zeros((0, 2)), *found])


def offsets(pose: Pose, accents: np.ndarray) -> np.ndarray:
    """(n,) seconds from accent to apex, for the accents (seconds) that have a stroke."""
    ends = apexes(pose)
    found = []
    for accent in accents:
        near = ends[np.abs(ends[:, 0] - accent) <= NEAR]
        if len(near):
            found.append(near[np.argmax(near[:, 1]), 0] - accent)
    return np.array(found)


def pause_speeds(pose: Pose, spoken: prosody.Prosody) -> tuple[np.ndarray, np.ndarray]:
    """Wrist speeds of the frames in pauses of at least 0.3 s, and of the others."""
    time = (np.arange(len(pose)) + 0.5) / pose.fps
    talks = np.zeros(len(pose), bool)
    for start, stop in beats.phrases(spoken.speech, spoken.fps):
        talks |= (time >= start) & (time <= stop)
    speed = gestures.speed(pose)
    return speed[~talks], speed[talks]


def bone_change(pose: Pose, reference: Pose) -> float:
    """Largest relative change of a seen bone's length against the reference's, of body and hands."""

    def lengths(points: Keypoints, bones: Sequence[tuple[int, int]]) -> np.ndarray:
        start, end = np.array(bones).T
        across = (points.xy[:, start] - points.xy[:, end]) * pose.size[::-1]
        seen = (points.visible[:, start] & points.visible[:, end]).all(0)
        return np.where(seen, np.linalg.norm(across, axis=2), 0)

    both = [(a + side, b + side) for side in (0, 21) for a, b in HAND_EDGES]
    worst = [0.0]
    for name, bones in (("body", BODY_BONES), ("hands", both)):
        old, new = lengths(getattr(reference, name), bones), lengths(getattr(pose, name), bones)
        known = old[0] > 1
        worst += list(np.abs(new[:, known] / old[:, known] - 1).max(0))
    return float(max(worst))


def outside_limits(pose: Pose, reference: Pose) -> int:
    """Number of joints and frames beyond the table of `arms`; where the reference is, it may be, too."""
    count = 0
    for arm in arm_ik.find(reference):
        upper, fore, hand, across = _bones(pose, arm)
        upper0, fore0, hand0, across0 = _bones(reference, arm)
        sway = across / across0
        abduction = arm.side * _turned(upper0 / 1j, upper / sway / 1j)
        flexion = arm.bend * _turned(fore0 / upper0, fore / upper)
        turn = _turned(np.ones(1), hand / fore * fore0 / hand0)
        table = [arm_ik.ABDUCTION, (0.0, arm_ik.FLEXION), (-arm_ik.WRIST, arm_ik.WRIST)]
        if abs(fore0[0]) < arm_ik.FORESHORTENED * abs(upper0[0]):
            table[1] = flexion[0] - arm_ik.POINTING_ELBOW, flexion[0] + arm_ik.POINTING_ELBOW
        for values, (low, high) in zip((abduction, flexion, turn), table, strict=True):
            low, high = min(low, values[0]) - TOLERANCE, max(high, values[0]) + TOLERANCE
            count += int(((values < low) | (values > high)).sum())
    return count


def _turned(start: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(1 + T,) degrees of the start and of each frame, which is less than half a turn away from it."""
    first = np.degrees(np.angle(start))
    return np.concatenate([first, first + np.degrees(np.angle(now / start))])


def _bones(pose: Pose, arm: arm_ik.Arm) -> list[np.ndarray]:
    """Upper arm, forearm, hand and shoulder line, each (T,) complex in pixels."""
    shoulder, elbow, wrist, first = arm.joints
    body = complex_pixels(pose.body.xy, pose.size)
    palm = complex_pixels(pose.hands.xy[:, first + MIDDLE_ROOT], pose.size)
    pairs = ((shoulder, elbow), (elbow, wrist))
    bones = [body[:, b] - body[:, a] for a, b in pairs]
    if not pose.hands.visible[0, first + MIDDLE_ROOT]:
        palm = body[:, wrist] + bones[1]  # no hand, no turn
    return [*bones, palm - body[:, wrist], body[:, 5] - body[:, 2]]


def extended(report: dict, sounds: dict[str, Audio]) -> dict:
    """The report with the rows of the shipped references that speak with these sounds."""
    added = rows(references(sorted((ASSETS / "reference").glob("*.png"))), sounds)
    passed = all(row.passed for row in added if row.level is not None)
    table = [*report["rows"], *(row.to_dict() for row in added)]
    return report | {"rows": table, "pass": report["pass"] and passed}


def references(paths: Sequence[Path]) -> list[Pose]:
    """The poses of the people in pictures, detected once."""
    detector = load()
    return [replace(cache.image(detector, read_image(path)).people[0], fps=FPS) for path in paths]


def rows(people: Sequence[Pose], sounds: dict[str, Audio]) -> list[Row]:
    """The rows of people who show an arm, with every sound and two seeds; at 1 the slider's default."""
    spoken = [prosody.analyse(audio, FPS) for audio in sounds.values()]
    people = [person for person in people if arm_ik.find(person)]
    cases = [[speak(p, s, seed) for p in people for s in spoken] for seed in SEEDS]
    if not cases[0]:
        return []
    again = speak(people[0], spoken[0], SEEDS[0]).motion.pose
    first = cases[0][0].motion.pose
    same = max(
        float(np.abs(a.xy - b.xy).max())
        for a, b in ((again.body, first.body), (again.hands, first.hands))
    )
    equal = sum(
        np.array_equal(a.motion.pose.body.xy, b.motion.pose.body.xy)
        for a, b in zip(*cases, strict=True)
    )
    every = [case for seed in cases for case in seed]
    return [
        *_figures(every, "pose-free", levels=(0.80, 0.30, 0.25, 0.01, 0, 0)),
        Row("pose-free: same seed, largest difference", same, ROUNDING),
        Row("pose-free: pairs of seeds with equal motion", float(equal), 0),
        *_figures(
            [replace(c, motion=refocus(c.motion, 1.0)) for c in every],
            "pose-free at 1",
            levels=(None,) * 6,
        ),
    ]


def _figures(cases: Sequence[Case], name: str, levels: Sequence[float | None]) -> list[Row]:
    on_time, control, accents, quiet, loud = [], [], 0, [], []
    drift, joints, outside = 0.0, 0, 0
    for case in cases:
        pose, reference, moments = (
            case.motion.pose,
            case.motion.reference,
            case.spoken.accents[:, 0],
        )
        accents += len(moments)
        on_time.append(offsets(pose, moments))
        control.append(offsets(pose, moments + SHIFT))
        for speeds, part in zip((quiet, loud), pause_speeds(pose, case.spoken), strict=True):
            speeds.append(part)
        drift = max(drift, bone_change(pose, reference))
        joints += outside_limits(pose, reference)
        outside += gestures.newly_outside(reference[np.zeros(len(pose), int)], pose)
    shares = []
    for found in (np.concatenate(on_time), np.concatenate(control)):
        good = (found >= -EARLY) & (found <= LATE)
        shares.append(float(good.mean()) if len(found) else 0.0)
    beaten = len(np.concatenate(on_time)) / max(accents, 1)
    quiet, loud = np.concatenate(quiet), np.concatenate(loud)
    ratio = float(quiet.mean() / max(loud.mean(), 1e-9)) if len(quiet) and len(loud) else 0.0
    return [
        Row(f"{name}: strokes with their apex at the accent", shares[0], levels[0], ">="),
        Row(f"{name}: the same for accents {SHIFT:g} s later", shares[1]),
        Row(f"{name}: accents with a stroke", beaten, levels[1], ">="),
        Row(f"{name}: wrist speed in pauses over speech", ratio, levels[2]),
        Row(f"{name}: largest change of a bone's length", drift, levels[3]),
        Row(f"{name}: joints outside their limits", joints, levels[4]),
        Row(f"{name}: points outside the frame", outside, levels[5]),
    ]
