"""Measure the slider end to end: does what it does to the key points arrive in rendered frames?

Shipped portraits follow shipped clips and speech through the whole pipeline, once with the slider
at 0 and once at 1, and the project's own detector reads the frames. Both are the same moments, so
every wrist has two displacements from 0 to 1: that of the drawn skeleton and the one that was read.
The drawn one is exact. The least-squares slope of the other on it is the share of the gain that is
kept, whatever the detector's noise.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline import media
from pipeline.analysis import detectors
from pipeline.analysis.progress import finish
from pipeline.evaluation.metrics import gestures
from pipeline.evaluation.metrics.correlation import correlation, intensity_correlation
from pipeline.evaluation.mini.cases import collect_frames
from pipeline.evaluation.report import ASSETS, Row
from pipeline.motion.keypoints import SHOULDERS, WRISTS
from pipeline.motion.refocus import refocus
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.values import Motion, Pose, Video

log = logging.getLogger(__name__)

# Portrait, clip and speech: of the pairs tried, two whose r rises by 0.3 or more on the skeleton.
TAKES = (("half_jacket", "beats", "accents_win"), ("three_quarter", "steps", "weather"))
# Wrists are found as well as at 576 x 384 and 25 frames/s, in a fifth of the time.
SIZE = (384, 256)
FPS = 12.5
LEAST_KEPT = 0.7  # share of the gain
LEAST_READ = 0.5  # share of the drawn wrists; fewer would leave the judgment to chance
LEAST_GAIN = 0.05  # of the skeleton: the share of a smaller gain is noise
SPEED_R = "speed-intensity r"
AMPLITUDE_R = "amplitude-intensity r"
RATIO = "on/off ratio"
MEASURES = (SPEED_R, AMPLITUDE_R, RATIO)
LEFT_OUT = "left out of --quick: it renders and reads two clips twice"
FLAT = "the skeleton's own gain is too small on these clips, or no shoulders or accents were found"


@dataclass(frozen=True)
class Take:
    """One portrait with one clip and speech, with the slider at 0 and at 1.

    Args:
        drawn: Poses at 0 and 1 as they were drawn, T frames long.
        read: The same as they were read in the frames.
        intensity: (T,) of the speech, in [0, 1].
        excitation: (T,) of the speech, in [-1, 1].
    """

    drawn: tuple[Pose, Pose]
    read: tuple[Pose, Pose]
    intensity: np.ndarray
    excitation: np.ndarray


@dataclass(frozen=True)
class Kept:
    """What of the wrists' displacement is kept: 1 is everything, 0 is nothing.

    Args:
        slope: Least-squares slope of the read displacement on the drawn one.
        r: Pearson's r of both.
        read: Share of the drawn wrists that were read.
    """

    slope: float
    r: float
    read: float


@dataclass(frozen=True)
class Gain:
    """What the slider adds by one measure, on the skeleton and in frames."""

    drawn: float
    read: float


def take(pipe: AudioPoseSVDPipeline, portrait: Path, clip: Path, speech: Path) -> Take:
    """Render a portrait with a pose file and a speech at 0 and at 1, and read both."""
    image = media.read_image(portrait)
    audio = media.read_audio(speech)
    motion = pipe.prepare_motion(image, audio, clip, fps=FPS)
    calm = refocus(motion, 0.0, mode=pipe.settings.refocus_mode)
    lively = refocus(motion, 1.0, mode=pipe.settings.refocus_mode)
    read = (_read(pipe, image, calm), _read(pipe, image, lively))
    return Take((calm.pose, lively.pose), read, motion.intensity, motion.excitation)


def _read(pipe: AudioPoseSVDPipeline, image: np.ndarray, motion: Motion) -> Pose:
    """Render a motion and detect the person in the frames."""
    height, width = SIZE
    work = pipe.render(
        image,
        motion,
        num_inference_steps=1,
        height=height,
        width=width,
        generator=torch.Generator().manual_seed(0),
    )
    return detect_person(collect_frames(work))


def detect_person(frames: np.ndarray) -> Pose:
    """Detect the largest person in frames (T, H, W, 3); without one, no point is seen."""
    detection = finish(detectors.load().video(Video(frames, FPS)))
    if detection.people:
        return detection.people[0]
    return Pose.empty(len(frames), FPS, frames.shape[1:3])


def displacements(one: Take) -> tuple[np.ndarray, np.ndarray, float]:
    """Return displacements (n, 2) from 0 to 1 in pixels, drawn and read, and the share read."""
    due = _both_visible(one.drawn)
    used = due & _both_visible(one.read)
    share = float(used.sum() / max(due.sum(), 1))
    return _displacement(one.drawn)[used], _displacement(one.read)[used], share


def _both_visible(poses: tuple[Pose, Pose]) -> np.ndarray:
    """Return which wrists (T, 2) are seen at 0 and at 1."""
    before, after = poses
    return before.body.visible[:, WRISTS] & after.body.visible[:, WRISTS]


def _displacement(poses: tuple[Pose, Pose]) -> np.ndarray:
    """Return the wrists' way (T, 2, 2) from 0 to 1 in pixels."""
    before, after = (pose.body.xy[:, WRISTS] for pose in poses)
    return (after - before) * np.array(SIZE[::-1])


def kept_share(takes: Sequence[Take]) -> Kept:
    """Measure over all takes how much of the drawn displacement the frames show."""
    drawn, read, shares = zip(*map(displacements, takes), strict=True)
    x = np.concatenate(drawn).ravel()
    y = np.concatenate(read).ravel()
    power = float(x @ x)
    slope = float(x @ y) / power if power > 0 else 0.0
    return Kept(slope, correlation(x, y), float(np.mean(shares)))


def gains(takes: Sequence[Take]) -> dict[str, Gain]:
    """Measure what the slider adds by the measures of `evaluate motion`, the mean over takes.

    For the correlations it is their rise, for the on/off ratio the logarithm of its factor. It is
    NaN where a take has no shoulders, which are the unit, or the speech lacks accents or pauses.
    """
    found = {}
    for name in MEASURES:
        drawn = [_gain(one, one.drawn, name) for one in takes]
        read = [_gain(one, one.read, name) for one in takes]
        found[name] = Gain(float(np.mean(drawn)), float(np.mean(read)))
    return found


def _gain(one: Take, poses: tuple[Pose, Pose], name: str) -> float:
    """Measure what the slider adds to one take."""
    if not all(_shows_shoulders(pose) for pose in poses):
        return math.nan
    home = gestures.rest(poses[0], one.excitation)
    if name == RATIO:
        before, after = (_ratio(pose, home, one.excitation) for pose in poses)
        return math.log(after / before) if min(before, after) > 0 else math.nan
    if name == SPEED_R:
        curves = [gestures.speed(pose) for pose in poses]
    else:
        curves = [gestures.filled_amplitude(pose, home) for pose in poses]
    before, after = (intensity_correlation(curve, one.intensity, FPS).r for curve in curves)
    return after - before


def _shows_shoulders(pose: Pose) -> bool:
    """Return whether some frame shows both shoulders."""
    return bool(pose.body.visible[:, SHOULDERS].all(1).any())


def _ratio(pose: Pose, home: np.ndarray, excitation: np.ndarray) -> float:
    """Return the wrists' distance from rest at accents over that in pauses."""
    return gestures.accent_ratio(gestures.amplitude(pose, home), excitation)


def table(takes: Sequence[Take]) -> list[Row]:
    """Return the rows; without takes all are null and say so."""
    if takes:
        kept = kept_share(takes)
        found = gains(takes)
        why = FLAT
    else:
        kept = Kept(math.nan, math.nan, math.nan)
        found = dict.fromkeys(MEASURES, Gain(math.nan, math.nan))
        why = LEFT_OUT

    def row(name: str, value: float, level: float | None = None) -> Row:
        reason = "" if math.isfinite(value) else why
        return Row(f"slider end to end: {name}", value, level, ">=", reason)

    rows = [
        row("wrists read in frames, of those drawn", kept.read, LEAST_READ),
        row("wrists' displacement kept, slope", kept.slope, LEAST_KEPT),
        row("wrists' displacement, r with the skeleton's", kept.r),
    ]
    for name, gain in found.items():
        share = gain.read / gain.drawn if gain.drawn > LEAST_GAIN else math.nan
        rows += [
            row(f"{name}, gain at 1, skeleton", gain.drawn),
            row(f"{name}, gain at 1, frames", gain.read),
            row(f"{name}, share of the gain kept", share, LEAST_KEPT),
        ]
    return rows


def rows(pipe: AudioPoseSVDPipeline, count: int = len(TAKES)) -> list[Row]:
    """Measure the first `count` shipped takes."""
    takes = []
    for portrait, clip, speech in TAKES[:count]:
        log.info("slider end to end: %s with %s and %s", portrait, clip, speech)
        takes.append(
            take(
                pipe,
                ASSETS / "reference" / f"{portrait}.png",
                ASSETS / "driving" / f"{clip}.npz",
                ASSETS / "speech" / f"{speech}.wav",
            )
        )
    return table(takes)
