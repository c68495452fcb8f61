"""Timed phones -> face-parameter curves at 100 Hz: the rule labels that Audio2Pose is trained on.

Every phone pulls each parameter towards a target with a weight. Windows are boxes blurred by a
Gaussian, and the curve is the weighted mean of the targets (dominance functions, Cohen and Massaro
1993). Lip closures of p b m and the f v bite are hard: they go on top. The gap column was set
against measured lips, not against the jaw: a table derived from the jaw keeps t d n s too closed
and caps the correlation with real lips at about 0.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.motion.face_animation import PARAMETERS

LABEL_RATE = 100
VISEMES = ("sil", "p", "f", "th", "t", "s", "sh", "k", "r", "w", "u", "o", "a", "e", "i", "l")
# before speech lips part: real speakers open to breathe in (+0.10 r on real clips)
INHALE_SECONDS = 0.32
_LONG_PAUSE_SECONDS = 0.3

# phone: viseme, gap, gap weight, jaw, jaw weight, pucker, funnel, stretch, lowerdown, upperup, lip
# weight
_TABLE = """
sil sil .10 1   .04 .9  .00 .00 .00 .00 .00 .6
inh sil .60 .6  .25 .6  .00 .05 .00 .15 .05 .4
aa a  .95 1   .85 1   .00 .10 .05 .45 .25 .8
ae e  .95 1   .75 1   .00 .00 .45 .50 .35 .9
ah a  .62 .6  .50 .7  .00 .08 .08 .30 .15 .5
ax a  .62 .6  .38 .5  .00 .08 .08 .25 .12 .4
eh e  .85 .9  .60 .9  .00 .00 .35 .45 .30 .8
ey e  .90 .9  .55 .9  .00 .00 .50 .45 .32 .9
ih i  .62 .85 .32 .8  .00 .00 .40 .38 .25 .7
iy i  .62 .85 .22 .9  .00 .00 .65 .42 .28 1
ao o  .50 1   .62 1   .45 .50 .00 .22 .12 1.1
ow o  .50 1   .48 1   .60 .40 .00 .18 .08 1.2
uh u  .45 .9  .32 .8  .45 .30 .00 .15 .08 .9
uw u  .32 1   .22 1   .85 .30 .00 .10 .03 1.4
yu u  .32 1   .20 1   .80 .35 .00 .12 .05 1.4
er r  .45 .9  .35 .8  .30 .35 .00 .22 .12 .9
w  w  .15 1.3 .16 .9  1.0 .20 .00 .05 .00 1.5
r  r  .45 .7  .26 .7  .35 .40 .00 .22 .14 .9
y  i  .50 .7  .18 .7  .05 .00 .45 .35 .22 .6
l  l  .62 .5  .38 .5  .00 .05 .10 .35 .18 .4
s  s  .60 1   .10 1   .00 .08 .35 .50 .25 .8
sh sh .55 1   .12 1   .35 .70 .00 .48 .32 1.2
t  t  .58 .5  .14 .8  .00 .04 .18 .36 .18 .4
th th .50 .7  .22 .8  .00 .00 .15 .32 .15 .5
k  k  .68 .3  .32 .4  .00 .04 .10 .32 .18 .2
hh k  .65 .12 .40 .15 .00 .00 .05 .25 .12 .1
f  f  .20 1.3 .12 1   .00 .05 .10 .05 .20 1
p  p  .02 1   .10 .9  .05 .00 .02 .00 .00 .6
"""
_SAME = (
    "z:s zh:sh ch:sh jh:sh d:t n:t dx:t dh:th g:k ng:k v:f b:p m:p axr:er el:l en:t em:p hv:hh "
    "nx:t pau:sil"
)
_SPLIT = {"ay": ("aa", "ih"), "aw": ("aa", "uh"), "oy": ("ao", "ih")}
_FIRST_SHARE = 0.55  # of a diphthong


def _rows() -> dict[str, tuple[str, np.ndarray]]:
    """Read the table: viseme and 9 values of every phone."""
    rows = {}
    for line in _TABLE.strip().split("\n"):
        name, viseme, *values = line.split()
        rows[name] = (viseme, np.array([float(value) for value in values]))
    for pair in _SAME.split():
        name, like = pair.split(":")
        rows[name] = rows[like]
    return rows


ROWS = _rows()
PHONES = frozenset(ROWS) | frozenset(_SPLIT)
Phones = list[tuple[str, float, float]]  # name, start s, end s


@dataclass(frozen=True)
class _Curve:
    """How one parameter follows the phones."""

    blur_seconds: float
    lead_seconds: float
    lag_seconds: float
    target: int  # column of `_TABLE`
    weight: int  # column of `_TABLE`


_CURVES = {
    "jaw": _Curve(0.034, 0.035, 0.01, 2, 3),
    "pucker": _Curve(0.050, 0.090, 0.02, 4, 9),  # rounding starts early
    "funnel": _Curve(0.050, 0.090, 0.02, 5, 9),
    "stretch": _Curve(0.045, 0.040, 0.02, 6, 9),
    "lowerdown": _Curve(0.040, 0.035, 0.01, 7, 9),
    "upperup": _Curve(0.040, 0.035, 0.01, 8, 9),
    "gap": _Curve(0.034, 0.035, 0.01, 0, 1),
}
# shares of the phone for which the closure is held
_CLOSURES = {"p": 0.8, "b": 0.8, "m": 0.92, "em": 0.92}
_BITES = {"f": 0.85, "v": 0.85}
_CLOSURE_RISE_SECONDS = 0.055
_BITE_RISE_SECONDS = 0.06
_RELEASE_SECONDS = 0.05


def expand(phones: Phones) -> Phones:
    """Split diphthongs, and cut the inhale before speech from every pause over 0.3 s."""
    expanded: Phones = []
    for number, (name, start, end) in enumerate(phones):
        is_last = number + 1 == len(phones)
        if name in _SPLIT:
            first, second = _SPLIT[name]
            middle = start + _FIRST_SHARE * (end - start)
            expanded += [(first, start, middle), (second, middle, end)]
        elif ROWS[name][0] == "sil" and end - start > _LONG_PAUSE_SECONDS and not is_last:
            inhale = max(start, end - INHALE_SECONDS)
            if inhale > start:
                expanded.append(("sil", start, inhale))
            expanded.append(("inh", inhale, end))
        else:
            expanded.append((name, start, end))
    return expanded


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Approximate Phi by the logistic function (error below 0.01), much faster than scipy."""
    return 1 / (1 + np.exp(-np.clip(1.702 * x, -40, 40)))


def _closure(
    phones: Phones, time: np.ndarray, held_shares: dict[str, float], rise_seconds: float
) -> np.ndarray:
    """Return (N,) the closure in [0, 1] of certain phones.

    Args:
        phones: timed phones.
        time: (N,) seconds.
        held_shares: phones that close, and the share of each for which they hold.
        rise_seconds: the closure rises over them before the phone; it is released in 50 ms.
    """
    curve = np.zeros(len(time))
    for name, start, end in phones:
        if name in held_shares:
            hold = start + max(0.05, held_shares[name] * (end - start))
            rise = np.clip((time - start + rise_seconds) / rise_seconds, 0, 1)
            fall = np.clip((hold + _RELEASE_SECONDS - time) / _RELEASE_SECONDS, 0, 1)
            curve = np.maximum(curve, np.minimum(rise, fall))
    return 0.5 - 0.5 * np.cos(math.pi * curve)


def labels(phones: Phones, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return parameter curves (N, 10) in [0, 1] and viseme classes (N,) at 100 Hz."""
    frames = int(round(seconds * LABEL_RATE))
    time = np.arange(frames) / LABEL_RATE
    parts = expand(phones)
    column = {name: number for number, name in enumerate(PARAMETERS)}
    curves = np.zeros((frames, len(PARAMETERS)))
    for name, curve in _CURVES.items():
        curves[:, column[name]] = _weighted_target(parts, time, curve)
    closed = _closure(parts, time, _CLOSURES, _CLOSURE_RISE_SECONDS)
    bite = _closure(parts, time, _BITES, _BITE_RISE_SECONDS)
    curves[:, column["close"]] = closed
    curves[:, column["bite"]] = bite
    curves[:, column["press"]] = 0.8 * closed
    curves[:, column["gap"]] *= (1 - 0.97 * closed) * (1 - 0.7 * bite)
    for name in ("lowerdown", "upperup"):
        curves[:, column[name]] *= 1 - closed
    return curves.astype(np.float32), _classes(parts, frames)


def _weighted_target(phones: Phones, time: np.ndarray, curve: _Curve) -> np.ndarray:
    """Return (N,) the mean of the phones' targets, weighted by their blurred windows."""
    table = np.stack([ROWS[name][1] for name, _, _ in phones])
    starts = np.array([start for _, start, _ in phones])[:, None]
    ends = np.array([end for _, _, end in phones])[:, None]
    rise = _normal_cdf((time - starts + curve.lead_seconds) / curve.blur_seconds)
    fall = _normal_cdf((time - ends - curve.lag_seconds) / curve.blur_seconds)
    window = np.maximum(rise - fall, 1e-6)
    window = table[:, curve.weight, None] * window
    targets = window * table[:, curve.target, None]
    return targets.sum(0) / window.sum(0)


def _classes(phones: Phones, frames: int) -> np.ndarray:
    """Return (N,) the viseme class of every label frame."""
    classes = np.zeros(frames, np.int64)
    for name, start, end in phones:
        first = int(np.ceil(start * LABEL_RATE))
        last = int(np.ceil(end * LABEL_RATE))
        viseme, _ = ROWS[name]
        classes[max(first, 0) : last] = VISEMES.index(viseme)
    return classes
