"""Figures by clip -> the report's rows: means over clips, with all that says how far to trust them.

A row holds the number of clips and frames, the rate, the coverage, the mean, the deviation between
clips and the bootstrap interval over clips. A clip on which a figure was not measured has the
coverage 0 and does not enter the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics import bootstrap
from pipeline.evaluation.report import DEFINITIONS, Interval, Row
from pipeline.evaluation.videos.clip import Figure, Figures
from pipeline.evaluation.videos.directions import direction

DIGITS = 4


def finite(value: float) -> float | None:
    """Return a value, None where it is not finite: JSON has no NaN."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class ClipFigures:
    """The figures of one clip by the rows' names; `frames` is its length."""

    name: str
    frames: int
    figures: Figures

    def value(self, name: str) -> float:
        """Return a figure, NaN where it was not measured."""
        figure = self.figures.get(name)
        return math.nan if figure is None else figure.value

    def to_dict(self) -> dict[str, object]:
        """Return the clip's entry in the JSON, with null for what was not measured."""
        values = {name: finite(figure.value) for name, figure in self.figures.items()}
        return {"name": self.name, "frames": self.frames, "figures": values}


@dataclass(frozen=True)
class VideoRow(Row):
    """A row of `evaluate videos`.

    Args:
        clips: Clips that it was measured on.
        frames: Their frames that it was measured on.
        fps: The rate of the frames.
        coverage: Mean share of the clips' frames or points that it was measured on, in [0, 1].
        deviation: Standard deviation between the clips, NaN for fewer than two.
    """

    clips: int = 0
    frames: int = 0
    fps: float = math.nan
    coverage: float = 0.0
    deviation: float = math.nan

    def to_dict(self) -> dict[str, object]:
        """Return the row as it stands in the JSON."""
        entry = super().to_dict()
        entry["definition"] = DEFINITIONS["videos"]
        entry["better"] = direction(self.name) or None
        entry["clips"] = self.clips
        entry["frames"] = self.frames
        entry["fps"] = self.fps
        entry["coverage"] = round(self.coverage, DIGITS)
        entry["deviation"] = finite(self.deviation)
        return entry


def names_of(clips: Sequence[ClipFigures]) -> list[str]:
    """Return the names of all rows of the clips, in the order in which they were measured."""
    names = dict.fromkeys(name for clip in clips for name in clip.figures)
    return list(names)


def values_of(clips: Sequence[ClipFigures], names: Sequence[str]) -> np.ndarray:
    """Return the figures (clips, names), NaN where they were not measured."""
    values = np.empty((len(clips), len(names)))
    for row, clip in enumerate(clips):
        values[row] = [clip.value(name) for name in names]
    return values


def means(values: np.ndarray) -> np.ndarray:
    """Return the means (names,) of the finite values (clips, names), NaN without any."""
    is_finite = np.isfinite(values)
    known = np.where(is_finite, values, 0.0)
    count = is_finite.sum(0)
    average = known.sum(0) / np.maximum(count, 1)
    return np.where(count > 0, average, np.nan)


def video_rows(clips: Sequence[ClipFigures], fps: float) -> list[VideoRow]:
    """Return all rows of the clips."""
    return [_row(clips, name, fps) for name in names_of(clips)]


def _row(clips: Sequence[ClipFigures], name: str, fps: float) -> VideoRow:
    """Return the row of one name."""
    values = []
    whys = []
    frames = 0
    covered = 0.0
    for clip in clips:
        figure = clip.figures.get(name, Figure(math.nan))
        if math.isfinite(figure.value):
            values.append(figure.value)
            frames += figure.frames
            covered += figure.coverage
        elif figure.why:
            whys.append(figure.why)
    if not values:
        why = whys[0] if whys else ""
        return VideoRow(name, math.nan, why=why, fps=fps)
    deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
    return VideoRow(
        name=name,
        value=float(np.mean(values)),
        clips=len(values),
        frames=frames,
        fps=fps,
        coverage=covered / len(clips),
        deviation=float(deviation),
    )


def intervals(clips: Sequence[ClipFigures]) -> dict[str, Interval | None]:
    """Return the 95 % bootstrap interval over clips by a row's name."""
    names = names_of(clips)
    return vector_intervals(values_of(clips, names), names)


def vector_intervals(values: np.ndarray, names: Sequence[str]) -> dict[str, Interval | None]:
    """Return the intervals of the means of figures (clips, names)."""

    def rows_of(drawn: Sequence[np.ndarray]) -> list[Row]:
        stacked = np.array(drawn)
        averages = means(stacked)
        return [Row(name, value) for name, value in zip(names, averages, strict=True)]

    vectors = list(values)
    return bootstrap.bootstrap((vectors,), rows_of)
