"""Does the body follow the speech? Figures of metrics 4.4 for a motion before and after refocusing.

Everything is measured on key points, without weights. `python -m pipeline.evaluation.metrics.gestures --poses
FOLDER --speech FOLDER` pairs every pose file with every sound and prints the calibration table of `refocus`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.media import pose_files, read_audio
from pipeline.motion import prosody
from pipeline.motion.keypoints import (
    HIPS,
    L_SHOULDER,
    LEFT_EYE,
    LEG_POINTS,
    LIMBS,
    NECK,
    R_SHOULDER,
    RIGHT_EYE,
    SHOULDERS,
    WRISTS,
)
from pipeline.motion.refocus import TUNING, Tuning, refocus
from pipeline.values import Audio, InputError, Keypoints, Motion, Pose

LOUD, PAUSE = 0.3, -0.6  # excitation of accents and of pauses
MIN_SECONDS = 10.0
LAG_REACH = 12  # frames
WORST = ("drift", "torso", "outside", "feet", "lips")
NULL_SHIFTS = 200


@dataclass(frozen=True)
class Figures:
    """One motion against its speech.

    correlation: Pearson r of wrist speed and intensity; z: its distance from circular shifts, in deviations.
    ratio: median distance of the wrists from rest at accents over that in pauses. jerk, jerk99: mean and 99th
    percentile of the wrists' third difference in shoulder widths.
    """

    correlation: float
    z: float
    ratio: float
    jerk: float
    jerk99: float


def wrists(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """(T,2,2) wrists in shoulder widths (median over the clip) and (T,2) whether they are seen."""
    pixels = pose.body.xy * np.array([pose.size[1], pose.size[0]])
    both = pose.body.visible[:, SHOULDERS].all(1)
    if not both.any():
        raise InputError(
            "no frame shows both shoulders, so wrist motion has no scale; choose another clip"
        )
    width = np.median(np.linalg.norm(pixels[both, R_SHOULDER] - pixels[both, L_SHOULDER], axis=1))
    return pixels[:, WRISTS] / max(width, 1e-6), pose.body.visible[:, WRISTS]


def speed(pose: Pose) -> np.ndarray:
    """(T,) mean speed of the seen wrists in shoulder widths per second, central differences."""
    place, seen = wrists(pose)
    if len(place) < 2:
        return np.zeros(len(place))
    step = np.linalg.norm(np.diff(place, axis=0), axis=2) * pose.fps
    both = seen[1:] & seen[:-1]
    mean = (step * both).sum(1) / np.maximum(both.sum(1), 1)
    padded = np.concatenate([mean[:1], mean, mean[-1:]])
    return (padded[1:] + padded[:-1]) / 2


def correlation(values: np.ndarray, intensity: np.ndarray, fps: float) -> tuple[float, float]:
    """(Pearson r, z against circular shifts of at least one second); 0, 0 where either curve is flat."""
    a, b = values - values.mean(), intensity - intensity.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    if scale < 1e-12:
        return 0.0, 0.0
    least = max(1, round(fps))
    r = float((a * b).sum() / scale)
    if len(a) <= 2 * least:
        return r, 0.0
    shifts = np.unique(np.linspace(least, len(a) - least, NULL_SHIFTS).astype(int))
    by_shift = (
        np.fft.irfft(np.conj(np.fft.rfft(a)) * np.fft.rfft(b), len(a)) / scale
    )  # values late by k frames
    null = by_shift[shifts]
    return r, float((r - null.mean()) / max(null.std(), 1e-9))


def rest(pose: Pose, excitation: np.ndarray) -> np.ndarray:
    """(2,2) place of the wrists against the neck when it is quiet, in shoulder widths."""
    place, seen = _from_neck(pose)
    weight = (seen * (0.15 + np.maximum(-excitation, 0))[:, None])[..., None]
    return (place * weight).sum(0) / np.maximum(weight.sum(0), 1e-9)


def amplitude(pose: Pose, home: np.ndarray) -> np.ndarray:
    """(T,) mean distance of the seen wrists from `home` (2,2), NaN where none is seen."""
    place, seen = _from_neck(pose)
    away = np.linalg.norm(place - home, axis=2) * seen
    return np.where(seen.any(1), away.sum(1) / np.maximum(seen.sum(1), 1), np.nan)


def _from_neck(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    place, seen = wrists(pose)
    pixels = pose.body.xy * np.array([pose.size[1], pose.size[0]])
    both = pose.body.visible[:, SHOULDERS].all(1)
    width = np.median(np.linalg.norm(pixels[both, R_SHOULDER] - pixels[both, L_SHOULDER], axis=1))
    return place - pixels[:, NECK, None] / max(width, 1e-6), seen & pose.body.visible[:, NECK, None]


def accent_ratio(distance: np.ndarray, excitation: np.ndarray) -> float:
    """Median distance at accents over that in pauses; NaN where the speech lacks either."""
    loud, pause = distance[excitation > LOUD], distance[excitation < PAUSE]
    if not (np.isfinite(loud).any() and np.isfinite(pause).any()):
        return float("nan")
    return float(np.nanmedian(loud) / max(np.nanmedian(pause), 1e-6))


def jerk(pose: Pose) -> np.ndarray:
    """Third differences of the wrists in shoulder widths, in all runs of four frames that show one."""
    place, seen = wrists(pose)
    run = seen[3:] & seen[2:-1] & seen[1:-2] & seen[:-3]
    return np.linalg.norm(np.diff(place, 3, axis=0), axis=2)[run]


def figures(motion: Motion, home: np.ndarray | None = None) -> Figures:
    """The figures of one motion; `home` is the wrists' rest, by default this motion's own."""
    pose = motion.pose
    home = rest(pose, motion.excitation) if home is None else home
    r, z = correlation(speed(pose), motion.intensity, pose.fps)
    thirds = jerk(pose)
    jerks = (float(thirds.mean()), float(np.quantile(thirds, 0.99))) if len(thirds) else (0.0, 0.0)
    return Figures(r, z, accent_ratio(amplitude(pose, home), motion.excitation), *jerks)


def drift(before: Pose, after: Pose) -> tuple[float, float]:
    """(largest relative change of a limb's length, of the distance neck to hips) over the seen frames."""

    def lengths(pose: Pose, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        pixels = pose.body.xy * np.array([pose.size[1], pose.size[0]])
        return np.stack([np.linalg.norm(pixels[:, a] - pixels[:, b], axis=1) for a, b in pairs], 1)

    worst = []
    for pairs in (LIMBS, ((NECK, HIPS[0]), (NECK, HIPS[1]))):
        seen = np.stack(
            [before.body.visible[:, a] & before.body.visible[:, b] for a, b in pairs], 1
        )
        old, new = lengths(before, pairs), lengths(after, pairs)
        seen &= old > 1e-6
        worst.append(float(np.abs(new[seen] / old[seen] - 1).max()) if seen.any() else 0.0)
    return worst[0], worst[1]


def newly_outside(before: Pose, after: Pose) -> int:
    """Number of seen points that lay in the frame before and do not after."""

    def inside(points: Keypoints) -> np.ndarray:
        return ((points.xy >= 0) & (points.xy <= 1)).all(2)

    parts = ((before.body, after.body), (before.hands, after.hands), (before.face, after.face))
    return int(sum((a.visible & inside(a) & ~inside(b)).sum() for a, b in parts))


def lower_body_shift(before: Pose, after: Pose) -> float:
    """Largest displacement of hips, knees and ankles, in fractions of the frame."""
    return float(np.abs(after.body.xy[:, LEG_POINTS] - before.body.xy[:, LEG_POINTS]).max())


def lip_shift(before: Pose, after: Pose) -> float:
    """Largest change of the lips in the face's own coordinates (eye centres 0 and 1), seen frames only."""

    def local(pose: Pose) -> np.ndarray:
        points = pose.face.xy[..., 0] * pose.size[1] + 1j * pose.face.xy[..., 1] * pose.size[0]
        right, left = points[:, RIGHT_EYE].mean(1), points[:, LEFT_EYE].mean(1)
        span = np.where(np.abs(left - right) > 1e-6, left - right, 1)
        return (points[:, 48:] - right[:, None]) / span[:, None]

    seen = before.face.visible[:, 36:].all(1)
    return float(np.abs(local(after)[seen] - local(before)[seen]).max()) if seen.any() else 0.0


def lag_curve(before: Pose, after: Pose, excitation: np.ndarray) -> np.ndarray:
    """(25,) correlation of the gestures' growth with the excitation, growth late by -12 to 12 frames.

    Growth is the logarithm of the ratio of the wrists' distances from their own 1.5 s low-pass, both floored
    at a tenth of the mean.
    """

    def envelope(pose: Pose) -> np.ndarray:
        place, seen = _from_neck(pose)
        stroke = place - gaussian_filter1d(place, 1.5 * pose.fps, axis=0)
        return (np.linalg.norm(stroke, axis=2) * seen).mean(1)

    old, new = envelope(before), envelope(after)
    floor = max(0.1 * old.mean(), 1e-6)
    growth = np.log((new + floor) / (old + floor))
    growth, curve = growth - growth.mean(), excitation - excitation.mean()
    scale = max(float(growth.std() * curve.std()), 1e-12)
    frames, reach = len(growth), range(-LAG_REACH, LAG_REACH + 1)
    ends = [(max(k, 0), frames + min(k, 0), max(-k, 0), frames + min(-k, 0)) for k in reach]
    return np.array([(growth[a:b] * curve[c:d]).mean() for a, b, c, d in ends]) / scale


def looped(audio: Audio) -> Audio:
    """A sound under ten seconds repeated up to that length, a longer one as it is."""
    if audio.seconds >= MIN_SECONDS:
        return audio
    copies = int(np.ceil(MIN_SECONDS / max(audio.seconds, 0.1)))
    return Audio(np.tile(audio.samples, copies)[: round(MIN_SECONDS * audio.rate)], audio.rate)


def pair(pose: Pose, audio: Audio, start: int = 0, speech: prosody.Prosody | None = None) -> Motion:
    """The pose, ping-ponged from frame `start` over the looped sound's length, as a motion with its prosody.

    `speech` is that prosody where it is known already.
    """
    speech = prosody.analyse(looped(audio), pose.fps) if speech is None else speech
    frames, turn = len(speech), max(2 * len(pose) - 2, 1)
    rows = np.arange(start, start + frames) % turn
    there_and_back = pose[np.where(rows < len(pose), rows, turn - rows)]
    tokens = np.zeros((frames, 1, 1), np.float32)
    one = np.ones(frames)
    return Motion(
        there_and_back,
        there_and_back[:1],
        None,
        None,
        speech.intensity,
        speech.excitation,
        one,
        tokens,
    )


def against(
    motion: Motion, strength: float, tuning: Tuning = TUNING
) -> dict[str, float | np.ndarray]:
    """Figures of one motion refocused at `strength` against the same motion at 0, whose rest serves both."""
    home = rest(motion.pose, motion.excitation)
    base = figures(motion, home)
    after = refocus(motion, strength, tuning=tuning)
    now = figures(after, home)
    limbs, torso = drift(motion.pose, after.pose)
    return {
        "r": now.correlation,
        "rise": now.correlation - base.correlation,
        "z": now.z,
        "ratio": now.ratio / base.ratio if base.ratio > 0 else float("nan"),
        "jerk": now.jerk / max(base.jerk, 1e-9),
        "jerk99": now.jerk99 / max(base.jerk99, 1e-9),
        "lags": lag_curve(motion.pose, after.pose, motion.excitation),
        "drift": limbs,
        "torso": torso,
        "outside": newly_outside(motion.pose, after.pose),
        "feet": lower_body_shift(motion.pose, after.pose),
        "lips": lip_shift(motion.pose, after.pose),
    }


def pooled(motions: Sequence[Motion], strength: float, tuning: Tuning = TUNING) -> dict[str, float]:
    """The figures of `against` over many motions; `rising` is the share of them whose correlation rises.

    Means, but for the ratio the median and for the safety rows the worst. `lag` is the mean curve's peak.
    """
    parts = [against(motion, strength, tuning) for motion in motions]
    columns = {name: np.array([part[name] for part in parts]) for name in parts[0]}
    lags = columns.pop("lags").mean(0)
    row = {name: float(v.max() if name in WORST else v.mean()) for name, v in columns.items()}
    ratios = columns["ratio"][np.isfinite(columns["ratio"])]
    row["ratio"] = float(np.median(ratios)) if len(ratios) else float("nan")
    row["rising"] = float((columns["rise"] > 0).mean())
    row["lag"] = float(np.argmax(lags) - LAG_REACH) if strength else 0.0
    return row


METRICS = Tuning(1.8, 0.35, (0.2, 0.25, 0.7, 0.6, 0.4), posture_share=1.0, posture_seconds=1.0)
FREE = (12.0, 20.0, 170.0, 170.0, 170.0)
TRIED = (
    ("gain 1.8 / 0.35, arms .7 .6 .4, posture like stroke, 1 s (first proposal)", METRICS),
    ("arms 1.1 1.1 .5", replace(METRICS, exponents=TUNING.exponents)),
    ("and gain 3 / 0.25", replace(METRICS, exponents=TUNING.exponents, loud=3.0, quiet=0.25)),
    ("and gain 4 / 0.2", replace(TUNING, posture_share=1.0, posture_seconds=1.0)),
    ("and posture share 0.5", replace(TUNING, posture_seconds=1.0)),
    ("**and low-pass 1.5 s: chosen**", TUNING),
    ("chosen with low-pass 0.5 s", replace(TUNING, posture_seconds=0.5)),
    ("chosen with low-pass 2.5 s", replace(TUNING, posture_seconds=2.5)),
    ("chosen with posture share 0", replace(TUNING, posture_share=0.0)),
    ("chosen with arms 1 1 .5", replace(TUNING, exponents=(0.2, 0.25, 1.0, 1.0, 0.5))),
    ("chosen with arms 1.3 1.3 .5", replace(TUNING, exponents=(0.2, 0.25, 1.3, 1.3, 0.5))),
    ("chosen with limits 35 35 25", replace(TUNING, limits=(4.0, 10.0, 35.0, 35.0, 25.0))),
    ("chosen with limits 170", replace(TUNING, limits=FREE)),
    ("chosen without the foreshortening factor", replace(TUNING, foreshortened=(-0.2, 0.0))),
    ("chosen without slowing slow gestures", replace(TUNING, pace=0.0)),
    ("chosen with pace 2.5", replace(TUNING, pace=2.5)),
)
COLUMNS = ("rise", "rising", "z", "ratio", "jerk", "jerk99")


def table(motions: Sequence[Motion]) -> str:
    """The calibration as markdown: constants tried at 1 and 2, then the chosen ones over the slider."""
    head = " | ".join(f"{name} at {s}" for s in (1, 2) for name in COLUMNS)
    lines = [f"| constants | {head} |", "|---" * (1 + 2 * len(COLUMNS)) + "|"]
    for name, tuning in TRIED:
        rows = [pooled(motions, s, tuning) for s in (1.0, 2.0)]
        lines.append(
            f"| {name} | " + " | ".join(f"{row[c]:.2f}" for row in rows for c in COLUMNS) + " |"
        )
    names = ("r", *COLUMNS, "lag", *WORST)
    lines += ["", "| strength | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        row = pooled(motions, strength)
        lines.append(f"| {strength:g} | " + " | ".join(f"{row[name]:.3g}" for name in names) + " |")
    return "\n".join(lines)


def read_pose(path: Path) -> Pose:
    """The largest person in a pose file of any format."""
    return pose_files.read(path).people[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the calibration table over all pairs of the pose files and sounds that are given."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--poses", type=Path, nargs="+", required=True, help="pose files (.npz)")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="sound files")
    parser.add_argument(
        "--starts", type=int, default=2, help="start frames per pair, spread over the clip"
    )
    options = parser.parse_args(arguments)
    sounds = [read_audio(path) for path in options.speech]
    motions = [
        pair(pose, sound, start=(53 * k + turn * len(pose)) % max(2 * len(pose) - 2, 1))
        for pose in map(read_pose, options.poses)
        for k, sound in enumerate(sounds)
        for turn in range(options.starts)
    ]
    print(
        f"{len(motions)} pairs of {len(options.poses)} poses and {len(sounds)} sounds\n\n{table(motions)}"
    )


if __name__ == "__main__":
    main()
