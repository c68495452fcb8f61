"""Rows of `evaluate mini` on how a read mouth moves and whether it fits its sound.

A reader of pictures errs. A level is asked of the result only where the truth, read by the same
reader, reaches it; else the row stands without a level and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics.correlation import correlation
from pipeline.evaluation.metrics.mouth import LAG_REACH_FRAMES, PAUSES, scaled, within
from pipeline.evaluation.mini.figures import Figures, make_row, mean, median
from pipeline.evaluation.mini.table import BASELINES
from pipeline.evaluation.report import Row
from pipeline.models.sync_mini import SyncMini, Verdict
from pipeline.training.data.speech.visemes import Phones
from pipeline.values import Audio

OPEN_VOWELS = ("aa", "ae", "ay", "aw")
WIDE = 0.30  # of the truth's range: a mouth that opens more is open
LEAST_PAUSE_SECONDS = 0.2  # shorter ones are part of the speech
JOINT_SECONDS = 1e-3  # silences nearer to one another than this are one
TRUTH = "reader on held-out truth"
RESULT = "result, Audio2Pose's lips"
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
    """A sum's share of another, over one or more clips; NaN of nothing."""

    part: float = 0.0
    whole: float = 0.0

    def __add__(self, more: Share) -> Share:
        return Share(self.part + more.part, self.whole + more.whole)

    @property
    def value(self) -> float:
        """The share."""
        return self.part / self.whole if self.whole else math.nan


# ---- one clip


def lateness(curve: np.ndarray, truth: np.ndarray) -> float:
    """Return the frames that a curve (T,) is behind the truth at its best r, NaN if still."""
    lags = range(-LAG_REACH_FRAMES, LAG_REACH_FRAMES + 1)
    r = {late: correlation(curve, truth, -late) for late in lags}
    best = max(r, key=r.get)
    return float(best) if r[best] > 0 else math.nan


def velocity_r(curve: np.ndarray, truth: np.ndarray) -> float:
    """Correlate the changes from frame to frame of two curves (T,) at lag 0."""
    return correlation(np.diff(curve), np.diff(truth))


def opened(curve: np.ndarray, truth: np.ndarray, phones: Phones) -> Share:
    """Count open vowels within which a curve (T,) rises above 0.30 of the truth's range."""
    is_wide = scaled(curve, truth) > WIDE
    frames = len(curve)
    part = 0
    whole = 0
    for name, start, end in phones:
        if name not in OPEN_VOWELS:
            continue
        during = is_wide[within(frames, start, end)]
        if len(during):
            part += bool(during.any())
            whole += 1
    return Share(part, whole)


def stillness(curve: np.ndarray, phones: Phones) -> tuple[Share, Share]:
    """Return a curve's (T,) mean change a frame in pauses of 0.2 s and more, and during speech."""
    frames = len(curve)
    in_pause = np.zeros(frames, bool)
    in_speech = np.ones(frames, bool)
    for start, end in pauses(phones):
        inside = within(frames, start, end)
        in_speech &= ~inside
        if end - start > LEAST_PAUSE_SECONDS:
            in_pause |= inside
    changes = np.abs(np.diff(curve))
    return _changes_within(changes, in_pause), _changes_within(changes, in_speech)


def _changes_within(changes: np.ndarray, inside: np.ndarray) -> Share:
    """Sum the changes (T-1,) between neighboring frames that both lie inside (T,)."""
    both = inside[1:] & inside[:-1]
    return Share(float(changes[both].sum()), int(both.sum()))


def pauses(phones: Phones) -> list[tuple[float, float]]:
    """Return start and end in seconds of the silences; neighbors are one."""
    found: list[tuple[float, float]] = []
    for name, start, end in phones:
        if name not in PAUSES:
            continue
        if found and start - found[-1][1] < JOINT_SECONDS:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


# ---- all clips; each function takes the talks and the name of the mouths


def _lateness(talks: Sequence[Figures], name: str) -> list[float]:
    """Return the lateness in frames of every talk."""

    def of(talk: Figures) -> float:
        return lateness(talk.openings[name], talk.openings["true"])

    return [talk.cached("late", name, lambda talk=talk: of(talk)) for talk in talks]


def lag(talks: Sequence[Figures], name: str) -> float:
    """Return the median lateness in frames."""
    return median(_lateness(talks, name))


def lag_spread(talks: Sequence[Figures], name: str) -> float:
    """Return the interquartile range of the lateness in frames."""
    late = [frames for frames in _lateness(talks, name) if math.isfinite(frames)]
    if not late:
        return math.nan
    high, low = np.percentile(late, (75, 25))
    return float(high - low)


def mean_velocity_r(talks: Sequence[Figures], name: str) -> float:
    """Return the mean velocity r."""

    def of(talk: Figures) -> float:
        return velocity_r(talk.openings[name], talk.openings["true"])

    return mean([talk.cached("speed", name, lambda talk=talk: of(talk)) for talk in talks])


def open_vowels(talks: Sequence[Figures], name: str) -> float:
    """Return the share of the open vowels in which the mouth opens, over all talks."""

    def of(talk: Figures) -> Share:
        return opened(talk.openings[name], talk.openings["truth"], talk.phones)

    counts = [talk.cached("open", name, lambda talk=talk: of(talk)) for talk in talks]
    return sum(counts, Share()).value


def amplitude(talks: Sequence[Figures], name: str) -> float:
    """Return the mean ratio of the deviations to the truth's.

    What is read is compared with the truth as read, and that with the truth as drawn.
    """
    base = "true" if name == "truth" else "truth"

    def of(talk: Figures) -> float:
        return float(talk.openings[name].std() / max(talk.openings[base].std(), 1e-6))

    return mean([talk.cached("amplitude", name, lambda talk=talk: of(talk)) for talk in talks])


def pause_movement(talks: Sequence[Figures], name: str) -> float:
    """Return the movement in pauses over that in speech, over all talks."""

    def of(talk: Figures) -> tuple[Share, Share]:
        return stillness(talk.openings[name], talk.phones)

    parts = [talk.cached("still", name, lambda talk=talk: of(talk)) for talk in talks]
    in_pauses = sum((pause for pause, _ in parts), Share()).value
    in_speech = sum((speech for _, speech in parts), Share()).value
    return in_pauses / in_speech if in_speech > 0 else math.nan


def confidence(talks: Sequence[Figures], name: str) -> float:
    """Return the mean `sync_c_mini`."""
    return mean([talk.sync[name].confidence for talk in talks if name in talk.sync])


def share_in_time(talks: Sequence[Figures], name: str) -> float:
    """Return the share of the talks whose offset is a frame or less."""
    verdicts = [talk.sync[name] for talk in talks if name in talk.sync]
    return mean([float(abs(verdict.offset) <= 1) for verdict in verdicts])


@dataclass(frozen=True)
class Requirement:
    """A row's title, how it is measured and what is required of the result."""

    title: str
    of: Callable[[Sequence[Figures], str], float]
    rule: str
    level: float

    def reached(self, value: float) -> bool:
        """Return whether a value lies to the level as the rule says; NaN does not."""
        return math.isfinite(value) and Row("", value, self.level, self.rule).passed is True


MOVEMENT = (
    Requirement("mouth lag, median frames late", lag, "|x| <=", 1.0),
    Requirement("mouth lag, interquartile range in frames", lag_spread, "<=", 2.0),
    Requirement("mouth velocity r", mean_velocity_r, ">=", 0.60),
    Requirement("open vowels in which the mouth opens", open_vowels, ">=", 0.85),
    Requirement("mouth amplitude over the truth's, at least", amplitude, ">=", 0.75),
    Requirement("mouth amplitude over the truth's, at most", amplitude, "<=", 1.25),
    Requirement("mouth movement in pauses over that in speech", pause_movement, "<=", 0.25),
)
FIT = (
    Requirement("sync_c_mini", confidence, ">=", 0.45),
    Requirement("sync_c_mini, share of talks within a frame", share_in_time, ">=", 0.90),
)


def judge(figures: Figures, network: SyncMini, audio: Audio) -> dict[str, Verdict]:
    """Let the network judge one talk's mouths with its sound, in the range of the truth as read."""
    names = [name for name in SYNC if name in figures.openings]
    return {
        name: network.judge(figures.openings[name], figures.range_of(name), audio) for name in names
    }


def rows(talks: Sequence[Figures]) -> list[Row]:
    """Return all rows of the talks whose mouths were read."""
    readable = [talk for talk in talks if talk.openings]
    made = []
    for required in MOVEMENT:
        truth = required.of(readable, "truth")
        values = {TRUTH: truth, RESULT: required.of(readable, "spoken")}
        made += rows_of(required, values, required.reached(truth))
    truth_fits = all(required.reached(required.of(readable, "truth")) for required in FIT)
    for required in FIT:
        values = {words: required.of(readable, name) for name, words in SYNC.items()}
        made += rows_of(required, values, truth_fits)
    best_baseline = max(confidence(readable, name) for name in BASELINES)
    margin = Requirement("sync_c_mini, less the best baseline's", confidence, ">", 0.0)
    margins = {
        SYNC[name]: confidence(readable, name) - best_baseline for name in ("truth", "spoken")
    }
    return made + rows_of(margin, margins, margin.reached(margins[TRUTH]))


def rows_of(required: Requirement, values: dict[str, float], truth_fits: bool) -> list[Row]:
    """Return the rows of one measure by what was read.

    The result's row has the level only if the truth, as it is read, passes.
    """
    title = required.title
    made = [
        make_row(f"{title}: {words}", value) for words, value in values.items() if words != RESULT
    ]
    result = values[RESULT]
    name = f"{title}: {RESULT}"
    if truth_fits or not math.isfinite(result):
        return [*made, make_row(name, result, required.level, required.rule)]
    why = (
        f"no level ({required.rule} {required.level:g}): "
        "the truth, read by the same reader, does not reach all of this measure"
    )
    return [*made, Row(name, result, why=why)]
