"""The table of `evaluate mini`: rows with their levels, from the figures of each held-out talk.

What could not be measured is null with the reason. Levels: metrics 5 and the README's promises.
"""

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

PLACES = ("whole", "face", "mouth", "hands")
PICTURES = {
    "copy": "copy of the reference",
    "frozen": "warp, true pose with a frozen mouth",
    "loud": "warp, mouth driven by RMS",
    "shuffled": "warp, mouth of time-shuffled speech",
    "warp": "warp",
    "result": "result, 1 step",
    "four": "result, 4 steps",
    "previous": "result of the previous release",
}
HEARD = 2  # frames: r at lag 0 needs no run of them, and neighbours tell the same
LEAST_FLICKER = 0.1  # grey levels: a perfectly still truth allows no ratio
NO_SOUND = (
    "these weights have no interaction component, or no talk's mouth is large enough to be read"
)
NO_PREVIOUS = "no --previous folder was given"
T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """What one talk gave. Keys are names of pictures as in `PICTURES`, or of what drove them.

    psnr: dB by picture and place. sharp: variance of the Laplacian in the face over the truth's. flicker: of
    pixels that stand still in the truth. gaps: apertures (F,), `true` as drawn and all others as read, at
    each `HEARD`-th frame where only sound moves them; none of a face that is too small. swing: squared
    movement, pixels and points, of truth and pose-free. follows: Pearson r with the intensity. sync:
    verdicts of `sync_c_mini` on the mouths of `gaps`.
    """

    phones: Phones
    psnr: dict[str, dict[str, float]] = field(default_factory=dict)
    sharp: dict[str, float] = field(default_factory=dict)
    flicker: dict[str, float] = field(default_factory=dict)
    gaps: dict[str, np.ndarray] = field(default_factory=dict)
    swing: dict[str, float] = field(default_factory=dict)
    follows: dict[str, float] = field(default_factory=dict)
    sync: dict[str, Verdict] = field(default_factory=dict)
    kept: dict[tuple[str, str], object] = field(default_factory=dict, repr=False, compare=False)

    def once(self, kind: str, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, computed once: a thousand resampled tables ask for it (`intervals`)."""
        if (kind, name) not in self.kept:
            self.kept[kind, name] = make()
        return self.kept[kind, name]

    def r(self, name: str) -> float:
        """Best r of the mouths read in one kind of picture."""
        return self.once("r", name, lambda: best_r(self.gaps[name], self.gaps["true"]))

    def closures(self, name: str) -> Closures:
        """Its closures, in the range of the truth as it is read."""
        truth = self.gaps["true" if name == "true" else "truth"]
        return self.once("closures", name, lambda: closures(self.gaps[name], truth, self.phones))

    def products(self, name: str) -> Products:
        """What r at lag 0 needs of one that was made at each `HEARD`-th frame."""
        return self.once(
            "products", name, lambda: products(self.gaps[name], self.gaps["true"][::HEARD])
        )

    def error(self) -> float:
        """The reader's mean error on the truth, of the mouth's range."""

        def make() -> float:
            low, high = np.quantile(self.gaps["true"], (0.02, 0.98))
            apart = np.abs(self.gaps["truth"] - self.gaps["true"]).mean()
            return float(apart / max(high - low, 1e-6))

        return self.once("error", "truth", make)


def mean(values: Sequence[float]) -> float:
    """The mean of what is finite, NaN of nothing."""
    finite = [v for v in values if math.isfinite(v)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def median(values: Sequence[float]) -> float:
    """The median of what is finite, NaN of nothing."""
    finite = [v for v in values if math.isfinite(v)]
    return statistics.median(finite) if finite else math.nan


def row(
    name: str, value: float, level: float | None = None, rule: str = ">=", why: str = ""
) -> Row:
    """A row; a value that is not finite is null and says why."""
    if math.isfinite(value):
        return Row(name, value, level, rule)
    return Row(
        name, math.nan, level, rule, why or "the held-out talks show nothing to measure it on"
    )


def picture_rows(found: Sequence[Figures], points: str, levels: bool) -> list[Row]:
    """PSNR of all pictures that were made, and what is required; `points`: how exact they are."""

    def dB(picture: str, place: str) -> float:
        return mean([f.psnr[picture][place] for f in found if picture in f.psnr])

    def less(name: str, one: str, other: str, place: str, level: float | None = None) -> Row:
        why = NO_PREVIOUS if other == "previous" else ""
        value = dB(one, place) - dB(other, place)
        return row(f"PSNR {place}, {name}, {points}", value, level if levels else None, why=why)

    made = [name for name in PICTURES if any(name in f.psnr for f in found)]
    rows = [row(f"PSNR {p}: {PICTURES[n]}, {points}", dB(n, p)) for n in made for p in PLACES]
    rows += [
        less("result less copy", "result", "copy", "face", 6.0),
        less("result less warp", "result", "warp", "face", 1.0),
        less("result less warp", "result", "warp", "hands", 0.5),
        less("result less warp", "result", "warp", "mouth"),
        less("result less previous release", "result", "previous", "face"),
        less("result less previous release", "result", "previous", "hands"),
    ]
    return (
        [*rows, less("4 steps less 1 step", "four", "result", "whole", -1.0)]
        if "four" in made
        else rows
    )


def detail_rows(found: Sequence[Figures], inexact: Sequence[Figures]) -> list[Row]:
    """Sharpness of the face and flicker, beside the truth's; steps are compared on inexact points."""

    def sharp(name: str) -> float:
        return mean([f.sharp[name] for f in inexact if name in f.sharp])

    def still(name: str) -> float:
        return mean([f.flicker[name] for f in found if name in f.flicker])

    # of grainy talks the truth flickers more than any result: the median is that of a clean one
    shaken = [f.flicker["result"] / max(f.flicker["truth"], LEAST_FLICKER) for f in found]
    nearer = abs(math.log(max(sharp("result"), 1e-6))) - abs(math.log(max(sharp("four"), 1e-6)))
    return [
        row("sharpness of the face over the truth's: warp", sharp("warp")),
        row("sharpness of the face over the truth's: 1 step", sharp("result")),
        row("sharpness of the face over the truth's: 4 steps", sharp("four")),
        row("sharpness, |ln ratio| of 1 step less that of 4 steps", nearer, 0.0),
        row("flicker of still pixels, grey levels: truth", still("truth")),
        row("flicker of still pixels, grey levels: warp", still("warp")),
        row("flicker of still pixels, grey levels: 1 step", still("result")),
        row("flicker of still pixels over the truth's: 1 step, median", median(shaken), 1.2, "<="),
    ]


def mouth_r(found: Sequence[Figures], name: str) -> float:
    """Mean over talks of the best r of the mouths read in one kind of picture, NaN where there is none."""
    return mean([f.r(name) for f in found if name in f.gaps])


def heard_r(found: Sequence[Figures], name: str) -> float:
    """r at lag 0 over the frames of all talks, each talk's mean taken off: for weak signals.

    The best of eleven lags of nothing is above 0.
    """
    seen = [f.products(name) for f in found if name in f.gaps]
    return sum(seen, Products()).r if seen else math.nan


def mouth_j(found: Sequence[Figures], name: str) -> float:
    """J over all talks together: single ones hold few closures."""
    return sum([f.closures(name) for f in found if name in f.gaps], Closures()).j


def mouth_rows(found: Sequence[Figures]) -> list[Row]:
    """The reader's own error, then what it reads in rendered mouths."""
    seen = [f.error() for f in found if f.gaps]  # of others the face is too small
    rows = [row("reader's mean error on held-out truth, of the mouth's range", mean(seen))]
    for name, words, r, j in (
        ("true", "true points themselves", None, None),
        ("truth", "reader on held-out truth", None, None),
        ("result", "result, true key points", 0.85, None),
        ("previous", "previous release, true key points", None, None),
        ("warp", "warp, true key points", None, None),
        ("spoken", "result, Audio2Pose's lips", 0.75, 0.60),
        ("spoken warp", "warp, Audio2Pose's lips", None, None),
        ("frozen", "warp, frozen mouth", None, None),
        ("loud", "warp, mouth driven by RMS", None, None),
        ("shuffled", "warp, time-shuffled speech", None, None),
    ):
        why = NO_PREVIOUS if name == "previous" else ""
        rows.append(row(f"mouth r: {words}", mouth_r(found, name), r, why=why))
        rows.append(row(f"mouth J: {words}", mouth_j(found, name), j, why=why))
    trivial = max(mouth_r(found, name) for name in ("frozen", "loud", "shuffled"))
    margin = mouth_r(found, "spoken") - trivial
    newer = mouth_r(found, "result") - mouth_r(found, "previous")
    return [
        *rows,
        row("mouth r: Audio2Pose's lips less the best baseline", margin, 0.0, ">"),
        row("mouth r: result less previous release, true key points", newer, why=NO_PREVIOUS),
    ]


def sound_rows(found: Sequence[Figures]) -> list[Row]:
    """What the sound does where lips and jaw are withheld from warp and skeleton; r at lag 0."""
    right, other, off = (heard_r(found, f"withheld {n}") for n in ("right", "other", "off"))
    on = heard_r(found, "lips on")
    without = heard_r(found, "lips off")

    def pair(name: str, value: float, level: float | None = None) -> Row:
        return row(name, value, level, why=NO_SOUND)

    return [
        pair("lips withheld, mouth r: right speech", right),
        pair("lips withheld, mouth r: another talk's speech", other),
        pair("lips withheld, mouth r: right less other speech", right - other, 0.3),
        pair("lips withheld, mouth r: interaction off", off),
        pair("lips given, mouth r: interaction on", on),
        pair("lips given, mouth r: interaction off", without),
    ]


def free_rows(found: Sequence[Figures], z: tuple[float, float], network_why: str) -> list[Row]:
    """Pose-free `prior` and `network`; z: the prior's pooled r on key points and its z."""

    def energy(kind: str, name: str) -> float:
        pairs = [(f.swing[f"{kind} {name}"], f.swing[f"{kind} truth"]) for f in found
                 if f"{kind} {name}" in f.swing and f.swing.get(f"{kind} truth", 0) > 0]  # fmt: skip
        return sum(a for a, _ in pairs) / sum(b for _, b in pairs) if pairs else math.nan

    points = energy("points", "prior")
    drop = mouth_j(found, "spoken") - mouth_j(found, "prior")
    rows = [
        row("pose-free prior: wrists' motion energy over truth's, at least", points, 0.3),
        row("pose-free prior: wrists' motion energy over truth's, at most", points, 1.5, "<="),
        row("pose-free prior: speed-intensity r, key points, pooled", z[0], 0.0, ">"),
        row("pose-free prior: its z against shifted speech", z[1], 3.0),
        row("pose-free prior: mouth r", mouth_r(found, "prior")),
        row("pose-free prior: mouth J below that of true bodies", drop, 0.1, "<="),
    ]
    for name in ("prior", "network"):
        why = network_why if name == "network" else ""
        follows = mean([f.follows[name] for f in found if name in f.follows])
        rows.append(
            row(
                f"pose-free {name}: pixels' motion energy over truth's",
                energy("pixels", name),
                why=why,
            )
        )
        rows.append(row(f"pose-free {name}: speed-intensity r, pixels", follows, why=why))
    rows.append(row("pose-free network: mouth r", mouth_r(found, "network"), why=network_why))
    rows.append(row("pose-free network: mouth J", mouth_j(found, "network"), why=network_why))
    return rows


def table_rows(
    found: Sequence[Figures], inexact: Sequence[Figures], z: tuple[float, float], network_why: str
) -> list[Row]:
    """All rows; inexact: of the picture rows' people, whose points are as inexact as a detector's."""
    parts = (
        picture_rows(inexact, "inexact points", levels=True),
        picture_rows(found, "exact points", levels=False),
        detail_rows(found, inexact),
        mouth_rows(found),
        sound_rows(found),
    )
    return [r for part in parts for r in part] + free_rows(found, z, network_why)
