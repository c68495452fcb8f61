"""Inputs -> `Analysis`: the first half, without any video backbone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.motion import retarget
from pipeline.motion.prosody import Prosody
from pipeline.values import Audio, InputError, Motion, Pose, Video

Picture = str | Path | Image.Image | np.ndarray
Speech = str | Path | Audio
Driving = str | Path | Pose | Video
MAX_FPS = 60.0
MAX_OFFSET_MS = 1000.0
SILENT_RMS = 1e-3  # -60 dBFS: below it the speech is called silent


@dataclass(frozen=True)
class Analysis:
    """What is known before the slider moves: aligned motion, its prosody, alignment report, warnings.

    people: those of the driving clip, in the order of their numbers.
    """

    motion: Motion
    prosody: Prosody
    report: retarget.Report | None
    warnings: tuple[str, ...]
    people: tuple[Pose, ...] = ()


def shifted(audio: Audio, milliseconds: float) -> Audio:
    """The sound later by that much, earlier where negative; as long as before, silent where none is left."""
    if not (np.isfinite(milliseconds) and abs(milliseconds) <= MAX_OFFSET_MS):
        raise InputError(
            f"audio offset is {milliseconds:g} ms; give -{MAX_OFFSET_MS:g} to {MAX_OFFSET_MS:g}"
        )
    count = min(len(audio.samples), round(abs(milliseconds) / 1000 * audio.rate))
    if not count:
        return audio
    silence = np.zeros(count, audio.samples.dtype)
    late = (
        [silence, audio.samples[:-count]] if milliseconds > 0 else [audio.samples[count:], silence]
    )
    return replace(audio, samples=np.concatenate(late))


def _sound_warnings(audio: Audio) -> list[str]:
    if float(np.sqrt(np.mean(np.square(audio.samples, dtype=np.float64)))) < SILENT_RMS:
        return [
            "the speech is silent (below -60 dBFS): the mouth stays shut and the slider acts on nothing"
        ]
    return []
