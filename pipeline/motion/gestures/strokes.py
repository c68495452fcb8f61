"""Plan the strokes of a speech: which accents get a gesture, which one, how large, and when it
moves.

A stroke falls on an accent. The hand stops (apex) shortly before the peak of loudness: 86 % of
strokes fall on an accented syllable (Yasinnik and others 2004), and a lead of some tens of
milliseconds is natural. A gesture is preparation, stroke, hold and retraction (Kendon 2004), each
with minimum jerk (Flash, Hogan 1985):

    x(u) = a + (b - a) (10 u^3 - 15 u^4 + 6 u^5),  u in [0, 1]

A bank of shapes says where the hand is when it is ready and when it stops. `arm_ik` finds the turns
of shoulder and elbow that bring it there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.motion.gestures.arm_ik import Arm

if TYPE_CHECKING:
    from pipeline.motion.prosody import Prosody

# Weaker accents get no stroke.
MIN_STRENGTH = 0.2
MAX_STROKES_PER_SECOND = 1.3
MIN_DISTANCE_SECONDS = 0.62
# Spread of the choice among accents of like strength.
CHOICE_SPREAD = 0.12
# A phrase ends at a silence of this length.
PAUSE_SECONDS = 0.30
# The gestures of a phrase may reach this far into the silence around it.
EARLY_SECONDS = 0.20
LATE_SECONDS = 0.15
# From the apex to the accent; with half a frame at 25 fps more it stays within 0 to 80 ms.
LEAD_SECONDS = (0.022, 0.058)
STROKE_SECONDS = (0.18, 0.26)
PREPARATION_SECONDS = (0.36, 0.52)
HOLD_SECONDS = (0.14, 0.36)
RETRACTION_SECONDS = (0.45, 0.70)
MIN_PREPARATION_SECONDS = 0.26
MIN_HOLD_SECONDS = 0.10
MIN_BETWEEN_SECONDS = 0.04
# A hand goes back to rest only if it can stay there this long before the next stroke; else it
# waits.
MIN_REST_SECONDS = 1.2
# In a silence of this length a hand goes back to rest; in shorter ones it waits.
LONG_PAUSE_SECONDS = 1.5
# A stroke that turns a joint this far takes the longest retraction.
WIDE_DEG = 40
# Share of the apex that is left at the end of the hold.
RELAXED = 0.72
# Chance that the other arm leads the next gesture.
SWITCH_CHANCE = 0.35
# Size = 0.75 + 0.40 strength, with a log-normal spread.
SIZE = (0.75, 0.40)
SIZE_SPREAD = 0.12
# An arm whose hand is hidden or cut off hardly moves.
UNSEEN_HAND_SIZE = 0.2
SEEN_HAND = 0.5  # share of the hand's points

Phrase = tuple[float, float]  # seconds, start and stop


@dataclass(frozen=True)
class Shape:
    """Describe the part of one arm in a stroke.

    carry: share of the way from rest to where people gesture, on which both places are added.
    ready, apex: shoulder widths outward and upward, and degrees by which the hand rises.
    """

    carry: float
    ready: tuple[float, float, float]
    apex: tuple[float, float, float]


REST = Shape(0.0, (0, 0, 0), (0, 0, 0))
BEAT = Shape(1.0, (0.03, 0.18, 10), (0.01, 0.02, -8))
RAISE = Shape(0.8, (0.0, -0.03, -5), (0.05, 0.17, 8))
PALM = Shape(1.0, (-0.05, 0.10, 6), (0.16, 0.05, -6))
FLICK = Shape(0.9, (0.0, 0.09, 14), (0.03, 0.0, -14))
INWARD = Shape(1.0, (0.13, 0.05, 4), (-0.06, 0.12, -4))
COUNTER = Shape(0.6, (0.01, 0.08, 4), (0.0, 0.02, -4))


@dataclass(frozen=True)
class Gesture:
    """Pair the shapes of the leading and the other arm with the chance that they are drawn."""

    leading: Shape
    other: Shape
    chance: float


BANK = (
    Gesture(BEAT, REST, 0.20),
    Gesture(BEAT, BEAT, 0.20),
    Gesture(BEAT, COUNTER, 0.14),
    Gesture(RAISE, REST, 0.09),
    Gesture(PALM, REST, 0.08),
    Gesture(PALM, PALM, 0.11),
    Gesture(FLICK, COUNTER, 0.09),
    Gesture(INWARD, INWARD, 0.09),
)


@dataclass(frozen=True)
class Stroke:
    """Describe one stroke: the seconds of its moments, and the turns of the arms.

    start, ready, apex, relax: the preparation begins and ends, the hand stops, the hold ends.
    accent: the accent that the stroke falls on.
    preparation, reached: (arms,3) degrees of shoulder, elbow and wrist when ready and at the apex.
    retract, rested: when the arms go back to rest and are there; infinite where they wait for the
        next stroke.
    """

    start: float
    ready: float
    apex: float
    relax: float
    accent: float
    preparation: np.ndarray
    reached: np.ndarray
    retract: float = np.inf
    rested: float = np.inf


def plan_strokes(
    prosody: Prosody, arms: list[Arm], rng: np.random.Generator, seconds: float
) -> list[Stroke]:
    """Return the strokes of a speech in order of time; none without accents or arms.

    seconds: the length of the clip.
    """
    accents = np.asarray(prosody.accents, float).reshape(-1, 2)
    leaders = _possible_leaders(arms)
    turn = int(rng.integers(max(len(leaders), 1)))
    spans = []
    if arms:
        spans = [(a, min(b, seconds)) for a, b in phrases(prosody.speech, prosody.fps)]
    strokes: list[Stroke] = []
    free = 0.0
    for phrase in spans:
        for moment, strength in _choose_accents(accents, phrase, rng):
            turn += int(rng.random() < SWITCH_CHANCE)
            gesture = _draw_gesture(rng)
            shapes = [gesture.other] * len(arms)
            shapes[leaders[turn % len(leaders)]] = gesture.leading
            size = SIZE[0] + SIZE[1] * strength
            size = size * np.exp(rng.normal(0, SIZE_SPREAD))
            stroke = _draw_stroke(float(moment), phrase, free, rng)
            turns = _turns(arms, shapes, size * stroke.hurry)
            strokes.append(stroke.with_turns(turns))
            free = stroke.relax + MIN_BETWEEN_SECONDS
    return [_with_retraction(strokes, k, spans, seconds) for k in range(len(strokes))]


def phrases(speech: np.ndarray, fps: float) -> list[Phrase]:
    """Return the stretches of speech between pauses of at least 0.3 s."""
    silence = [False]
    speaking = np.concatenate([silence, np.asarray(speech) > 0.5, silence])
    begins = speaking[1:] & ~speaking[:-1]
    ends = speaking[:-1] & ~speaking[1:]
    starts = np.flatnonzero(begins) / fps
    stops = np.flatnonzero(ends) / fps
    joined: list[Phrase] = []
    for start, stop in zip(starts, stops, strict=True):
        if joined and start - joined[-1][1] < PAUSE_SECONDS:
            start, _ = joined.pop()
        joined.append((float(start), float(stop)))
    return joined


def angles_at(strokes: list[Stroke], sizes: np.ndarray, time: np.ndarray, arms: int) -> np.ndarray:
    """Return (T,arms,3) degrees at the times of the frames: minimum jerk between the moments of the
    strokes.

    sizes: factor on each stroke.
    """
    rest = np.zeros((arms, 3))
    moments = [-1.0]
    angles = [rest]
    for stroke, size in zip(strokes, sizes, strict=True):
        moments += [stroke.start, stroke.ready, stroke.apex, stroke.relax]
        angles += [angles[-1], size * stroke.preparation, size * stroke.reached]
        angles += [RELAXED * size * stroke.reached]
        if np.isfinite(stroke.rested):
            moments += [stroke.retract, stroke.rested]
            angles += [angles[-1], rest]
    return _minimum_jerk(np.array(moments), np.array(angles), time)


def _minimum_jerk(moments: np.ndarray, angles: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Interpolate angles (N,arms,3) between their moments (N,) at the times (T,)."""
    last = len(moments) - 1
    before = np.searchsorted(moments, time, side="right") - 1
    before = np.clip(before, 0, last)
    after = np.minimum(before + 1, last)
    length = np.maximum(moments[after] - moments[before], 1e-9)
    u = np.clip((time - moments[before]) / length, 0, 1)
    u = u[:, None, None]
    share = 10 * u**3 - 15 * u**4 + 6 * u**5
    return angles[before] + (angles[after] - angles[before]) * share


def frames_of(strokes: list[Stroke], k: int, time: np.ndarray) -> np.ndarray:
    """Return (T,) bool: the frames that stroke k changes, until the arms rest or the next stroke is
    ready."""
    stop = strokes[k].rested
    if k + 1 < len(strokes):
        stop = min(stop, strokes[k + 1].ready)
    return (time >= strokes[k].start) & (time <= stop)


def _possible_leaders(arms: list[Arm]) -> list[int]:
    """Return the arms that may lead: those with a hand in the picture, or all if there is none."""
    with_hand = [k for k, arm in enumerate(arms) if arm.hand_share > SEEN_HAND]
    return with_hand or list(range(len(arms)))


def _draw_gesture(rng: np.random.Generator) -> Gesture:
    chances = np.array([gesture.chance for gesture in BANK])
    index = rng.choice(len(BANK), p=chances / chances.sum())
    return BANK[index]


def _choose_accents(accents: np.ndarray, phrase: Phrase, rng: np.random.Generator) -> np.ndarray:
    """Return the accents (n,2) of a phrase that get a stroke: strong ones first, apart, not too
    many."""
    start, stop = phrase
    seconds = accents[:, 0]
    strength = accents[:, 1]
    within = (seconds >= start) & (seconds < stop) & (strength >= MIN_STRENGTH)
    accents = accents[within]
    preference = accents[:, 1] + rng.normal(0, CHOICE_SPREAD, len(accents))
    most = int(np.ceil((stop - start) * MAX_STROKES_PER_SECOND))
    earliest = max(start - EARLY_SECONDS, 0) + MIN_PREPARATION_SECONDS
    earliest = earliest + STROKE_SECONDS[0] + LEAD_SECONDS[1]
    chosen: list[int] = []
    for k in np.argsort(-preference):
        distances = np.abs(accents[k, 0] - accents[chosen, 0])
        apart = (distances >= MIN_DISTANCE_SECONDS).all()
        if len(chosen) < most and apart and earliest <= accents[k, 0]:
            chosen.append(int(k))
    return accents[sorted(chosen)]


@dataclass(frozen=True)
class _Moments:
    """Hold the moments of a stroke in seconds, and `hurry`: the factor on its size for too little
    time."""

    start: float
    ready: float
    apex: float
    relax: float
    accent: float
    hurry: float

    def with_turns(self, turns: np.ndarray) -> Stroke:
        """Return the stroke with the turns (2,arms,3) when ready and at the apex."""
        return Stroke(
            self.start, self.ready, self.apex, self.relax, self.accent, turns[0], turns[1]
        )


def _draw_stroke(accent: float, phrase: Phrase, free: float, rng: np.random.Generator) -> _Moments:
    """Draw the moments of the stroke on an accent; the arms are free from `free` seconds on."""
    begin, end = phrase
    apex = accent - rng.uniform(*LEAD_SECONDS)
    stroke = rng.uniform(*STROKE_SECONDS)
    preparation = rng.uniform(*PREPARATION_SECONDS)
    hold = rng.uniform(*HOLD_SECONDS)
    start = max(apex - stroke - preparation, free, begin - EARLY_SECONDS)
    ready = max(apex - stroke, start + MIN_PREPARATION_SECONDS)
    latest = min(apex + hold, end + LATE_SECONDS)
    relax = max(apex + MIN_HOLD_SECONDS, latest)
    # Little time before an accent makes a small gesture.
    hurry = min(1.0, (ready - start) / preparation)
    return _Moments(start, ready, apex, relax, accent, hurry)


def _with_retraction(strokes: list[Stroke], k: int, spans: list[Phrase], seconds: float) -> Stroke:
    """Return stroke k with its way back to rest, which is longer after a wide stroke.

    The arms go back while the person speaks or in a long pause. They stay if there is no time for
    that before the next stroke or the end.
    """
    stroke = strokes[k]
    widest = float(np.abs(stroke.reached).max())
    shortest, longest = RETRACTION_SECONDS
    length = shortest + (longest - shortest) * min(1.0, widest / WIDE_DEG)
    until = seconds
    if k + 1 < len(strokes):
        until = strokes[k + 1].start - MIN_REST_SECONDS
    next_starts = [start for start, _ in spans[1:]] + [seconds]
    for (first, last), next_start in zip(spans, next_starts, strict=True):
        begin = max(stroke.relax, first)
        in_phrase = begin + length <= last + LATE_SECONDS
        in_pause = begin <= last + LATE_SECONDS and next_start - last >= LONG_PAUSE_SECONDS
        if (in_phrase or in_pause) and begin + length <= until:
            return replace(stroke, retract=begin, rested=begin + length)
    return stroke


def _turns(arms: list[Arm], shapes: list[Shape], size: float) -> np.ndarray:
    """Return (2,arms,3) degrees when ready and at the apex."""
    turns = np.zeros((2, len(arms), 3))
    for k, (arm, shape) in enumerate(zip(arms, shapes, strict=True)):
        if shape is REST:
            continue
        arm_size = size if arm.hand_share > SEEN_HAND else size * UNSEEN_HAND_SIZE
        places = arm_size * np.array([shape.ready, shape.apex])
        carry = arm_size * shape.carry * arm.carry
        turns[:, k, :2] = arm.reach(places[:, :2] + [0, carry])
        turns[:, k, 2] = np.clip(arm.rise * places[:, 2], arm.low[2], arm.high[2])
    return turns
