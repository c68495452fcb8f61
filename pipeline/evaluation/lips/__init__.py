"""`python -m pipeline evaluate lips`: how well the predicted mouth follows real lips.

The truth is MediaPipe's face mesh on real audio-video pairs: the mean 3-D distance of three
inner-lip pairs over the smoothed distance of the outer eye corners. Every figure is at lag 0. The
energy envelope is measured beside it as a baseline.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import ROOT
from pipeline.evaluation import command
from pipeline.evaluation.lips import figures
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.models.audio2pose import Audio2Pose
from pipeline.values import InputError

SHIPPED = ROOT / "checkpoints" / "mini" / "audio2pose"
AVERAGED = (
    "gap_r",
    "drawn_r",
    "envelope_r",
    "best_lag_ms",
    *(f"gap_r_music_{snr}" for snr in figures.MUSIC_SNR_DB),
)
DIGITS = 4  # of the printed figures


def evaluate(folder: Path, model: Audio2Pose) -> Report:
    """Measure everything; the rows are the figures with a level.

    Raises InputError for a folder without talking clips.
    """
    paths = sorted((folder / "talking").glob("grid_*"))
    clips = [figures.clip_figures(model, path) for path in paths]
    if not clips:
        raise InputError(f"{folder} holds no talking/grid_* clips; give the folder of real media")
    means = {name: float(np.mean([clip[name] for clip in clips])) for name in AVERAGED}
    quiet = figures.quiet_figures(model)
    largest = max(quiet.values())
    rows = [
        Row("mean r of the predicted gap", means["gap_r"], 0.65, ">="),
        Row("mean r of the drawn gap", means["drawn_r"], 0.60, ">="),
        Row("largest gap without speech", largest, figures.QUIET_GAP, "<="),
    ]
    facts: dict[str, object] = {
        "mean": means,
        "clips": clips,
        "quiet": quiet,
        "music alone": figures.music_figures(model),
    }
    if shutil.which("flite"):
        closures = figures.closure_figures(model)
        facts["held-out flite rms"] = closures
        rows.append(Row("closures on flite rms", closures["closures"], 0.80, ">="))
    songs = sorted((folder / "speech").glob("a13*"))
    facts["song"] = {path.stem: figures.song_figures(model, path) for path in songs}
    return Report(rows, DEFINITIONS["lips"], facts)


def rounded(value: object) -> object:
    """Round all floats of a JSON value."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments."""
    parser = command.parser("lips", __doc__.split("`: ", 1)[1])
    parser.add_argument(
        "--media", type=Path, required=True, help="folder with talking/grid_* and speech/a13*"
    )
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of an Audio2Pose")
    return parser.parse_args(list(argv))


def main(argv: Sequence[str]) -> int:
    """Print the figures as JSON, rounded; return 0 when every level is reached, else 1."""
    args = parse(argv)
    report = evaluate(args.media, Audio2Pose.from_pretrained(args.model))
    indent = None if args.json else 1
    print(json.dumps(rounded(report.to_dict()), indent=indent))
    return 0 if report.passed else 1
