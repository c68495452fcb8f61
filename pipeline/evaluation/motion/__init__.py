"""`python -m pipeline evaluate motion`: does the body follow the speech, and stay a body?

Every pose file is paired with every sound, refocused over the slider, and measured on its key
points: what must never break, what must be seen, and two controls, which are loudness alone and
shuffled speech. Without files of the user's, the shipped references also gesture to the speech.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.evaluation import command
from pipeline.evaluation.metrics.correlation import Pair
from pipeline.evaluation.metrics.pairing import pairs, read_pose
from pipeline.evaluation.motion import pose_free, processor_time, table
from pipeline.evaluation.report import ASSETS, DEFINITIONS, Report, Row
from pipeline.media import read_audio
from pipeline.motion import prosody
from pipeline.motion.keypoints import NECK, SHOULDERS, WRISTS
from pipeline.values import Audio, InputError, Pose

LEAST_SPEECH_SECONDS = 3.0  # a shorter loop has no shift a second away from its repeats
LEAST_CLIP_SECONDS = 1.0
MOST_STARTS = 100


def evaluate(found_pairs: Sequence[Pair], more: Sequence[Row] = ()) -> Report:
    """Measure pairs; `more` are further rows of the report."""
    rows = [*table.rows(found_pairs), *more]
    notes = []
    if len(found_pairs) < table.ENOUGH_PAIRS:
        notes.append(
            f"{len(found_pairs)} pairs are too few to judge effects; "
            f"at least {table.ENOUGH_PAIRS} are needed"
        )
    ratios = [row.value for row in rows if row.name.startswith("on/off")]
    if not np.isfinite(ratios).all():
        notes.append(
            "no pair has wrists in sight both at accents and in pauses, so there is no on/off ratio"
        )
    seconds = sum(len(pair.motion) / pair.motion.pose.fps for pair in found_pairs)
    facts = {"pairs": len(found_pairs), "seconds": round(seconds, 2)}
    return Report(rows, DEFINITIONS["motion"], facts, notes=notes)


def read_clips(paths: Sequence[Path]) -> list[Pose]:
    """Read poses that are long enough and show wrists and shoulders that can be measured.

    Raises InputError for any other file.
    """
    return [_read_clip(path) for path in paths]


def _read_clip(path: Path) -> Pose:
    """Read one pose file."""
    pose = read_pose(path)
    if len(pose) < pose.fps * LEAST_CLIP_SECONDS:
        raise InputError(f"{path} has {len(pose)} frames; give a clip of at least one second")
    visible = pose.body.visible
    if not (visible[:, WRISTS] & visible[:, [NECK]]).any():
        raise InputError(f"{path} never shows a wrist with the neck; choose a clip with gestures")
    if not visible[:, SHOULDERS].all(1).any():
        raise InputError(f"{path} has no frame with both shoulders; choose another clip")
    return pose


def read_sounds(paths: Sequence[Path]) -> dict[str, Audio]:
    """Read sounds by path, each long enough and with speech in it.

    Raises InputError for any other file.
    """
    return {str(path): _read_sound(path) for path in paths}


def _read_sound(path: Path) -> Audio:
    """Read one sound file."""
    audio = read_audio(path)
    if audio.seconds < LEAST_SPEECH_SECONDS:
        raise InputError(
            f"{path} lasts {audio.seconds:.1f} s; "
            f"give speech of at least {LEAST_SPEECH_SECONDS:g} s"
        )
    if not prosody.analyse(audio, 25.0, "rms").intensity.any():
        raise InputError(
            f"{path} holds no speech, so nothing can follow it; give a recording of speech"
        )
    return audio


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments. Raises InputError for too few or too many starts."""
    parser = command.parser("motion", __doc__.split("`: ", 1)[1])
    parser.add_argument(
        "--poses",
        type=Path,
        nargs="+",
        help="pose files as --driving takes them (.npz of `pose` or EchoMimic, OpenPose JSON, "
        "skeleton videos with their sidecar), with wrists, at least 1 s; default: the shipped "
        "driving clips",
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
    args = parser.parse_args(list(argv))
    if not 1 <= args.starts <= MOST_STARTS:
        raise InputError(f"--starts {args.starts} lies outside 1 to {MOST_STARTS}")
    return args


def main(argv: Sequence[str]) -> int:
    """Print the report; return 0 when every row with a level passes, else 1.

    Raises InputError for files that cannot be measured.
    """
    args = parse(argv)
    clips = args.poses or sorted((ASSETS / "driving").glob("*.npz"))
    speech = args.speech or sorted((ASSETS / "speech").glob("*.wav"))
    if not clips or not speech:
        raise InputError("the shipped clips are missing; name files with --poses and --speech")
    poses = read_clips(clips)
    sounds = read_sounds(speech)
    longest = max(sounds.values(), key=lambda audio: audio.seconds)
    found_pairs = pairs(poses, sounds, args.starts)
    more = processor_time.rows(poses[0], longest)
    if not args.poses:  # with --poses, report only the given clips
        more += pose_free.rows(pose_free.shipped_references(), sounds)
    report = evaluate(found_pairs, more)
    facts = {
        **report.facts,
        "poses": [str(path) for path in clips],
        "speech": [str(path) for path in speech],
    }
    report = replace(report, facts=facts)
    heading = f"{facts['pairs']} pairs, {facts['seconds']:.0f} s"
    return command.show(report, heading, args.json)
