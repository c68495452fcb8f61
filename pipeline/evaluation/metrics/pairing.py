"""Pair clips with speeches: every clip moves with every speech over at least ten seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.evaluation.metrics.correlation import Pair
from pipeline.media import pose_files
from pipeline.motion import prosody
from pipeline.values import Audio, Motion, Pose

LEAST_SECONDS = 10.0
START_STEP_FRAMES = 53  # a prime, so that the sounds meet different moments of a clip


def read_pose(path: Path) -> Pose:
    """Read the largest person of a pose file of any format."""
    return pose_files.read(path).people[0]


def looped(audio: Audio) -> Audio:
    """Repeat a sound under ten seconds up to that length; a longer one stays as it is."""
    if audio.seconds >= LEAST_SECONDS:
        return audio
    copies = int(np.ceil(LEAST_SECONDS / max(audio.seconds, 0.1)))
    samples = np.tile(audio.samples, copies)
    return Audio(samples[: round(LEAST_SECONDS * audio.rate)], audio.rate)


def start_frame(pose: Pose, sound_number: int, start_number: int) -> int:
    """Return the frame of the clip, there and back, at which a pair starts."""
    cycle = max(2 * len(pose) - 2, 1)
    return (START_STEP_FRAMES * sound_number + start_number * len(pose)) % cycle


def paired(
    pose: Pose, audio: Audio, start: int = 0, speech: prosody.Prosody | None = None
) -> Motion:
    """Make a motion of a clip, there and back from frame `start`, and a looped sound.

    `speech` is the looped sound's prosody where it is known already.
    """
    if speech is None:
        speech = prosody.analyse(looped(audio), pose.fps)
    frames = len(speech)
    cycle = max(2 * len(pose) - 2, 1)
    rows = np.arange(start, start + frames) % cycle
    there_and_back = pose[np.where(rows < len(pose), rows, cycle - rows)]
    return silent_motion(there_and_back, there_and_back[:1], speech)


def silent_motion(pose: Pose, reference: Pose, speech: prosody.Prosody) -> Motion:
    """Make a motion with a speech's curves and empty audio tokens, for measures on key points."""
    frames = len(speech)
    tokens = np.zeros((frames, 1, 1), np.float32)
    strength = np.ones(frames)
    curves = (speech.intensity, speech.excitation, strength, tokens)
    return Motion(pose, reference, None, None, *curves)


def pairs(poses: Sequence[Pose], sounds: dict[str, Audio], starts: int = 2) -> list[Pair]:
    """Pair every pose with every sound, from `starts` places that are spread over the clip."""
    known: dict[tuple[str, float], tuple[prosody.Prosody, prosody.Prosody]] = {}
    made = []
    for pose in poses:
        for number, (name, audio) in enumerate(sounds.items()):
            sound = looped(audio)
            key = (name, pose.fps)
            if key not in known:
                full = prosody.analyse(sound, pose.fps, "full")
                loudness = prosody.analyse(sound, pose.fps, "rms")
                known[key] = (full, loudness)
            full, loudness = known[key]
            for turn in range(starts):
                motion = paired(pose, sound, start_frame(pose, number, turn), full)
                repeats = audio is not sound
                period = round(audio.seconds * pose.fps) if repeats else len(motion)
                made.append(Pair(motion, loudness.excitation, name, period))
    return made
