"""Bootstrap intervals of a report's rows over clips, and the commit that made the report.

Clips are drawn with replacement and all rows are computed anew. A row that compares two releases,
or the result with a baseline, sees both on the same clips in every draw: its interval is that of
the paired bootstrap.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline import ROOT
from pipeline.evaluation.report import Interval, Row

DRAWS = 1000
SEED = 0
LEVEL = 0.95
LEAST_CLIPS = 3  # two clips have only three different draws
LEAST_MEASURED = 0.9  # share of the draws on which a row must be measurable
MEANING = f"{LEVEL:.0%} percentile bootstrap over clips, {DRAWS} draws, seed {SEED}"


def bootstrap(
    kinds: Sequence[Sequence[object]], rows_of: Callable[..., Sequence[Row]], draws: int = DRAWS
) -> dict[str, Interval | None]:
    """Return the 95 % percentile interval by a row's name, None for a row that has none.

    Args:
        kinds: Lists of clips. Each is resampled by itself, and all are given to `rows_of`.
        rows_of: Computes the rows of such lists.
        draws: Number of resamplings.

    A row has no interval where it is NaN in more than a tenth of the draws. No row has one where a
    list holds fewer than three clips.
    """
    if min(map(len, kinds)) < LEAST_CLIPS:
        return {}
    rng = np.random.default_rng(SEED)
    names = [row.name for row in rows_of(*kinds)]
    values = np.empty((draws, len(names)))
    for draw in values:
        resampled = [_resample(clips, rng) for clips in kinds]
        draw[:] = [row.value for row in rows_of(*resampled)]
    return {name: _interval(column) for name, column in zip(names, values.T, strict=True)}


def _resample(clips: Sequence[object], rng: np.random.Generator) -> list[object]:
    """Draw as many clips as there are, with replacement."""
    numbers = rng.integers(len(clips), size=len(clips))
    return [clips[number] for number in numbers]


def _interval(values: np.ndarray) -> Interval | None:
    """Return the percentile interval of one row's draws."""
    measured = values[np.isfinite(values)]
    if len(measured) < LEAST_MEASURED * len(values):
        return None
    tails = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    low, high = np.percentile(measured, tails)
    return float(low), float(high)


def commit(root: Path = ROOT) -> tuple[str | None, str]:
    """Return the code's commit, and the reason where there is none.

    The commit is marked `-dirty` where files differ from it.
    """
    if not (root / ".git").exists():
        return None, "the code does not lie in a git checkout"
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    command = ["git", "-C", str(root), *describe]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return None, f"git does not tell the commit: {error}"
    return done.stdout.strip(), ""
