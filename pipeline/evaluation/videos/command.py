"""`python -m pipeline evaluate videos`: the papers' metrics on the videos of any method.

The videos may come from this project or from any other: they are paired with pictures, drawn poses,
driving videos and true clips by their names or by a list. Every video is read at one rate, 25
frames/s by default, by the frame that is on screen, so that clips of 24 and 30 frames/s are treated
alike. With --against a second method is measured on the same cases and compared row by row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import media
from pipeline.analysis import detectors
from pipeline.evaluation import command
from pipeline.evaluation.report import Report
from pipeline.evaluation.videos.cases import Companions, VideoCase, find_cases
from pipeline.evaluation.videos.compare import Difference, compare
from pipeline.evaluation.videos.measure import FPS, Options, measure
from pipeline.evaluation.videos.networks import open_networks
from pipeline.evaluation.videos.published_tables import TABLES, WARNING, head_of, table_cells
from pipeline.evaluation.videos.report import (
    COMPARED_HEAD,
    HEAD,
    Method,
    aligned,
    check_saved,
    difference_cells,
    make_report,
    method_of,
    row_cells,
    save,
)
from pipeline.evaluation.videos.sets import (
    bias_notes,
    real_videos,
    set_rows,
    set_statistics,
)
from pipeline.media import pose_files
from pipeline.values import InputError

FPS_RANGE = (5.0, 60.0)  # what may be asked for
DIGITS = 1


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments. Raises InputError for what makes no sense."""
    parser = command.parser("videos", __doc__.split("`: ", 1)[1])
    add = parser.add_argument
    add("videos", type=Path, metavar="FOLDER|LIST", help="results: a folder, or a list .tsv, .csv")
    add("--references", type=Path, metavar="FOLDER", help="pictures of the people, by name")
    add(
        "--driving",
        type=Path,
        metavar="FOLDER",
        help="drawn poses (NAME.npz, skeleton videos) or driving videos, by name",
    )
    add("--truth", type=Path, metavar="FOLDER", help="true clips, by name")
    add("--real", type=Path, metavar="FOLDER", help="real videos for FID and FVD")
    add("--against", type=Path, metavar="FOLDER|LIST", help="another method's results, compared")
    add("--fps", type=float, default=FPS, help=f"rate of all videos, {FPS:g} by default")
    add("--detector", default=detectors.DEFAULT, choices=list(detectors.CLASSES))
    add("--identity", type=Path, metavar="FILE.onnx", help="an embedding of faces for CSIM")
    add("--table", type=int, choices=list(TABLES), help="print this table of APV-Gen beside it")
    add("--save", type=Path, metavar="FILE", help="write the report: .json, .csv or .md")
    args = parser.parse_args(list(argv))
    slowest, fastest = FPS_RANGE
    if not slowest <= args.fps <= fastest:
        raise InputError(f"--fps {args.fps:g} lies outside {slowest:g} to {fastest:g}")
    if args.real is not None and not args.real.is_dir():
        raise InputError(f"--real {args.real} is no folder; give one with real videos")
    check_saved(args.save)
    return args


def cases_of(source: Path, args: argparse.Namespace) -> list[VideoCase]:
    """Return the cases of a folder or list; files that cannot be read are told before the work."""
    companions = Companions(args.references, args.driving, args.truth)
    cases = find_cases(source, companions)
    for case in cases:
        media.probe(case.video)
        if case.truth is not None:
            media.probe(case.truth)
        if case.pose is not None:
            pose_files.read(case.pose)
        elif case.driving is not None and not pose_files.is_pose(case.driving):
            media.probe(case.driving)
    return cases


@dataclass(frozen=True)
class Evaluation:
    """One or two methods, the first one's report, and their differences, row by row."""

    methods: Sequence[Method]
    report: Report
    differences: Sequence[Difference] = ()


def evaluate(args: argparse.Namespace) -> Evaluation:
    """Measure one or two methods."""
    options = Options(args.fps, args.detector)
    detector = detectors.load(args.detector)  # refused now where it lacks its weights
    sources = [args.videos] if args.against is None else [args.videos, args.against]
    found = [cases_of(source, args) for source in sources]
    networks = open_networks(args.identity)
    real = None if args.real is None else real_videos(args.real, networks, args.fps)
    methods = []
    notes: list[str] = []
    for source, cases in zip(sources, found, strict=True):
        clips = measure(cases, options, networks)
        together = None
        if real is not None:
            paths = [case.video for case in cases]
            together = set_statistics(paths, networks, args.fps)
            notes += bias_notes(together, real)
        rows = set_rows(together, real, networks, args.fps)
        methods.append(method_of(source, clips, rows, args.fps))
    facts: dict[str, object] = {
        "fps": args.fps,
        "detector": {"name": detector.name, "version": detector.version},
        "weights": networks.checksums,
    }
    notes = list(dict.fromkeys(notes))
    method = methods[0]
    if args.against is None:
        return Evaluation(methods, make_report(method, facts, notes))
    against = methods[1]
    differences = compare(method.clips, against.clips)
    report = make_report(method, facts, notes, against, differences)
    return Evaluation(methods, report, differences)


def print_tables(evaluation: Evaluation, args: argparse.Namespace) -> None:
    """Print all that was measured as tables for people."""
    report = evaluation.report
    print(aligned(HEAD, row_cells(report)))
    for note in report.notes:
        print(f"note: {note}")
    if evaluation.differences:
        print(f"\n{args.videos} (first) and {args.against} (second)\n")
        print(aligned(COMPARED_HEAD, difference_cells(evaluation.differences)))
    if args.table is not None:
        measured = {str(method.source): method.rows for method in evaluation.methods}
        print()
        print(aligned(head_of(args.table), table_cells(args.table, measured)))
        print(f"warning: {WARNING}")


def main(argv: Sequence[str]) -> int:
    """Print the report; return 0. Rows of this command have no levels."""
    args = parse(argv)
    began = time.perf_counter()
    evaluation = evaluate(args)
    took = round(time.perf_counter() - began, DIGITS)
    report = evaluation.report
    report = replace(report, facts={**report.facts, "took_seconds": took})
    if args.save is not None:
        save(report, args.save)
    if args.json:
        print(json.dumps(report.to_dict()))
        return 0
    print(f"{args.videos}: read at {args.fps:g} frames/s, {took:g} s\n")
    print_tables(evaluation, args)
    return 0
