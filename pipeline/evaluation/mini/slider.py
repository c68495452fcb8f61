"""Slider end to end: does what the slider does to the key points arrive in rendered frames? (metrics 4.4)

Shipped portraits follow shipped clips and speech through the whole pipeline, once with the slider at 0 and
once at 1, and the project's own detector reads the frames. Both are the same moments, so every wrist has two
displacements from 0 to 1, the drawn skeleton's and the one that was read. The drawn one is exact: the
least-squares slope of the other on it is the share of the gain that is kept, whatever the detector's noise.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline import ROOT, media
from pipeline.analysis import detectors
from pipeline.analysis.progress import finish
from pipeline.evaluation.lips import correlation
from pipeline.evaluation.metrics import gestures
from pipeline.evaluation.motion import distance
from pipeline.evaluation.report import Row
from pipeline.motion.keypoints import SHOULDERS, WRISTS
from pipeline.motion.refocus import refocus
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.values import Pose, Video

log = logging.getLogger(__name__)

ASSETS = ROOT / "assets"
# portrait, clip, speech: of the pairs tried, two whose r rises by 0.3 or more on the skeleton
TAKES = (("half_jacket", "beats", "accents_win"), ("three_quarter", "steps", "weather"))
SIZE, FPS = (
    (384, 256),
    12.5,
)  # wrists are found as well as at 576 x 384 and 25 fps, in a fifth of the time
KEPT = 0.7
READ = 0.5  # share of the drawn wrists that must be read: fewer would leave the judgement to chance
LEFT_OUT = "left out of --quick: it renders and reads two clips twice"
MEASURES = ("speed-intensity r", "amplitude-intensity r", "on/off ratio")
LEAST_GAIN = 0.05  # of the skeleton: a share of less is noise
FLAT = "the skeleton's own gain is too small on these clips, or no shoulders or accents were found"


@dataclass(frozen=True)
class Take:
    """One portrait with one clip and speech, with the slider at 0 and at 1: poses as drawn and as read.

    intensity (T,) in [0,1] and excitation (T,) in [-1,1] are the speech's; all poses are T frames long.
    """

    drawn: tuple[Pose, Pose]
    read: tuple[Pose, Pose]
    intensity: np.ndarray
    excitation: np.ndarray


def take(pipe: AudioPoseSVDPipeline, portrait: Path, clip: Path, speech: Path) -> Take:
    """Renders a portrait with a pose file and a speech at 0 and 1, and reads both."""
    image, audio = media.read_image(portrait), media.read_audio(speech)
    motion = pipe.prepare_motion(image, audio, clip, fps=FPS)
    drawn = tuple(
        refocus(motion, strength, mode=pipe.settings.refocus_mode) for strength in (0.0, 1.0)
    )
    read = []
    for one in drawn:
        work = pipe.render(
            image, one, num_inference_steps=1, height=SIZE[0], width=SIZE[1],
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        frames = np.concatenate([step.frames for step in work if step.frames is not None])
        read.append(person(frames))
    return Take(tuple(m.pose for m in drawn), tuple(read), motion.intensity, motion.excitation)


def person(frames: np.ndarray) -> Pose:
    """The largest person that the default detector finds in frames (T,H,W,3), without points if none."""
    found = finish(detectors.load().video(Video(frames, FPS))).people
    return found[0] if found else Pose.empty(len(frames), FPS, frames.shape[1:3])


def displacements(one: Take) -> tuple[np.ndarray, np.ndarray, float]:
    """Displacements (n,2) from 0 to 1 in pixels, drawn and read, and the share of wrists that was read."""

    def both_seen(poses: tuple[Pose, Pose]) -> np.ndarray:
        return poses[0].body.visible[:, WRISTS] & poses[1].body.visible[:, WRISTS]

    def moved(poses: tuple[Pose, Pose]) -> np.ndarray:
        before, after = (pose.body.xy[:, WRISTS] for pose in poses)
        return (after - before) * np.array(SIZE[::-1])

    due = both_seen(one.drawn)
    used = due & both_seen(one.read)
    return moved(one.drawn)[used], moved(one.read)[used], float(used.sum() / max(due.sum(), 1))


def kept(takes: Sequence[Take]) -> tuple[float, float, float]:
    """(slope, Pearson r, share of wrists read) over all takes; a slope of 1 keeps everything, 0 nothing."""
    drawn, read, shares = zip(*map(displacements, takes), strict=True)
    x, y = np.concatenate(drawn).ravel(), np.concatenate(read).ravel()
    power = float(x @ x)
    return float(x @ y) / power if power > 0 else 0.0, correlation(x, y, 0), float(np.mean(shares))


def gains(takes: Sequence[Take]) -> dict[str, tuple[float, float]]:
    """What the slider adds by `evaluate motion`'s measures, (drawn, read), means over takes.

    Rise of the r of speed and of amplitude with intensity, and ln of the on/off ratio's factor. NaN where a
    take has no shoulders, which are the unit, or the speech lacks accents or pauses.
    """
    return {
        name: tuple(
            float(np.mean([_gain(one, poses, name) for one in takes]))
            for poses in ("drawn", "read")
        )
        for name in MEASURES
    }


def _gain(one: Take, which: str, name: str) -> float:
    poses: tuple[Pose, Pose] = getattr(one, which)
    if not all(pose.body.visible[:, SHOULDERS].all(1).any() for pose in poses):
        return math.nan
    home = gestures.rest(poses[0], one.excitation)
    if name == "on/off ratio":
        ratios = [
            gestures.accent_ratio(gestures.amplitude(pose, home), one.excitation) for pose in poses
        ]
        return math.log(ratios[1] / ratios[0]) if min(ratios) > 0 else math.nan
    curve = gestures.speed if name == "speed-intensity r" else lambda pose: distance(pose, home)
    before, after = (gestures.correlation(curve(p), one.intensity, p.fps)[0] for p in poses)
    return after - before


def table(takes: Sequence[Take], why: str = LEFT_OUT) -> list[Row]:
    """The rows; without takes all are null and say `why`."""
    slope, r, share = kept(takes) if takes else (math.nan,) * 3
    found = gains(takes) if takes else dict.fromkeys(MEASURES, (math.nan, math.nan))
    why = FLAT if takes else why

    def row(name: str, value: float, level: float | None = None) -> Row:
        return Row(
            f"slider end to end: {name}", value, level, ">=", "" if math.isfinite(value) else why
        )

    lines = [
        row("wrists read in frames, of those drawn", share, READ),
        row("wrists' displacement kept, slope", slope, KEPT),
        row("wrists' displacement, r with the skeleton's", r),
    ]
    for name, (drawn, read) in found.items():
        gain = read / drawn if drawn > LEAST_GAIN else math.nan
        lines += [
            row(f"{name}, gain at 1, skeleton", drawn),
            row(f"{name}, gain at 1, frames", read),
        ]
        lines.append(row(f"{name}, share of the gain kept", gain, KEPT))
    return lines


def rows(pipe: AudioPoseSVDPipeline, count: int = len(TAKES)) -> list[Row]:
    """The rows of the first `count` shipped takes."""
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
