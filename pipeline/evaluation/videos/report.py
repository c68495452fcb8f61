"""The report of `evaluate videos`: rows, facts, the printed table, and the files of `--save`."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.hardware import hardware
from pipeline.evaluation.metrics import bootstrap
from pipeline.evaluation.report import DEFINITIONS, Interval, Report, format_figure
from pipeline.evaluation.videos.compare import Difference
from pipeline.evaluation.videos.rows import ClipFigures, VideoRow, intervals, video_rows
from pipeline.values import InputError

SAVED = (".json", ".csv", ".md")
HEAD = ("row", "mean", "95 % interval", "deviation", "clips", "frames", "coverage", "better")
COMPARED_HEAD = ("row", "first less second", "95 % interval", "pairs", "p", "adjusted p", "verdict")


@dataclass(frozen=True)
class Method:
    """One method's results, measured.

    Args:
        source: The folder or list of its videos.
        clips: Its figures by clip.
        rows: Its rows, those of whole sets of videos included.
    """

    source: Path
    clips: Sequence[ClipFigures]
    rows: Sequence[VideoRow]


def method_of(
    source: Path, clips: Sequence[ClipFigures], of_sets: Sequence[VideoRow], fps: float
) -> Method:
    """Return a method with the rows of its clips, after those of its videos as a set."""
    of_clips = video_rows(clips, fps)
    return Method(source, clips, [*of_sets, *of_clips])


def make_report(
    method: Method,
    facts: dict[str, object],
    notes: Sequence[str] = (),
    against: Method | None = None,
    differences: Sequence[Difference] = (),
) -> Report:
    """Return the report of a method, with another one beside it where there is one."""
    commit, why = bootstrap.commit()
    entries: dict[str, object] = {
        **facts,
        "videos": str(method.source),
        "clips": [clip.to_dict() for clip in method.clips],
        "commit": commit,
        "commit_why": why or None,
        "intervals": bootstrap.MEANING,
        "hardware": hardware(),
    }
    if against is not None:
        entries["against"] = {
            "videos": str(against.source),
            "rows": [row.to_dict() for row in against.rows],
            "clips": [clip.to_dict() for clip in against.clips],
            "differences": [difference.to_dict() for difference in differences],
        }
    meaning = f"intervals: {bootstrap.MEANING}; METRICS.md defines the rows"
    bounds = intervals(method.clips)
    return Report(method.rows, DEFINITIONS["videos"], entries, bounds, [meaning, *notes])


def interval_text(interval: Interval | None) -> str:
    """Return an interval for people, "" without one."""
    if interval is None:
        return ""
    return f"[{format_figure(interval[0])}, {format_figure(interval[1])}]"


def cells_of(row: VideoRow, interval: Interval | None) -> list[str]:
    """Return the cells of one row, the reason in the place of the interval where it has none."""
    entry = row.to_dict()
    if not math.isfinite(row.value):
        return [row.name, "-", row.why, "", "0", "0", "0", str(entry["better"] or "")]
    return [
        row.name,
        format_figure(row.value),
        interval_text(interval),
        format_figure(row.deviation),
        str(row.clips),
        str(row.frames),
        f"{row.coverage:.2f}",
        str(entry["better"] or ""),
    ]


def row_cells(report: Report) -> list[list[str]]:
    """Return the cells of all rows."""
    bounds = report.intervals or {}
    rows = [row for row in report.rows if isinstance(row, VideoRow)]
    return [cells_of(row, bounds.get(row.name)) for row in rows]


def difference_cells(differences: Sequence[Difference]) -> list[list[str]]:
    """Return the cells of a comparison."""
    rows = []
    for difference in differences:
        p_values = (difference.p, difference.adjusted)
        texts = ["" if p is None else f"{p:.4f}" for p in p_values]
        cells = [
            difference.name,
            format_figure(difference.value),
            interval_text(difference.interval),
            str(difference.pairs),
            *texts,
            difference.verdict,
        ]
        rows.append(cells)
    return rows


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for people, its columns as wide as their widest cell with a value."""
    measured = [row for row in rows if row[1] != "-"]
    columns = list(zip(head, *measured, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in (head, *rows):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        is_measured = row[1] != "-"
        text = "  ".join(padded) if is_measured else f"{padded[0]}  -  {row[2]}"
        lines.append(text.rstrip())
    return "\n".join(lines)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def check_saved(path: Path | None) -> None:
    """Raise InputError where a report could not be written after the work."""
    if path is None:
        return
    if path.suffix.lower() not in SAVED:
        raise InputError(f"--save {path} has no known ending; use {', '.join(SAVED)}")
    if not path.resolve().parent.is_dir():
        raise InputError(f"--save {path} cannot be written: its folder does not exist; make it")


def save(report: Report, path: Path) -> None:
    """Write the report as JSON, or its rows as CSV or Markdown, by the name's ending."""
    kind = path.suffix.lower()
    if kind == ".json":
        text = json.dumps(report.to_dict(), indent=1)
    elif kind == ".md":
        text = markdown(HEAD, row_cells(report))
    else:
        text = _csv(report)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--save {path} cannot be written ({reason}); choose another") from error


def _csv(report: Report) -> str:
    """Return the rows as comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEAD)
    writer.writerows(row_cells(report))
    return text.getvalue().rstrip()
