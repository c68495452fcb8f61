"""Tables 1 and 2 of APV-Gen with a report's figures beside the published ones.

The published figures are printed, never compared with: see `WARNING`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipeline.evaluation.report import Row

WARNING = (
    "published figures are no yardstick: the same method on the same data scores Sync-C 7.22, "
    "4.44 and 4.31 in three papers, nobody published code for AKD, HKC and HKV, and FID and FVD "
    "depend on the number of videos. Compare only methods that were measured here"
)
COLUMNS = ("FID", "FVD", "Sync-D", "Sync-C", "CSIM", "AKD", "HKC", "HKV")
# The row of a report that stands in each column.
ROWS = {
    "FID": "FID",
    "FVD": "FVD",
    "Sync-D": "Sync-D",
    "Sync-C": "Sync-C",
    "CSIM": "CSIM",
    "AKD": "AKD body",
    "HKC": "HKC",
    "HKV": "HKV_px512",
}
APV_GEN = (632.79, 219.54, 11.55, 1.39, 0.62, 0.12, 0.71, 8.14)
TABLES = {
    1: {
        "ControlNeXt": (746.80, 228.88, 11.91, 0.70, 0.58, 0.11, 0.64, 7.70),
        "EchoMimicV2": (987.30, 393.54, 9.39, 4.31, 0.79, 0.21, 0.55, 7.73),
        "APV-Gen": APV_GEN,
    },
    2: {
        "without FDA": (706.25, 216.35, 12.20, 0.87, 0.54, 0.13, 0.67, 8.12),
        "without mixed data": (1042.37, 526.71, 12.31, 1.16, 0.59, 0.15, 0.62, 7.59),
        "without reference training": (712.28, 231.25, 11.95, 1.18, 0.52, 0.13, 0.65, 7.98),
        "APV-Gen": APV_GEN,
    },
}
DIGITS = 2


def table_cells(number: int, measured: Mapping[str, Sequence[Row]]) -> list[list[str]]:
    """Return the lines of a table: the published ones, then a line per method measured here.

    Args:
        number: 1 or 2.
        measured: The rows by the method's name.
    """
    lines = []
    published = TABLES[number]
    for name, values in published.items():
        cells = map(cell, values)
        lines.append([f"{name} (published)", *cells])
    for name, rows in measured.items():
        by_name = {row.name: row.value for row in rows}
        line = [f"{name} (here)"]
        for column in COLUMNS:
            value = by_name.get(ROWS[column], math.nan)
            line.append(cell(value))
        lines.append(line)
    return lines


def head_of(number: int) -> list[str]:
    """Return the head of a table."""
    return [f"Table {number}", *COLUMNS]


def cell(value: float) -> str:
    """Return a figure with two decimals, "null" where it was not measured."""
    return f"{value:.{DIGITS}f}" if math.isfinite(value) else "null"
