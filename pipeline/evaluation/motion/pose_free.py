"""Rows of `evaluate motion` for motion without a driving video: a speaker's, and a body's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.analysis.detectors import cache, load
from pipeline.evaluation.metrics import strokes
from pipeline.evaluation.metrics.refocus_effect import newly_outside
from pipeline.evaluation.metrics.strokes import SpeakingPerson, gesture_to
from pipeline.evaluation.report import ASSETS, Row
from pipeline.media import read_image
from pipeline.motion import prosody
from pipeline.motion.gestures.arm_ik import find_arms
from pipeline.motion.refocus import refocus
from pipeline.values import Audio, Pose

FPS = 25.0
SEEDS = (0, 1)
EARLY_SECONDS, LATE_SECONDS = 0.08, 0.04  # before and after the accent an apex is on time
CONTROL_SHIFT_SECONDS = 0.35  # by which the control's accents come later
ROUNDING = 1e-12  # numpy rounds a complex product by the place of its operands in memory


@dataclass(frozen=True)
class Levels:
    """What is required of each row; None asks for nothing.

    Args:
        on_time: Least share of the strokes that have their apex at the accent.
        beaten: Least share of the accents that have a stroke.
        pause: Largest ratio of the wrists' speed in pauses over that in speech.
        bones: Largest relative change of a bone's length.
        joints: Largest number of joints outside their limits.
        outside: Largest number of points outside the frame.
    """

    on_time: float | None = None
    beaten: float | None = None
    pause: float | None = None
    bones: float | None = None
    joints: float | None = None
    outside: float | None = None


REQUIRED = Levels(on_time=0.80, beaten=0.30, pause=0.25, bones=0.01, joints=0, outside=0)


def shipped_references() -> list[Pose]:
    """Detect the poses of the people in the shipped reference images."""
    return references(sorted((ASSETS / "reference").glob("*.png")))


def references(paths: Sequence[Path]) -> list[Pose]:
    """Detect the poses of the people in reference images; the detector keeps its results."""
    detector = load()
    poses = []
    for path in paths:
        people = cache.image(detector, read_image(path)).people
        poses.append(replace(people[0], fps=FPS))
    return poses


def rows(people: Sequence[Pose], sounds: dict[str, Audio]) -> list[Row]:
    """Return the rows of people who show an arm, with every sound and two seeds.

    They are measured as generated, and refocused at 1, the slider's default.
    """
    speeches = [prosody.analyse(audio, FPS) for audio in sounds.values()]
    people = [person for person in people if find_arms(person)]
    by_seed = [_speaking(people, speeches, seed) for seed in SEEDS]
    if not by_seed[0]:
        return []
    first = by_seed[0][0].motion.pose
    again = gesture_to(people[0], speeches[0], SEEDS[0]).motion.pose
    body_change = float(np.abs(again.body.xy - first.body.xy).max())
    hands_change = float(np.abs(again.hands.xy - first.hands.xy).max())
    equal = sum(_same_body(a, b) for a, b in zip(*by_seed, strict=True))
    everyone = [person for speaking in by_seed for person in speaking]
    refocused = [replace(one, motion=refocus(one.motion, 1.0)) for one in everyone]
    largest = max(body_change, hands_change)
    return [
        *_measured(everyone, "pose-free", REQUIRED),
        Row("pose-free: same seed, largest difference", largest, ROUNDING),
        Row("pose-free: pairs of seeds with equal motion", float(equal), 0),
        *_measured(refocused, "pose-free at 1", Levels()),
    ]


def _speaking(
    people: Sequence[Pose], speeches: Sequence[prosody.Prosody], seed: int
) -> list[SpeakingPerson]:
    """Let every person gesture to every speech."""
    return [gesture_to(person, speech, seed) for person in people for speech in speeches]


def _same_body(a: SpeakingPerson, b: SpeakingPerson) -> bool:
    """Return whether two generated motions have equal bodies."""
    return np.array_equal(a.motion.pose.body.xy, b.motion.pose.body.xy)


def _measured(speaking: Sequence[SpeakingPerson], name: str, levels: Levels) -> list[Row]:
    """Return the rows of motions together; `name` begins the rows' names."""
    on_time: list[np.ndarray] = []
    control: list[np.ndarray] = []
    pause_speeds: list[np.ndarray] = []
    speech_speeds: list[np.ndarray] = []
    accents = 0
    change = 0.0
    joints = 0
    outside = 0
    for one in speaking:
        pose = one.motion.pose
        reference = one.motion.reference
        moments = one.prosody.accents[:, 0]
        accents += len(moments)
        on_time.append(strokes.offsets(pose, moments))
        control.append(strokes.offsets(pose, moments + CONTROL_SHIFT_SECONDS))
        in_pauses, in_speech = strokes.pause_speeds(pose, one.prosody)
        pause_speeds.append(in_pauses)
        speech_speeds.append(in_speech)
        change = max(change, strokes.bone_change(pose, reference))
        joints += strokes.outside_limits(pose, reference)
        still = reference[np.zeros(len(pose), int)]
        outside += newly_outside(still, pose)
    beaten = len(np.concatenate(on_time)) / max(accents, 1)
    ratio = _speed_ratio(np.concatenate(pause_speeds), np.concatenate(speech_speeds))
    later = f"{name}: the same for accents {CONTROL_SHIFT_SECONDS:g} s later"
    return [
        Row(
            f"{name}: strokes with their apex at the accent",
            _share_on_time(on_time),
            levels.on_time,
            ">=",
        ),
        Row(later, _share_on_time(control)),
        Row(f"{name}: accents with a stroke", beaten, levels.beaten, ">="),
        Row(f"{name}: wrist speed in pauses over speech", ratio, levels.pause),
        Row(f"{name}: largest change of a bone's length", change, levels.bones),
        Row(f"{name}: joints outside their limits", joints, levels.joints),
        Row(f"{name}: points outside the frame", outside, levels.outside),
    ]


def _share_on_time(offsets: Sequence[np.ndarray]) -> float:
    """Return the share of strokes whose apex lies at the accent, 0 without strokes."""
    seconds = np.concatenate(offsets)
    if not len(seconds):
        return 0.0
    on_time = (seconds >= -EARLY_SECONDS) & (seconds <= LATE_SECONDS)
    return float(on_time.mean())


def _speed_ratio(in_pauses: np.ndarray, in_speech: np.ndarray) -> float:
    """Return the mean speed in pauses over that in speech, 0 where either is missing."""
    if not (len(in_pauses) and len(in_speech)):
        return 0.0
    return float(in_pauses.mean() / max(in_speech.mean(), 1e-9))
