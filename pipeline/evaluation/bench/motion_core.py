"""Processor time of the motion core: from key points and sound to a motion, without detecting or drawing."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pipeline.motion import fda, prosody, retarget, smoothing, timing
from pipeline.motion.refocus import refocus
from pipeline.values import Audio, Motion, Pose

FPS = 25.0
CORE_SECONDS, SLIDER_SECONDS = 60.0, 10.0  # of the clips that are timed: 1500 and 250 frames
RUNS = 3


def core_seconds(pose: Pose, audio: Audio) -> float:
    """Processor seconds of everything between detection and drawing for a clip of CORE_SECONDS."""
    sound = _lasting(audio, CORE_SECONDS)
    clip = timing.fit_length(timing.resample(pose, FPS), sound.frames(FPS))
    face = clip.face

    def work() -> None:
        speech = prosody.analyse(sound, FPS)
        driving = timing.fill_gaps(smoothing.still(clip))
        aligned, _ = retarget.retarget([driving], pose[:1])
        fitted = timing.fit_length(aligned, len(speech))
        refocus(_motion(fda.splice(fitted, face), speech), 1.0)

    return _best(work)


def slider_seconds(pose: Pose, audio: Audio) -> float:
    """Processor seconds of one move of the intensity slider for a clip of SLIDER_SECONDS."""
    speech = prosody.analyse(_lasting(audio, SLIDER_SECONDS), FPS)
    clip = timing.fit_length(timing.resample(pose, FPS), len(speech))
    motion = _motion(clip, speech)
    return _best(lambda: refocus(motion, 1.0))


def _motion(pose: Pose, speech: prosody.Prosody) -> Motion:
    one, tokens = np.ones(len(pose)), np.zeros((len(pose), 1, 1), np.float32)
    return Motion(pose, pose[:1], None, None, speech.intensity, speech.excitation, one, tokens)


def _lasting(audio: Audio, seconds: float) -> Audio:
    return Audio(np.resize(audio.samples, round(seconds * audio.rate)), audio.rate)


def _best(work: Callable[[], object]) -> float:
    """The least of some runs after one that is not counted: other processes only ever add to it."""
    work()
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)
