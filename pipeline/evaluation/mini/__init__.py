"""`python -m pipeline evaluate mini`: what the embedded model does with people and voices unseen.

Drawn held-out presenters have a true next frame, so every figure has a truth. Beside the result
stand the warp alone, four trivial baselines, and a previous release where one is given.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline import ROOT
from pipeline.evaluation import command
from pipeline.evaluation.hardware import hardware
from pipeline.evaluation.metrics import bootstrap
from pipeline.evaluation.metrics.correlation import Correlation
from pipeline.evaluation.mini import lip_table, resolution, slider
from pipeline.evaluation.mini.cases import FPS, Case, make_case
from pipeline.evaluation.mini.figures import Figures
from pipeline.evaluation.mini.measure import Measure, prior_correlation
from pipeline.evaluation.mini.table import table_rows
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.models import sync_mini
from pipeline.training.data import filming, held_out, talks
from pipeline.values import InputError

log = logging.getLogger(__name__)

SHIPPED = ROOT / "checkpoints" / "mini"
INEXACT_SECONDS = 2.6  # of each talk of the picture rows
INEXACT_FRAME_STEP = 8  # of these talks every eighth frame is made
TALK_SECONDS = (1.0, 10.0)  # what may be asked for


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        talks: Talks of held-out people.
        seconds: Length of each of these talks.
        speeches: Speeches on each of which the prior moves every reference, for its z.
        inexact: People of the picture rows, with inexact points.
        whole: Talks that are drawn large, and takes on which the slider is read in frames.
    """

    talks: int
    seconds: float
    speeches: int
    inexact: int
    whole: int


PLAIN = Scale(talks=6, seconds=2.6, speeches=16, inexact=24, whole=2)
QUICK = Scale(talks=3, seconds=1.6, speeches=6, inexact=8, whole=0)


def evaluate(
    folder: Path, previous: Path | None, scale: Scale, device: str
) -> tuple[Report, np.ndarray]:
    """Measure a model folder and return the report and the contact sheet."""
    measure = Measure(folder, previous, device)
    found_cases = _cases(scale)
    exact = []
    strips = []
    for number, case in enumerate(found_cases):
        log.info("talk %d of %d", number + 1, scale.talks)
        other = found_cases[(number + 1) % scale.talks]
        figures, strip = measure.figures(case, other)
        exact.append(figures)
        strips.append(strip)
    inexact = _inexact_figures(measure, scale)

    def rows_of(
        exact: Sequence[Figures], inexact: Sequence[Figures], prior: Correlation
    ) -> list[Row]:
        rows = table_rows(exact, inexact, prior, measure.network_why)
        return [*rows, *lip_table.rows(exact)]

    def resampled_rows(exact: Sequence[Figures], inexact: Sequence[Figures]) -> list[Row]:
        # The prior's z has a null of its own, so it has no interval.
        return rows_of(exact, inexact, Correlation(math.nan, math.nan))

    rows = rows_of(exact, inexact, prior_correlation(found_cases, scale.speeches))
    intervals = bootstrap.bootstrap((exact, inexact), resampled_rows)
    rows += resolution.rows(measure.pipe, scale.whole)
    rows += slider.rows(measure.pipe, scale.whole)
    facts = {
        "model": str(folder),
        "previous": None if previous is None else str(previous),
        **_scale_facts(scale, sum(map(len, found_cases))),
        **_commit_facts(),
        "intervals": bootstrap.MEANING,
        "mouths_read": sum(bool(figures.openings) for figures in exact),
        "reader_parameters": sum(p.numel() for p in measure.reader.parameters()),
        "weights_sha256": checksum(folder),
        "sync_mini_sha256": checksum(sync_mini.FOLDER),
        "hardware": hardware(),
    }
    report = Report(
        rows, DEFINITIONS["mini"], facts, intervals, [f"[low, high] is the {bootstrap.MEANING}"]
    )
    return report, np.concatenate(strips)


def _cases(scale: Scale) -> list[Case]:
    """Draw the held-out talks, each with its lips and with lips withheld."""
    exact = held_out.held_talks(scale.talks, scale.seconds, 1.0)
    hidden = held_out.held_talks(scale.talks, scale.seconds, 0.0)
    return [make_case(talk, withheld) for talk, withheld in zip(exact, hidden, strict=True)]


def _inexact_figures(measure: Measure, scale: Scale) -> list[Figures]:
    """Measure the picture rows on talks whose points are as inexact as a detector's."""
    inexact = held_out.held_talks(
        scale.inexact, INEXACT_SECONDS, jitter=filming.JITTER_PX, every=INEXACT_FRAME_STEP
    )
    return [measure.picture_figures(make_case(talk, talk)) for talk in inexact]


def _scale_facts(scale: Scale, frames: int) -> dict[str, object]:
    """Return the report's entries on how much was measured."""
    inexact_frames = -(-int(INEXACT_SECONDS * held_out.FPS) // INEXACT_FRAME_STEP)
    return {
        "clips": scale.talks,
        "frames": frames,
        "inexact": {"clips": scale.inexact, "frames": scale.inexact * inexact_frames},
        "fps": FPS,
        "seconds": frames / FPS,
    }


def _commit_facts() -> dict[str, object]:
    """Return the code's commit, or the reason why it is not known."""
    commit, why = bootstrap.commit()
    return {"commit": commit, "commit_why": why} if why else {"commit": commit}


def checksum(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of all weights of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        name = path.relative_to(folder).as_posix()
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


def heading(report: Report) -> str:
    """Return the first line of the printed table."""
    facts = report.facts
    return (
        f"{facts['model']}: {facts['clips']} held-out talks, {facts['frames']} frames, "
        f"mouths read in {facts['mouths_read']}"
    )


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, Scale]:
    """Parse the command's arguments. Raises InputError for what makes no sense."""
    parser = command.parser("mini", __doc__.split("`: ", 1)[1])
    add = parser.add_argument
    add("--model", type=Path, default=SHIPPED, help="folder of the model")
    add("--previous", type=Path, help="folder of an older release, measured side by side")
    add(
        "--quick",
        action="store_true",
        help="fewer and shorter talks: under 2 minutes on a quiet core",
    )
    add("--talks", type=int, help=f"held-out talks, {PLAIN.talks} by default")
    add("--talk-seconds", type=float, help=f"of each talk, {PLAIN.seconds:g} by default")
    add("--device", default="cpu", help="cpu, cuda or auto")
    add("--sheet", type=Path, help="PNG to write: reference, warp, result, truth")
    args = parser.parse_args(list(argv))
    scale = QUICK if args.quick else PLAIN
    if args.talks is not None:
        scale = replace(scale, talks=args.talks)
    if args.talk_seconds is not None:
        scale = replace(scale, seconds=args.talk_seconds)
    if not 2 <= scale.talks <= talks.HELD:
        raise InputError(
            f"--talks {scale.talks} lies outside 2 to {talks.HELD}: a talk needs another's speech"
        )
    shortest, longest = TALK_SECONDS
    if not shortest <= scale.seconds <= longest:
        raise InputError(
            f"--talk-seconds {scale.seconds:g} lies outside {shortest:g} to {longest:g}"
        )
    command.check_sheet(args.sheet)
    return args, scale


def main(argv: Sequence[str]) -> int:
    """Print the report; return 0 when every row with a level passes, else 1.

    Raises InputError for bad input.
    """
    args, scale = parse(argv)
    began = time.perf_counter()
    began_cpu = time.process_time()
    report, sheet = evaluate(args.model, args.previous, scale, args.device)
    facts = {
        **report.facts,
        "took_seconds": round(time.perf_counter() - began, 1),
        "took_cpu_seconds": round(time.process_time() - began_cpu, 1),
    }
    if args.sheet is not None:
        from PIL import Image

        Image.fromarray(sheet).save(args.sheet)
        facts["sheet"] = str(args.sheet)
    report = replace(report, facts=facts)
    return command.show(report, heading(report), args.json)
