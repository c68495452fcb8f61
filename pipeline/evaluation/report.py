"""Reports: rows of figures with their levels, as JSON and as a printed table.

The JSON is {"rows": [{"name", "value", "level", "rule", "pass"}], "pass": ..., "definition": ...}
with further facts that each command adds. METRICS.md defines the rows by their names.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import ROOT

ASSETS = ROOT / "assets"
# The version of the rows' meaning by command. Raise it when the meaning of a row changes, so that
# old figures are not compared with new ones.
DEFINITIONS = {
    "motion": 1,
    "mini": 3,
    "lips": 2,
    "photos": 1,
    "reenact": 1,
    "alignment": 1,
    "videos": 1,
}

Interval = tuple[float, float]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "|x| <=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Row:
    """One figure and what is required of it.

    Args:
        name: What METRICS.md defines.
        value: The figure, NaN where nothing could be measured.
        level: The value to compare with, None where nothing is required.
        rule: How the value must lie to the level: "<=", "|x| <=", ">" or ">=".
        why: The reason why nothing was measured, or why no level is asked. A row with a reason
            neither passes nor fails.
    """

    name: str
    value: float
    level: float | None = None
    rule: str = "<="
    why: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the value reaches its level; None where that cannot be said."""
        if self.level is None or self.why:
            return None
        value = abs(self.value) if self.rule == "|x| <=" else self.value
        return bool(COMPARISONS[self.rule](value, self.level))

    def to_dict(self) -> dict[str, object]:
        """Return the row as it stands in the JSON, with null for what is not finite."""
        entry = {
            "name": self.name,
            "value": float(self.value) if math.isfinite(self.value) else None,
            "level": self.level,
            "rule": None if self.level is None else self.rule,
            "pass": self.passed,
        }
        if self.why:
            entry["why"] = self.why
        return entry


@dataclass(frozen=True)
class Report:
    """The rows of one evaluation, and facts about what was measured.

    Args:
        rows: All rows.
        definition: The version of the rows' meaning, of `DEFINITIONS`.
        facts: Further entries of the JSON.
        intervals: Bootstrap intervals by a row's name, None where the command has none.
        notes: Sentences for the reader.
    """

    rows: Sequence[Row]
    definition: int
    facts: Mapping[str, object] = field(default_factory=dict)
    intervals: Mapping[str, Interval | None] | None = None
    notes: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether every row with a level passes; a required row that was not measured fails."""
        return all(row.passed for row in self.rows if row.level is not None)

    def to_dict(self) -> dict[str, object]:
        """Return the report as it is printed with `--json`."""
        rows = [self._row_dict(row) for row in self.rows]
        head = {"rows": rows, "pass": self.passed, "definition": self.definition}
        return {**head, "notes": list(self.notes), **self.facts}

    def _row_dict(self, row: Row) -> dict[str, object]:
        entry = row.to_dict()
        if self.intervals is not None:
            entry["interval"] = self.intervals.get(row.name)
        return entry


def table(report: Report, heading: str) -> str:
    """Return a report as a table for people: a heading, a line per row, notes and the verdict."""
    width = max(len(row.name) for row in report.rows)
    lines = [heading, ""]
    lines += [_line(row, report.intervals, width) for row in report.rows]
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join([*lines, "", "pass" if report.passed else "FAIL"])


def _line(row: Row, intervals: Mapping[str, Interval | None] | None, width: int) -> str:
    """Return one row of the table."""
    cells = [f"{row.name:{width}}", f"{format_figure(row.value):>9}"]
    if intervals is not None:
        interval = intervals.get(row.name)
        text = "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
        cells.append(f"{text:18}")
    level = "" if row.level is None else f"{row.rule} {row.level:g}"
    verdict = {True: "pass", False: "FAIL", None: row.why}[row.passed]
    cells += [f"{level:12}", verdict]
    return " ".join(cells).rstrip()


def format_figure(value: float) -> str:
    """Return a figure with three decimals, a tiny one with its power of ten, "-" for none."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.1e}" if 0 < abs(value) < 0.001 else f"{value:.3f}"
