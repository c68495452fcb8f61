"""Measure processor time from key points and sound to a motion, detecting and drawing apart."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pipeline.evaluation.metrics.pairing import silent_motion
from pipeline.evaluation.report import Row
from pipeline.motion import fda, prosody, retarget, smoothing, timing
from pipeline.motion.refocus import refocus
from pipeline.values import Audio, Pose

FPS = 25.0
CORE_SECONDS = 60.0  # of clip: 1500 frames
SLIDER_SECONDS = 10.0  # of clip: 250 frames
RUNS = 3


def rows(pose: Pose, audio: Audio) -> list[Row]:
    """Return the rows of the motion core and of the intensity slider, with levels in seconds."""
    core_name = f"motion core of {CORE_SECONDS:.0f} s at {FPS:.0f} frames/s, seconds"
    slider_name = f"slider of {SLIDER_SECONDS:.0f} s at {FPS:.0f} frames/s, seconds"
    return [
        Row(core_name, core_seconds(pose, audio), 1.0),
        Row(slider_name, slider_seconds(pose, audio), 0.05),
    ]


def core_seconds(pose: Pose, audio: Audio) -> float:
    """Measure everything between detection and drawing for a clip of CORE_SECONDS."""
    sound = _lasting(audio, CORE_SECONDS)
    clip = timing.fit_length(timing.resample(pose, FPS), sound.frames(FPS))
    face = clip.face

    def work() -> None:
        speech = prosody.analyse(sound, FPS)
        driving = timing.fill_gaps(smoothing.still(clip))
        aligned, _ = retarget.retarget([driving], pose[:1])
        fitted = timing.fit_length(aligned, len(speech))
        spliced = fda.splice(fitted, face)
        refocus(silent_motion(spliced, spliced[:1], speech), 1.0)

    return _least_seconds(work)


def slider_seconds(pose: Pose, audio: Audio) -> float:
    """Measure one move of the intensity slider for a clip of SLIDER_SECONDS."""
    speech = prosody.analyse(_lasting(audio, SLIDER_SECONDS), FPS)
    clip = timing.fit_length(timing.resample(pose, FPS), len(speech))
    motion = silent_motion(clip, clip[:1], speech)
    return _least_seconds(lambda: refocus(motion, 1.0))


def _lasting(audio: Audio, seconds: float) -> Audio:
    """Repeat or cut a sound to a length."""
    return Audio(np.resize(audio.samples, round(seconds * audio.rate)), audio.rate)


def _least_seconds(work: Callable[[], object]) -> float:
    """Return the least of some runs after one that is not counted; other processes only add."""
    work()
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)
