"""`python -m pipeline evaluate motion`: does the body follow the speech, and stay a body? (metrics 4.4)

Every pose file is paired with every sound, refocused over the slider, and measured on its key points: what
must never break (safety), what must be seen (effect), and two controls: loudness alone, shuffled speech.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.evaluation.bench import motion_core
from pipeline.evaluation.metrics import gestures
from pipeline.evaluation.report import ASSETS, Row
from pipeline.media import read_audio
from pipeline.motion import prosody
from pipeline.motion.keypoints import NECK, SHOULDERS, WRISTS
from pipeline.values import Audio, InputError, Motion, Pose

DEFINITION = (
    1  # raise it when a row's meaning changes, so that old figures are not compared with new ones
)
SLIDER = (0.25, 0.5, 0.75, 1.0, 2.0)
ENOUGH_PAIRS = 20  # fewer leave the effect to chance: the correlation of one pair scatters by 0.1
MIN_SPEECH = 3.0  # seconds; a shorter loop has no shift that is a second away from its repeats
DRAWS = 400  # of the pooled null
SHUFFLES = 3  # other excitations per pair of the control


@dataclass(frozen=True)
class Pair:
    """One clip with one speech.

    loud: (T,) excitation by loudness alone. period: frames after which the sound repeats itself.
    """

    motion: Motion
    loud: np.ndarray
    sound: str
    period: int


def pairs(poses: Sequence[Pose], sounds: dict[str, Audio], starts: int = 2) -> list[Pair]:
    """Every pose with every sound, from `starts` places spread over the clip, at least ten seconds each."""
    spoken: dict[tuple[str, float], tuple[prosody.Prosody, prosody.Prosody]] = {}
    made = []
    for pose in poses:
        for k, (name, audio) in enumerate(sounds.items()):
            sound = gestures.looped(audio)
            if (name, pose.fps) not in spoken:
                spoken[name, pose.fps] = tuple(
                    prosody.analyse(sound, pose.fps, mode) for mode in ("full", "rms")
                )
            full, rms = spoken[name, pose.fps]
            for turn in range(starts):
                start = (53 * k + turn * len(pose)) % max(2 * len(pose) - 2, 1)
                motion = gestures.pair(pose, sound, start, full)
                period = len(motion) if audio is sound else round(audio.seconds * pose.fps)
                made.append(Pair(motion, rms.excitation, name, period))
    return made


def allowed_shifts(pair: Pair) -> np.ndarray:
    """Circular shifts that are at least a second away from where the speech meets itself or its repeat."""
    frames, least = len(pair.motion), max(1, round(pair.motion.pose.fps))
    shifts = np.arange(least, frames - least + 1)

    def apart(k: np.ndarray) -> np.ndarray:
        return np.minimum(k % pair.period, pair.period - k % pair.period) >= least

    return shifts[apart(shifts) & (apart(frames - shifts) | (pair.period == frames))]


def pooled_z(found: Sequence[Pair], curves: Sequence[np.ndarray]) -> tuple[float, float]:
    """(mean Pearson r of curves (T,) and intensities, its z against shifted speech).

    In each draw of the null a sound is shifted alike in all its pairs, because pairs that share a sound are
    not independent.
    """
    rng = np.random.default_rng(0)
    draws = {name: rng.random(DRAWS) for name in dict.fromkeys(pair.sound for pair in found)}
    own, null = [], []
    for pair, curve in zip(found, curves, strict=True):
        a, b = curve - curve.mean(), pair.motion.intensity - pair.motion.intensity.mean()
        scale = max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-12)
        by_shift = np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), len(a)) / scale
        shifts = allowed_shifts(pair)
        own.append(by_shift[0])
        null.append(by_shift[shifts[(draws[pair.sound] * len(shifts)).astype(int)]])
    mean = np.mean(null, 0)
    return float(np.mean(own)), float((np.mean(own) - mean.mean()) / max(mean.std(), 1e-9))


def distance(pose: Pose, home: np.ndarray) -> np.ndarray:
    """(T,) distance of the wrists from `home`; where none is seen, the clip's mean, which weighs nothing."""
    away = gestures.amplitude(pose, home)
    return np.where(np.isfinite(away), away, np.nanmean(away))


def rise_with(found: Sequence[Pair], excitations: Callable[[Pair], Sequence[np.ndarray]]) -> float:
    """Mean rise of the speed-intensity r at strength 1 when other excitations drive the refocusing."""
    rises = []
    for pair in found:
        motion = pair.motion
        base = gestures.correlation(gestures.speed(motion.pose), motion.intensity, motion.pose.fps)[
            0
        ]
        for excitation in excitations(pair):
            after = gestures.refocus(replace(motion, excitation=excitation), 1.0)
            now = gestures.correlation(
                gestures.speed(after.pose), motion.intensity, motion.pose.fps
            )[0]
            rises.append(now - base)
    return float(np.mean(rises))


def shuffled(found: Sequence[Pair], rng: np.random.Generator) -> Callable[[Pair], list[np.ndarray]]:
    """Function (pair) -> excitations of other moments of other speeches, or of the same one if it is alone.

    Another speech is fairer: the moments of one speech that are not now correlate below zero with now.
    """
    sounds = {pair.sound: pair.motion.excitation for pair in found}

    def others(pair: Pair) -> list[np.ndarray]:
        strange = [e for name, e in sounds.items() if name != pair.sound]
        if not strange:
            shifts = rng.choice(allowed_shifts(pair), SHUFFLES)
            return [np.roll(pair.motion.excitation, k) for k in shifts]
        picked = [strange[k] for k in rng.integers(len(strange), size=SHUFFLES)]
        frames = len(pair.motion)
        return [np.resize(np.roll(e, rng.integers(len(e))), frames) for e in picked]

    return others


def identity(motion: Motion) -> float:
    """Largest difference that the slider at 0 makes to any number."""
    after = gestures.refocus(motion, 0.0)
    parts = [(getattr(motion.pose, n), getattr(after.pose, n)) for n in ("body", "hands", "face")]
    arrays = [(a.xy, b.xy) for a, b in parts] + [(a.score, b.score) for a, b in parts]
    arrays.append((motion.control_strength, after.control_strength))
    return float(max(np.abs(a - b).max() for a, b in arrays))


def rows(found: Sequence[Pair]) -> list[Row]:
    """The table of metrics 4.4; effects have levels (assets/refocus_calibration.md) from 20 pairs on."""
    motions = [pair.motion for pair in found]
    slider = {0.0: gestures.pooled(motions, 0.0)} | {s: gestures.pooled(motions, s) for s in SLIDER}
    worst = {n: float(np.max([row[n] for row in slider.values()])) for n in gestures.WORST}
    one, two = slider[1.0], slider[2.0]
    return [
        Row("identity at 0", max(map(identity, motions)), 1e-6),
        Row("bone drift, limbs", worst["drift"], 1e-5),
        Row("bone drift, neck to hips", worst["torso"], 0.05),
        Row("points newly outside the frame", worst["outside"], 0),
        Row("feet, knees and hips moved", worst["feet"], 0),
        Row("lips in face coordinates", worst["lips"], 1e-6),
        Row(
            "jerk at 0, shoulder widths",
            float(np.mean([gestures.figures(m).jerk for m in motions])),
        ),
        Row("jerk ratio at 1", one["jerk"], 1.5),
        Row("jerk ratio at 1, 99th percentile", one["jerk99"], 1.5),
        Row("jerk ratio at 2", two["jerk"]),
        Row("jerk ratio at 2, 99th percentile", two["jerk99"]),
        Row("lag at 1, frames", one["lag"], 1, "|x| <="),
        *_effects(found, slider),
    ]


def _effects(found: Sequence[Pair], slider: dict[float, dict[str, float]]) -> list[Row]:
    """What a viewer should see, and the two controls."""
    rng = np.random.default_rng(0)
    homes = [gestures.rest(pair.motion.pose, pair.motion.excitation) for pair in found]
    after = [gestures.refocus(pair.motion, 1.0).pose for pair in found]
    r0, z0 = pooled_z(found, [gestures.speed(pair.motion.pose) for pair in found])
    r, z = pooled_z(found, [gestures.speed(pose) for pose in after])
    far0, far_z0 = pooled_z(
        found, [distance(p.motion.pose, h) for p, h in zip(found, homes, strict=True)]
    )
    far, far_z = pooled_z(found, [distance(p, h) for p, h in zip(after, homes, strict=True)])
    to_one = [row for s, row in sorted(slider.items()) if s <= 1]
    steps = {name: float(np.diff([row[name] for row in to_one]).min()) for name in ("r", "ratio")}
    effects = [
        Row("speed-intensity r at 0", r0),
        Row("speed-intensity r at 0, z against shifted speech", z0),
        Row("speed-intensity r at 1", r),
        Row("speed-intensity r at 1, z against shifted speech", z, 3, ">="),
        Row("speed-intensity r, rise at 1", slider[1.0]["rise"], 0.10, ">="),
        Row("speed-intensity r, rise at 2", slider[2.0]["rise"], 0.18, ">="),
        Row("share of pairs whose r rises at 1", slider[1.0]["rising"]),
        Row("amplitude-intensity r at 0", far0),
        Row("amplitude-intensity r at 0, z against shifted speech", far_z0),
        Row("amplitude-intensity r at 1", far),
        Row("amplitude-intensity r at 1, z against shifted speech", far_z, 3, ">="),
        Row("on/off ratio at 1 over that at 0", slider[1.0]["ratio"], 1.3, ">="),
        Row("monotone in the slider, smallest step of r", steps["r"], 0, ">"),
        Row("monotone in the slider, smallest step of the ratio", steps["ratio"], 0, ">"),
        Row("rise at 1 by loudness alone", rise_with(found, lambda pair: [pair.loud])),
        Row("rise at 1 by shuffled speech", rise_with(found, shuffled(found, rng)), 0.05, "|x| <="),
    ]
    measured = [row if np.isfinite(row.value) else replace(row, level=None) for row in effects]
    return (
        measured if len(found) >= ENOUGH_PAIRS else [replace(row, level=None) for row in measured]
    )


def speed_rows(pose: Pose, audio: Audio) -> list[Row]:
    """Processor time of the motion core and of the slider, without detection and drawing."""
    core, slider = motion_core.core_seconds(pose, audio), motion_core.slider_seconds(pose, audio)
    return [
        Row(
            f"motion core of {motion_core.CORE_SECONDS:.0f} s at {motion_core.FPS:.0f} frames/s, seconds",
            core,
            1.0,
        ),
        Row(
            f"slider of {motion_core.SLIDER_SECONDS:.0f} s at {motion_core.FPS:.0f} frames/s, seconds",
            slider,
            0.05,
        ),
    ]


def evaluate(found: Sequence[Pair], more: Sequence[Row] = ()) -> dict[str, object]:
    """The report: rows with value, level and pass, then `more`, whether all passed, pairs, seconds, notes."""
    table = [*rows(found), *more]
    notes = []
    if len(found) < ENOUGH_PAIRS:
        notes.append(
            f"{len(found)} pairs are too few to judge effects; at least {ENOUGH_PAIRS} are needed"
        )
    if not all(np.isfinite(row.value) for row in table if row.name.startswith("on/off")):
        notes.append(
            "no pair has wrists in sight both at accents and in pauses, so there is no on/off ratio"
        )
    return {
        "rows": [row.to_dict() for row in table],
        "pass": all(row.passed for row in table if row.level is not None),
        "pairs": len(found),
        "seconds": round(sum(len(p.motion) / p.motion.pose.fps for p in found), 2),
        "definition": DEFINITION,
        "notes": notes,
    }


def read_clips(paths: Sequence[Path]) -> list[Pose]:
    """The poses, each long enough and with wrists and shoulders that can be measured."""
    poses = []
    for path in paths:
        pose = gestures.read_pose(path)
        if len(pose) < pose.fps:
            raise InputError(f"{path} has {len(pose)} frames; give a clip of at least one second")
        if not (pose.body.visible[:, WRISTS] & pose.body.visible[:, [NECK]]).any():
            raise InputError(
                f"{path} never shows a wrist with the neck; choose a clip with gestures"
            )
        if not pose.body.visible[:, SHOULDERS].all(1).any():
            raise InputError(f"{path} has no frame with both shoulders; choose another clip")
        poses.append(pose)
    return poses


def read_sounds(paths: Sequence[Path]) -> dict[str, Audio]:
    """The sounds by path, each long enough and with speech in it."""
    sounds = {}
    for path in paths:
        audio = read_audio(path)
        if audio.seconds < MIN_SPEECH:
            raise InputError(
                f"{path} lasts {audio.seconds:.1f} s; give speech of at least {MIN_SPEECH:g} s"
            )
        if not prosody.analyse(audio, 25.0, "rms").intensity.any():
            raise InputError(
                f"{path} holds no speech, so nothing can follow it; give a recording of speech"
            )
        sounds[str(path)] = audio
    return sounds


def text(report: dict) -> str:
    """The report as a table for people."""
    lines = [f"{report['pairs']} pairs, {report['seconds']:.0f} s", ""]
    for row in report["rows"]:
        value = "-" if row["value"] is None else f"{row['value']:.3g}"
        level = "" if row["level"] is None else f"{row['rule']} {row['level']:g}"
        verdict = {True: "pass", False: "FAIL", None: ""}[row["pass"]]
        lines.append(f"{row['name']:54} {value:>10}   {level:12} {verdict}".rstrip())
    lines += [f"note: {note}" for note in report["notes"]]
    return "\n".join([*lines, "", "pass" if report["pass"] else "FAIL"])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise InputError(f"{message}; see `{self.prog} --help`")


def main(argv: Sequence[str]) -> int:
    """Prints the report; 0 when every row with a level passes, 1 when one fails. ValueError for bad input."""
    parser = _Parser(
        prog="python -m pipeline evaluate motion", description=__doc__.split("`: ", 1)[1]
    )
    parser.add_argument(
        "--poses",
        type=Path,
        nargs="+",
        help="pose files as --driving takes them (.npz of `pose` or EchoMimic, OpenPose JSON, skeleton "
        "videos with their sidecar), with wrists, at least 1 s; default: the shipped driving clips",
    )
    parser.add_argument(
        "--speech",
        type=Path,
        nargs="+",
        help="sound files of at least 3 s, looped to 10 s; default: the shipped speeches",
    )
    parser.add_argument(
        "--starts", type=int, default=2, help="start frames per pair, spread over the clip"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object last on stdout")
    args = parser.parse_args(list(argv))
    if not 1 <= args.starts <= 100:
        raise InputError(f"--starts {args.starts} lies outside 1 to 100")
    clips = args.poses or sorted((ASSETS / "driving").glob("*.npz"))
    speech = args.speech or sorted((ASSETS / "speech").glob("*.wav"))
    if not clips or not speech:
        raise InputError("the shipped clips are missing; name files with --poses and --speech")
    poses, sounds = read_clips(clips), read_sounds(speech)
    longest = max(sounds.values(), key=lambda audio: audio.seconds)
    report = evaluate(pairs(poses, sounds, args.starts), speed_rows(poses[0], longest))
    if not args.poses:  # who gives clips asks about these
        from pipeline.evaluation.motion import pose_free  # which takes its rows from here

        report = pose_free.extended(report, sounds)
    report |= {"poses": [str(path) for path in clips], "speech": [str(path) for path in speech]}
    print(json.dumps(report) if args.json else text(report))
    return 0 if report["pass"] else 1
