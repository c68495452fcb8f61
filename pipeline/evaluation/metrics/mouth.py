"""Measure a curve of mouth openings beside the true one: best r, closures and J.

Openings are read from pictures by a network, or taken from points; both curves of a comparison
are read by the same reader. They are scaled by the truth's 2nd and 98th percentile. METRICS.md
defines the rows "mouth r" and "mouth J".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics.correlation import correlation
from pipeline.models.audio2pose import PHASE
from pipeline.training.data.speech.visemes import Phones

FPS = 25
LAG_REACH_FRAMES = 5
CLOSED = 0.15  # of the truth's range: a mouth that opens less is closed
BILABIALS = ("p", "b", "m", "em")
PAUSES = ("sil", "pau", "inh")
CLOSURE_MARGIN_SECONDS = 0.02  # around p b m, within which a closed frame counts
BILABIAL_MARGIN_SECONDS = 0.06  # around p b m, within which no closure counts as false
PAUSE_MARGIN_SECONDS = 0.03  # the same around pauses


def best_r(curve: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest r of two curves (T,) over lags of +-5 frames, 0 for a still one."""
    lags = range(-LAG_REACH_FRAMES, LAG_REACH_FRAMES + 1)
    return max(correlation(curve, truth, lag) for lag in lags)


@dataclass(frozen=True)
class Closures:
    """Counts of one or more clips.

    Args:
        heard: p b m in the sound.
        closed: Those of them during which the mouth closes.
        other: Frames outside p b m and pauses.
        false: Those of them in which the mouth is closed.
    """

    heard: int = 0
    closed: int = 0
    other: int = 0
    false: int = 0

    def __add__(self, more: Closures) -> Closures:
        return Closures(
            self.heard + more.heard,
            self.closed + more.closed,
            self.other + more.other,
            self.false + more.false,
        )

    @property
    def j(self) -> float:
        """Recall less the share of false closures; NaN where no p b m is heard."""
        if not self.heard or not self.other:
            return float("nan")
        return self.closed / self.heard - self.false / self.other


def within(frames: int, start: float, end: float, margin: float = 0.0) -> np.ndarray:
    """Return which frames (T,) show a moment from `start` to `end`, or up to `margin` outside it.

    All are seconds of the sound. Frame t shows the moment (t + PHASE) / 25.
    """
    seconds = (np.arange(frames) + PHASE) / FPS
    return (seconds >= start - margin) & (seconds <= end + margin)


def scaled(curve: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Scale a curve (T,) so that the truth's 2nd and 98th percentile are 0 and 1."""
    low, high = np.quantile(truth, (0.02, 0.98))
    return (curve - low) / max(high - low, 1e-6)


def closures(curve: np.ndarray, truth: np.ndarray, phones: Phones) -> Closures:
    """Count the closures of a curve (T,) in the truth's range."""
    frames = len(curve)
    is_closed = scaled(curve, truth) < CLOSED
    is_other = np.ones(frames, bool)
    heard = 0
    closed = 0
    for name, start, end in phones:
        if name in BILABIALS:
            during = within(frames, start, end, CLOSURE_MARGIN_SECONDS)
            if during.any():
                heard += 1
                closed += bool(is_closed[during].any())
            is_other &= ~within(frames, start, end, BILABIAL_MARGIN_SECONDS)
        elif name in PAUSES:
            is_other &= ~within(frames, start, end, PAUSE_MARGIN_SECONDS)
    false = int((is_closed & is_other).sum())
    return Closures(heard, closed, int(is_other.sum()), false)


@dataclass(frozen=True)
class Products:
    """Sums of products over the frames of one or more clips, each clip's mean taken off.

    Args:
        mixed: Sum of curve times truth.
        curve: Sum of the curve's squares.
        truth: Sum of the truth's squares.
    """

    mixed: float = 0.0
    curve: float = 0.0
    truth: float = 0.0

    def __add__(self, more: Products) -> Products:
        return Products(self.mixed + more.mixed, self.curve + more.curve, self.truth + more.truth)

    @property
    def r(self) -> float:
        """Pearson's r at lag 0 over all frames, 0 for a still curve."""
        scale = (self.curve * self.truth) ** 0.5
        return self.mixed / scale if scale > 1e-12 else 0.0


def products(curve: np.ndarray, truth: np.ndarray) -> Products:
    """Return the sums of one clip's curves (T,)."""
    a = curve - curve.mean()
    b = truth - truth.mean()
    return Products(float(a @ b), float(a @ a), float(b @ b))
