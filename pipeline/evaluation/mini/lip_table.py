"""How a read mouth moves and whether it fits its sound: more mouth rows of metrics 5, with `sync_c_mini`.

A reader of pictures errs. A level is asked of the result only where the truth, read by the same reader,
reaches it; else the row stands without a level and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics.mouth import LAGS, PAUSES, correlation, within
from pipeline.evaluation.mini.table import Figures, mean, median, row
from pipeline.evaluation.report import Row
from pipeline.models.sync_mini import SyncMini, Verdict
from pipeline.training.data.speech.visemes import Phones
from pipeline.values import Audio

OPEN, WIDE = (
    ("aa", "ae", "ay", "aw"),
    0.30,
)  # vowels, and the least opening within each, of the truth's range
PAUSE = 0.2  # s: shorter ones are part of the speech
TRUTH, RESULT = "reader on held-out truth", "result, Audio2Pose's lips"
SYNC = {
    "true": "true points themselves",
    "truth": TRUTH,
    "result": "result, true key points",
    "spoken": RESULT,
    "frozen": "warp, frozen mouth",
    "loud": "warp, mouth driven by RMS",
    "shuffled": "warp, time-shuffled speech",
}


@dataclass(frozen=True)
class Share:
    """A share of two sums, over one or more clips; NaN of nothing."""

    part: float = 0.0
    whole: float = 0.0

    def __add__(self, more: Share) -> Share:
        return Share(self.part + more.part, self.whole + more.whole)

    @property
    def value(self) -> float:
        return self.part / self.whole if self.whole else math.nan


# ---- one clip


def lateness(curve: np.ndarray, truth: np.ndarray) -> float:
    """Frames that a curve (T,) is behind the truth at its best r; NaN for a still one."""
    r = {late: correlation(curve, truth, -late) for late in range(-LAGS, LAGS + 1)}
    best = max(r, key=r.get)
    return float(best) if r[best] > 0 else math.nan


def velocity_r(curve: np.ndarray, truth: np.ndarray) -> float:
    """Pearson r of the changes from frame to frame of two curves (T,), at lag 0."""
    return correlation(np.diff(curve), np.diff(truth))


def opened(curve: np.ndarray, truth: np.ndarray, phones: Phones) -> Share:
    """Open vowels within which a curve (T,) rises above 0.30 of the truth's range, of all open vowels."""
    low, high = np.quantile(truth, (0.02, 0.98))
    wide = (curve - low) / max(high - low, 1e-6) > WIDE
    said = [wide[within(len(curve), start, end)] for name, start, end in phones if name in OPEN]
    said = [frames for frames in said if len(frames)]
    return Share(sum(bool(frames.any()) for frames in said), len(said))


def stillness(curve: np.ndarray, phones: Phones) -> tuple[Share, Share]:
    """Mean movement a frame of a curve (T,) in pauses of 0.2 s and more, and while somebody speaks."""
    paused, speech = np.zeros(len(curve), bool), np.ones(len(curve), bool)
    for start, end in pauses(phones):
        inside = within(len(curve), start, end)
        speech &= ~inside
        if end - start > PAUSE:
            paused |= inside
    moved = np.abs(np.diff(curve))
    return tuple(Share(float(moved[kind].sum()), int(kind.sum())) for kind in (
        paused[1:] & paused[:-1], speech[1:] & speech[:-1],
    ))  # fmt: skip


def pauses(phones: Phones) -> list[tuple[float, float]]:
    """(start, end) in seconds of the silences; neighbours are one."""
    found: list[tuple[float, float]] = []
    for name, start, end in phones:
        if name in PAUSES and found and start - found[-1][1] < 1e-3:
            found[-1] = (found[-1][0], end)
        elif name in PAUSES:
            found.append((start, end))
    return found


# ---- all clips


def _lateness(found: Sequence[Figures], name: str) -> list[float]:
    return [f.once("late", name, lambda f=f: lateness(f.gaps[name], f.gaps["true"])) for f in found]


def lag(found: Sequence[Figures], name: str) -> float:
    """Median lateness in frames."""
    return median(_lateness(found, name))


def lag_spread(found: Sequence[Figures], name: str) -> float:
    """Interquartile range of the lateness in frames."""
    late = [x for x in _lateness(found, name) if math.isfinite(x)]
    return float(np.subtract(*np.percentile(late, (75, 25)))) if late else math.nan


def speed_r(found: Sequence[Figures], name: str) -> float:
    """Mean velocity r."""
    return mean(
        [f.once("speed", name, lambda f=f: velocity_r(f.gaps[name], f.gaps["true"])) for f in found]
    )


def open_vowels(found: Sequence[Figures], name: str) -> float:
    """Share of the open vowels in which the mouth opens, over all talks."""
    counts = [
        f.once("open", name, lambda f=f: opened(f.gaps[name], f.gaps["truth"], f.phones))
        for f in found
    ]
    return sum(counts, Share()).value


def amplitude(found: Sequence[Figures], name: str) -> float:
    """Mean ratio of the deviations: of what is read to the truth as read, of that to the truth as drawn."""
    base = "true" if name == "truth" else "truth"

    def ratio(f: Figures) -> float:
        return float(f.gaps[name].std() / max(f.gaps[base].std(), 1e-6))

    return mean([f.once("amplitude", name, lambda f=f: ratio(f)) for f in found])


def pause_speed(found: Sequence[Figures], name: str) -> float:
    """Movement in pauses over that in speech, over all talks."""
    parts = [f.once("still", name, lambda f=f: stillness(f.gaps[name], f.phones)) for f in found]
    still, moving = (sum((p[k] for p in parts), Share()).value for k in (0, 1))
    return still / moving if moving > 0 else math.nan


def confidence(found: Sequence[Figures], name: str) -> float:
    """Mean `sync_c_mini`."""
    return mean([f.sync[name].confidence for f in found if name in f.sync])


def in_time(found: Sequence[Figures], name: str) -> float:
    """Share of the talks whose offset is a frame or less."""
    return mean([float(abs(f.sync[name].offset) <= 1) for f in found if name in f.sync])


# title: measure, rule, level; metrics 5
ASKED: dict[str, tuple[Callable[[Sequence[Figures], str], float], str, float]] = {
    "mouth lag, median frames late": (lag, "|x| <=", 1.0),
    "mouth lag, interquartile range in frames": (lag_spread, "<=", 2.0),
    "mouth velocity r": (speed_r, ">=", 0.60),
    "open vowels in which the mouth opens": (open_vowels, ">=", 0.85),
    "mouth amplitude over the truth's, at least": (amplitude, ">=", 0.75),
    "mouth amplitude over the truth's, at most": (amplitude, "<=", 1.25),
    "mouth movement in pauses over that in speech": (pause_speed, "<=", 0.25),
}
SYNC_ASKED = {
    "sync_c_mini": (confidence, ">=", 0.45),
    "sync_c_mini, share of talks within a frame": (in_time, ">=", 0.90),
}


def reached(value: float, rule: str, level: float) -> bool:
    """Whether a value lies to a level as the rule says; NaN does not."""
    return Row("", value, level, rule).passed if math.isfinite(value) else False


def judged(found: Figures, network: SyncMini, audio: Audio) -> dict[str, Verdict]:
    """The network's verdicts on one talk's mouths with its sound, in the range of the truth as read."""
    return {
        name: network.judge(
            found.gaps[name], found.gaps["true" if name == "true" else "truth"], audio
        )
        for name in SYNC
        if name in found.gaps
    }


def rows(found: Sequence[Figures]) -> list[Row]:
    """All rows of the talks whose mouths were read."""
    seen, made = [f for f in found if f.gaps], []
    for title, (measure, rule, level) in ASKED.items():
        truth, result = measure(seen, "truth"), measure(seen, "spoken")
        made += asked(
            title, {TRUTH: truth, RESULT: result}, rule, level, reached(truth, rule, level)
        )
    fits = all(
        reached(measure(seen, "truth"), rule, level) for measure, rule, level in SYNC_ASKED.values()
    )
    for title, (measure, rule, level) in SYNC_ASKED.items():
        made += asked(
            title, {words: measure(seen, name) for name, words in SYNC.items()}, rule, level, fits
        )
    trivial = max(confidence(seen, name) for name in ("frozen", "loud", "shuffled"))
    margins = {SYNC[name]: confidence(seen, name) - trivial for name in ("truth", "spoken")}
    beats = reached(margins[TRUTH], ">", 0.0)
    return made + asked("sync_c_mini, less the best baseline's", margins, ">", 0.0, beats)


def asked(title: str, values: dict[str, float], rule: str, level: float, fits: bool) -> list[Row]:
    """Rows of one title by what was read; the result's has the level if the truth as read passes (`fits`)."""
    made = [row(f"{title}: {words}", value) for words, value in values.items() if words != RESULT]
    if fits or not math.isfinite(values[RESULT]):
        return [*made, row(f"{title}: {RESULT}", values[RESULT], level, rule)]
    why = f"no level ({rule} {level:g}): the truth, read by the same reader, does not reach all of this measure"
    return [*made, Row(f"{title}: {RESULT}", values[RESULT], why=why)]
