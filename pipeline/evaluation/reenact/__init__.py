"""`python -m pipeline evaluate reenact`: clips of one person reenact themselves, with a truth.

A good early frame of a clip is the reference, and the clip's own key points drive it: nothing is
spliced, retargeted or refocused, and there is no speech. The result is compared with the true
frames, beside a copy of the reference and the warp alone.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import media
from pipeline.evaluation import command, frozen_lists
from pipeline.evaluation.hardware import hardware
from pipeline.evaluation.metrics import bootstrap
from pipeline.evaluation.reenact import sheet
from pipeline.evaluation.reenact.cases import FPS, Case, prepare
from pipeline.evaluation.reenact.figures import Figures, measure
from pipeline.evaluation.reenact.methods import METHODS
from pipeline.evaluation.reenact.table import ClipFigures, clip_table, table_rows
from pipeline.evaluation.report import DEFINITIONS, Report
from pipeline.render import load
from pipeline.values import InputError, Video

__all__ = ["Case", "Figures", "main", "measure", "prepare"]

log = logging.getLogger(__name__)

SECONDS = 3.0
SECONDS_RANGE = (0.5, 60.0)  # what may be asked for


def write_videos(folder: Path, case: Case, frames: Mapping[str, np.ndarray]) -> None:
    """Write a case's truth and the frames of each method as videos for `evaluate videos`.

    They lie in folder/truth and folder/METHOD, each under the case's name.
    """
    for name, pictures in {"truth": case.truth, **frames}.items():
        place = folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--videos {folder} cannot be made ({error.strerror})") from None
        media.write_video(place / f"{case.name}.mp4", Video(pictures, FPS))


def evaluate(
    clips: Sequence[Path],
    model: str,
    seconds: float,
    methods: Sequence[str],
    videos: Path | None = None,
) -> tuple[Report, list[ClipFigures], np.ndarray]:
    """Measure the methods on all clips; return the report, the clips' figures and the sheet.

    The videos of all methods are written into the folder `videos`, where there is one.
    """
    for clip in clips:
        media.probe(clip)  # a clip that cannot be read is told before the others are measured
    pipe = load.load(model, device="cpu")
    measured = []
    pictures = []
    for number, clip in enumerate(clips):
        log.info("clip %d of %d: %s", number + 1, len(clips), clip.name)
        case = prepare(clip, pipe.settings, seconds)
        frames = {method: METHODS[method](pipe, case) for method in methods}
        figures = {method: measure(case, made) for method, made in frames.items()}
        half = frozen_lists.half_of(clip, frozen_lists.CLIPS)
        measured.append(ClipFigures(case.name, half, figures))
        pictures.append(sheet.clip_rows(case, frames))
        if videos is not None:
            write_videos(videos, case, frames)
    commit, why = bootstrap.commit()
    facts = {
        "model": model,
        "clips": [clip.to_dict() for clip in measured],
        "fps": FPS,
        "seconds": seconds,
        "commit": commit,
        "commit_why": why or None,
        "intervals": bootstrap.MEANING,
        "hardware": hardware(),
    }
    intervals = bootstrap.bootstrap((measured,), table_rows)
    notes = [f"[low, high] is the {bootstrap.MEANING}"]
    rows = table_rows(measured)
    report = Report(rows, DEFINITIONS["reenact"], facts, intervals, notes)
    return report, measured, sheet.stack(pictures)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments. Raises InputError for what makes no sense."""
    parser = command.parser("reenact", __doc__.split("`: ", 1)[1])
    add = parser.add_argument
    add("clips", nargs="+", type=Path, metavar="CLIPS", help="videos of one person each")
    add("--model", default="mini", help="a name of `models`, or a folder")
    add("--seconds", type=float, default=SECONDS, help=f"of each clip, {SECONDS:g} by default")
    add("--only", nargs="+", choices=list(METHODS), help="measure these methods, not all")
    add(
        "--half", choices=frozen_lists.HALVES, help="keep the clips of this half of the frozen list"
    )
    add("--sheet", type=Path, help="PNG to write: reference and frames, a row per method")
    add(
        "--videos",
        type=Path,
        metavar="DIR",
        help="write DIR/METHOD/NAME.mp4 and DIR/truth/NAME.mp4, for `evaluate videos`",
    )
    args = parser.parse_args(list(argv))
    shortest, longest = SECONDS_RANGE
    if not shortest <= args.seconds <= longest:
        raise InputError(f"--seconds {args.seconds:g} lies outside {shortest:g} to {longest:g}")
    command.check_sheet(args.sheet)
    args.clips = frozen_lists.keep_half(args.clips, args.half, frozen_lists.CLIPS)
    return args


def main(argv: Sequence[str]) -> int:
    """Print the report; return 0 when no clip is worse than a copy of the reference, else 1."""
    args = parse(argv)
    began = time.process_time()
    methods = [method for method in METHODS if args.only is None or method in args.only]
    report, clips, picture = evaluate(args.clips, args.model, args.seconds, methods, args.videos)
    took = round(time.process_time() - began, 1)
    report = replace(report, facts={**report.facts, "took_cpu_seconds": took})
    if args.sheet is not None:
        Image.fromarray(picture).save(args.sheet)
    heading = f"{len(clips)} clips, {args.seconds:g} s each\n\n{clip_table(clips)}"
    return command.show(report, heading, args.json)
