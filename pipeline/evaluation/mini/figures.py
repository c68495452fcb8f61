"""The figures of one held-out talk, from which the rows of `evaluate mini` are computed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pipeline.evaluation.metrics.mouth import Closures, Products, best_r, closures, products
from pipeline.evaluation.report import Row
from pipeline.models.sync_mini import Verdict
from pipeline.training.data.speech.visemes import Phones

# Where only the sound moves mouths, every second frame is made: r at lag 0 needs no run of frames,
# and neighbors tell the same.
SOUND_FRAME_STEP = 2
NOT_SHOWN = "the held-out talks show nothing to measure it on"
T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """What was measured on one talk.

    The keys are names of pictures as in `table.PICTURES`, or of what drove them.

    Args:
        phones: What is said and when.
        psnr: dB by picture and place.
        sharpness: Variance of the Laplacian in the face over the truth's.
        flicker: Gray levels of pixels that stand still in the truth.
        openings: Mouth openings (F,): `true` as drawn, all others as read. Where only sound moves
            them, each `SOUND_FRAME_STEP`-th frame. Empty where the face is too small to be read.
        energy: Squared movement of pixels and points, of the truth and pose-free. `gate`: gray
            levels by which the gate at the slider's end changes pixels.
        intensity_r: Pearson's r of the pixels' movement with the intensity.
        sync: Verdicts of `sync_c_mini` on the mouths of `openings`.
    """

    phones: Phones
    psnr: dict[str, dict[str, float]] = field(default_factory=dict)
    sharpness: dict[str, float] = field(default_factory=dict)
    flicker: dict[str, float] = field(default_factory=dict)
    openings: dict[str, np.ndarray] = field(default_factory=dict)
    energy: dict[str, float] = field(default_factory=dict)
    intensity_r: dict[str, float] = field(default_factory=dict)
    sync: dict[str, Verdict] = field(default_factory=dict)
    _cache: dict[tuple[str, str], object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def cached(self, kind: str, name: str, compute: Callable[[], T]) -> T:
        """Compute a value once: a thousand resampled tables of the bootstrap ask for it."""
        if (kind, name) not in self._cache:
            self._cache[kind, name] = compute()
        return self._cache[kind, name]

    def r(self, name: str) -> float:
        """Return the best r of the mouths read in one kind of picture."""
        return self.cached("r", name, lambda: best_r(self.openings[name], self.openings["true"]))

    def closures(self, name: str) -> Closures:
        """Count closures in the range of the truth, as it is read or as it is drawn."""
        curve = self.openings[name]
        truth = self.range_of(name)
        return self.cached("closures", name, lambda: closures(curve, truth, self.phones))

    def range_of(self, name: str) -> np.ndarray:
        """Return the true openings whose range counts: as drawn for drawn ones, else as read."""
        return self.openings["true" if name == "true" else "truth"]

    def products(self, name: str) -> Products:
        """Return what r at lag 0 needs of a curve with each `SOUND_FRAME_STEP`-th frame."""
        curve = self.openings[name]
        truth = self.openings["true"][::SOUND_FRAME_STEP]
        return self.cached("products", name, lambda: products(curve, truth))

    def reader_error(self) -> float:
        """Return the reader's mean error on the truth, as a share of the mouth's range."""
        return self.cached("error", "truth", self._reader_error)

    def _reader_error(self) -> float:
        true = self.openings["true"]
        low, high = np.quantile(true, (0.02, 0.98))
        error = np.abs(self.openings["truth"] - true).mean()
        return float(error / max(high - low, 1e-6))


def mean(values: Sequence[float]) -> float:
    """Return the mean of the finite values, NaN without any."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def median(values: Sequence[float]) -> float:
    """Return the median of the finite values, NaN without any."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.median(finite) if finite else math.nan


def make_row(
    name: str, value: float, level: float | None = None, rule: str = ">=", why: str = ""
) -> Row:
    """Make a row; a value that is not finite becomes null with the reason."""
    if math.isfinite(value):
        return Row(name, value, level, rule)
    return Row(name, math.nan, level, rule, why or NOT_SHOWN)
