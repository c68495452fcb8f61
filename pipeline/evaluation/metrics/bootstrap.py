"""Clip-bootstrap intervals of a report's rows (metrics 5.2), and which code made the report.

Clips are drawn with replacement and all rows computed anew. A row that compares two releases, or the
result with a baseline, sees both on the same clips in every draw: its interval is the paired bootstrap's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline import ROOT
from pipeline.evaluation.report import Row

DRAWS, SEED = 1000, 0
LEVEL = 0.95
LEAST_CLIPS = 3  # two have three different draws
ENOUGH = 0.9  # share of the draws on which a row must be measurable
MEANING = f"{LEVEL:.0%} percentile bootstrap over clips, {DRAWS} draws, seed {SEED}"


def bootstrap(
    kinds: Sequence[Sequence[object]], rows_of: Callable[..., Sequence[Row]], draws: int = DRAWS
) -> dict[str, tuple[float, float] | None]:
    """95 % percentile interval by row's name; None where it has none.

    kinds: lists of clips, each resampled by itself and all given to `rows_of`. A row has no interval where it
    is NaN in more than a tenth of the draws; none has one where a list holds fewer than three clips.
    """
    if min(map(len, kinds)) < LEAST_CLIPS:
        return {}
    rng = np.random.default_rng(SEED)
    names = [row.name for row in rows_of(*kinds)]
    values = np.empty((draws, len(names)))
    for draw in values:
        chosen = [[clips[k] for k in rng.integers(len(clips), size=len(clips))] for clips in kinds]
        draw[:] = [row.value for row in rows_of(*chosen)]
    tails = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    found: dict[str, tuple[float, float] | None] = {}
    for name, column in zip(names, values.T, strict=True):
        known = column[np.isfinite(column)]
        found[name] = (
            tuple(map(float, np.percentile(known, tails))) if len(known) >= ENOUGH * draws else None
        )
    return found


def commit(root: Path = ROOT) -> tuple[str | None, str]:
    """(commit of the code, marked `-dirty` where files differ from it; why there is none)."""
    if not (root / ".git").exists():
        return None, "the code does not lie in a git checkout"
    command = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.strip(), ""
    except (OSError, subprocess.CalledProcessError) as error:
        return None, f"git does not tell the commit: {error}"
