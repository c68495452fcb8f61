"""The rows of `evaluate reenact`: pooled means, worst clips and gains, from figures by clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.evaluation.mini.figures import make_row, mean
from pipeline.evaluation.reenact.figures import PLACES, Figures
from pipeline.evaluation.report import Row

WORDS = {"copy": "copy of the reference", "warp": "warp alone", "network": "warp + network"}
# Pairs whose PSNR is compared: the method, and what it is compared with.
PAIRS = (("warp", "copy"), ("network", "copy"), ("network", "warp"))
# No clip may be worse than standing still, in these places.
STANDING_STILL = ("whole", "person")
LESS_IS_BETTER = ("GMSD", "debris")
CLIP_FIGURES = (
    "PSNR whole",
    "PSNR person",
    "PSNR face",
    "PSNR hands",
    "hand points",
    "body points",
    "silhouette IoU",
    "debris",
)
NAME_COLUMNS = 24
NOT_SHOWN = "no clip shows it"
WORST = ("PSNR whole", "PSNR person", "PSNR face", "PSNR hands", "silhouette IoU", "debris")


@dataclass(frozen=True)
class ClipFigures:
    """The figures of one clip by the method's name, a key of `WORDS`.

    Args:
        name: The clip's name.
        half: "tuning" or "held" by the frozen list, "" for a clip that is not in it.
        methods: Figures by method.
    """

    name: str
    half: str
    methods: dict[str, Figures]

    def value(self, method: str, figure: str) -> float:
        """Return a figure by its name, NaN where it was not measured."""
        if method not in self.methods:
            return math.nan
        named = self.methods[method].named()
        return named.get(figure, math.nan)

    def gain(self, method: str, other: str, place: str) -> float:
        """Return how many dB a method has more than another in a place."""
        figure = f"PSNR {place}"
        return self.value(method, figure) - self.value(other, figure)

    def to_dict(self) -> dict[str, object]:
        """Return the clip's entry in the JSON, with null for what is not finite."""
        methods = {name: _without_nan(figures) for name, figures in self.methods.items()}
        return {"name": self.name, "half": self.half or None, "methods": methods}


def _without_nan(figures: Figures) -> dict[str, float | None]:
    """Return figures by name, None for what was not measured."""
    named = figures.named()
    return {name: value if math.isfinite(value) else None for name, value in named.items()}


def table_rows(clips: Sequence[ClipFigures]) -> list[Row]:
    """Return all rows of the methods that were measured on the clips."""
    methods = list(clips[0].methods)
    rows = []
    for method in methods:
        rows += mean_rows(clips, method)
        rows += worst_rows(clips, method)
    for method, other in PAIRS:
        if method in methods and other in methods:
            rows += gain_rows(clips, method, other)
    return rows


def mean_rows(clips: Sequence[ClipFigures], method: str) -> list[Row]:
    """Return the mean over the clips of every figure of a method."""
    figures = clips[0].methods[method]
    rows = []
    for figure in figures.named():
        name = f"{figure}: {WORDS[method]}"
        values = [clip.value(method, figure) for clip in clips]
        row = make_row(name, mean(values), why=NOT_SHOWN)
        rows.append(row)
    return rows


def worst_rows(clips: Sequence[ClipFigures], method: str) -> list[Row]:
    """Return the figures of the clip that is worst in each."""
    rows = []
    for figure in WORST:
        name = f"{figure}, worst clip: {WORDS[method]}"
        values = [clip.value(method, figure) for clip in clips]
        choose = worst_of(figure)
        row = make_row(name, worst(values, choose), why=NOT_SHOWN)
        rows.append(row)
    return rows


def worst_of(figure: str) -> Callable[[Sequence[float]], float]:
    """Return what finds the worst value of a figure."""
    return max if figure.startswith(LESS_IS_BETTER) else min


def worst(values: Sequence[float], choose: Callable[[Sequence[float]], float]) -> float:
    """Return the chosen one of the finite values, NaN without any."""
    finite = [value for value in values if math.isfinite(value)]
    return choose(finite) if finite else math.nan


def gain_rows(clips: Sequence[ClipFigures], method: str, other: str) -> list[Row]:
    """Return the mean gains in PSNR, and the least gain of a clip over the copy with its level."""
    title = f"{WORDS[method]} less {WORDS[other]}"
    rows = []
    for place in PLACES:
        gains = [clip.gain(method, other, place) for clip in clips]
        row = make_row(f"PSNR {place}: {title}", mean(gains), why=NOT_SHOWN)
        rows.append(row)
        if other != "copy" or place not in STANDING_STILL:
            continue
        least = worst(gains, min)
        row = make_row(f"PSNR {place}, worst clip: {title}", least, 0.0)
        rows.append(row)
    return rows


def clip_table(clips: Sequence[ClipFigures]) -> str:
    """Return a line per clip and method, for people."""
    titles = "".join(f"{name:>15}" for name in CLIP_FIGURES)
    corner = " " * (NAME_COLUMNS + 9)
    lines = [corner + titles]
    for clip in clips:
        for method in clip.methods:
            values = [clip.value(method, figure) for figure in CLIP_FIGURES]
            cells = "".join(f"{value:15.3f}" for value in values)
            name = clip.name[:NAME_COLUMNS]
            lines.append(f"{name:{NAME_COLUMNS}} {method:8}{cells}")
    return "\n".join(lines)
