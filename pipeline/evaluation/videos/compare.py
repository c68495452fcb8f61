"""Two methods on the same clips: paired differences, their intervals, and a test of each row.

The test flips the signs of the clips' differences: were the methods equal, both signs of a clip
would be as likely. Rows are many, and they hang together: a clip's signs are flipped in all rows
alike, and a row is compared with the largest of all rows (Westfall and Young 1993,
"Resampling-based multiple testing"). So equal methods are told apart in any row once in twenty
comparisons.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.report import Interval
from pipeline.evaluation.videos.directions import sign
from pipeline.evaluation.videos.rows import (
    ClipFigures,
    means,
    names_of,
    values_of,
    vector_intervals,
)
from pipeline.values import InputError

LEVEL = 0.05
# Fewer pairs cannot reach the level: all signs alike have the chance 2 / 2^5 = 0.06
LEAST_PAIRS = 6
EXACT_PAIRS = 12  # up to here all signs are tried, 4096
DRAWS = 9999  # of random signs beyond it
SEED = 0
TIE = 1e-9  # sums of flipped differences this near count as equal
TINY = 1e-12


@dataclass(frozen=True)
class Difference:
    """One row of two methods.

    Args:
        name: The row's name.
        value: Mean of the first method less the second over the pairs, NaN without any.
        pairs: Clips that both were measured on.
        p: Chance of a difference as large between equal methods, None for too few pairs.
        adjusted: p adjusted for all rows together, None as above.
        interval: Paired bootstrap interval, None as for any row.
    """

    name: str
    value: float
    pairs: int
    p: float | None
    adjusted: float | None
    interval: Interval | None

    @property
    def verdict(self) -> str:
        """What the row says: "better", "worse" or "differs" of the first method, or why nothing."""
        if self.adjusted is None:
            return f"fewer than {LEAST_PAIRS} pairs"
        if self.adjusted >= LEVEL:
            return "no difference found"
        gain = sign(self.name) * self.value
        if gain == 0:
            return "differs"
        return "better" if gain > 0 else "worse"

    def to_dict(self) -> dict[str, object]:
        """Return the row as it stands in the JSON."""
        return {
            "name": self.name,
            "difference": self.value if math.isfinite(self.value) else None,
            "pairs": self.pairs,
            "interval": self.interval,
            "p": self.p,
            "p_adjusted": self.adjusted,
            "verdict": self.verdict,
        }


def compare(first: Sequence[ClipFigures], second: Sequence[ClipFigures]) -> list[Difference]:
    """Compare two methods on the clips that both have, row by row.

    Raises InputError where they share none.
    """
    by_name = {clip.name: clip for clip in second}
    mine = [clip for clip in first if clip.name in by_name]
    others = [by_name[clip.name] for clip in mine]
    if not mine:
        raise InputError(
            "the two methods have no video of the same name; name results of one case alike"
        )
    known = set(names_of(others))
    names = [name for name in names_of(mine) if name in known]
    differences = values_of(mine, names) - values_of(others, names)
    return differences_of(differences, names)


def differences_of(differences: np.ndarray, names: Sequence[str]) -> list[Difference]:
    """Return the rows of paired differences (clips, names), NaN where a clip has no figure."""
    averages = means(differences)
    counts = np.isfinite(differences).sum(0)
    chances = sign_flip_test(differences)
    bounds = vector_intervals(differences, names)
    rows = []
    for number, name in enumerate(names):
        chance = chances[number]
        row = Difference(
            name=name,
            value=float(averages[number]),
            pairs=int(counts[number]),
            p=chance.p,
            adjusted=chance.adjusted,
            interval=bounds.get(name),
        )
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Chance:
    """p of a row by itself, and adjusted for all rows; None for too few pairs."""

    p: float | None
    adjusted: float | None


def sign_flip_test(differences: np.ndarray) -> list[Chance]:
    """Return the two-sided p of each column of paired differences (N, R)."""
    is_finite = np.isfinite(differences)
    is_tested = is_finite.sum(0) >= LEAST_PAIRS
    untested = Chance(None, None)
    if not is_tested.any():
        return [untested] * len(is_tested)
    columns = np.where(is_finite, differences, 0.0)[:, is_tested]
    size = np.linalg.norm(columns, axis=0)
    scaled = columns / np.maximum(size, TINY)
    observed = np.abs(scaled.sum(0)) - TIE
    flipped = np.abs(_signs(len(scaled)) @ scaled)
    largest = flipped.max(1)
    tested = []
    for number, least in enumerate(observed):
        alone = _share(flipped[:, number], least)
        together = _share(largest, least)
        tested.append(Chance(alone, together))
    remaining = iter(tested)
    return [next(remaining) if tests else untested for tests in is_tested]


def _share(values: np.ndarray, least: float) -> float:
    """Return the share of the flips (F,) that reach a value; the first flip is none."""
    return float(np.mean(values >= least))


def _signs(count: int) -> np.ndarray:
    """Return rows of signs (n, count): all there are, or random ones of many, after plain ones."""
    if count <= EXACT_PAIRS:
        every = itertools.product((1.0, -1.0), repeat=count)
        return np.array(list(every))
    rng = np.random.default_rng(SEED)
    plain = np.ones((1, count))
    drawn = rng.choice((-1.0, 1.0), size=(DRAWS, count))
    return np.concatenate([plain, drawn])
