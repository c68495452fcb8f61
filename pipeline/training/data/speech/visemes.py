"""Timed phones -> face-parameter curves at 100 Hz: the rule labels that Audio2Pose is trained on.

Every phone pulls each parameter towards a target with a weight; windows are boxes blurred by a Gaussian, and
the curve is the weighted mean of the targets (dominance functions, Cohen and Massaro 1993). Lip closures of
p b m and the f v bite are hard: they go on top. The gap column was set against measured lips, not against the
jaw: a table derived from the jaw keeps t d n s too closed and caps the correlation with real lips at about
0.6.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.motion.face_animation import PARAMETERS

LABEL_RATE = 100
VISEMES = ("sil", "p", "f", "th", "t", "s", "sh", "k", "r", "w", "u", "o", "a", "e", "i", "l")
INHALE = 0.32  # s before speech in which lips part; real speakers open to breathe in (+0.10 r on real clips)

# phone: viseme, gap, gap weight, jaw, jaw weight, pucker, funnel, stretch, lowerdown, upperup, lip weight
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
_SAME = "z:s zh:sh ch:sh jh:sh d:t n:t dx:t dh:th g:k ng:k v:f b:p m:p axr:er el:l en:t em:p hv:hh nx:t pau:sil"
_SPLIT = {"ay": ("aa", "ih"), "aw": ("aa", "uh"), "oy": ("ao", "ih")}  # halves of 55 and 45 %


def _rows() -> dict[str, tuple[str, np.ndarray]]:
    rows = {}
    for line in _TABLE.split("\n"):
        if line:
            name, viseme, *values = line.split()
            rows[name] = (viseme, np.array([float(v) for v in values]))
    rows.update({new: rows[old] for new, old in (pair.split(":") for pair in _SAME.split())})
    return rows


ROWS = _rows()
PHONES = frozenset(ROWS) | frozenset(_SPLIT)
Phones = list[tuple[str, float, float]]  # name, start s, end s

# parameter: blur s, lead s, lag s, column of the target, column of the weight
_CURVES = {
    "jaw": (0.034, 0.035, 0.01, 2, 3),
    "pucker": (0.050, 0.090, 0.02, 4, 9),  # rounding starts early
    "funnel": (0.050, 0.090, 0.02, 5, 9),
    "stretch": (0.045, 0.040, 0.02, 6, 9),
    "lowerdown": (0.040, 0.035, 0.01, 7, 9),
    "upperup": (0.040, 0.035, 0.01, 8, 9),
    "gap": (0.034, 0.035, 0.01, 0, 1),
}


def expand(phones: Phones) -> Phones:
    """The phones with diphthongs split and the inhale before speech cut from every pause over 0.3 s."""
    out: Phones = []
    for k, (name, start, end) in enumerate(phones):
        if name in _SPLIT:
            middle = start + 0.55 * (end - start)
            out += [(_SPLIT[name][0], start, middle), (_SPLIT[name][1], middle, end)]
        elif ROWS[name][0] == "sil" and end - start > 0.3 and k + 1 < len(phones):
            cut = max(start, end - INHALE)
            out += (
                [("sil", start, cut), ("inh", cut, end)] if cut > start else [("inh", start, end)]
            )
        else:
            out.append((name, start, end))
    return out


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Phi by the logistic approximation (error below 0.01), which keeps scipy out of the inner loop."""
    return 1 / (1 + np.exp(-np.clip(1.702 * x, -40, 40)))


def _hard(phones: Phones, time: np.ndarray, names: dict[str, float], rise: float) -> np.ndarray:
    """(N,) closure in [0, 1]: rises `rise` s before the phone, held for a share of it, released in 50 ms."""
    curve = np.zeros(len(time))
    for name, start, end in phones:
        if name in names:
            hold = start + max(0.05, names[name] * (end - start))
            up = np.clip((time - start + rise) / rise, 0, 1)
            down = np.clip((hold + 0.05 - time) / 0.05, 0, 1)
            curve = np.maximum(curve, np.minimum(up, down))
    return 0.5 - 0.5 * np.cos(math.pi * curve)


def labels(phones: Phones, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Parameter curves (N, 10) in [0, 1] and viseme classes (N,) int at 100 Hz for a timed phone list."""
    frames = int(round(seconds * LABEL_RATE))
    time = np.arange(frames) / LABEL_RATE
    parts = expand(phones)
    table = np.stack([ROWS[name][1] for name, _, _ in parts])
    starts, ends = (np.array([p[k] for p in parts])[:, None] for k in (1, 2))
    out = np.zeros((frames, len(PARAMETERS)))
    for name, (blur, lead, lag, target, weight) in _CURVES.items():
        window = _normal_cdf((time - starts + lead) / blur) - _normal_cdf(
            (time - ends - lag) / blur
        )
        window = table[:, weight, None] * np.maximum(window, 1e-6)
        out[:, PARAMETERS.index(name)] = (window * table[:, target, None]).sum(0) / window.sum(0)
    closed = _hard(parts, time, {"p": 0.8, "b": 0.8, "m": 0.92, "em": 0.92}, 0.055)
    bite = _hard(parts, time, {"f": 0.85, "v": 0.85}, 0.06)
    column = {name: k for k, name in enumerate(PARAMETERS)}
    out[:, column["close"]], out[:, column["bite"]], out[:, column["press"]] = (
        closed,
        bite,
        0.8 * closed,
    )
    out[:, column["gap"]] *= (1 - 0.97 * closed) * (1 - 0.7 * bite)
    for name in ("lowerdown", "upperup"):
        out[:, column[name]] *= 1 - closed
    classes = np.zeros(frames, np.int64)
    for name, start, end in parts:
        a, b = (int(np.ceil(t * LABEL_RATE)) for t in (start, end))
        classes[max(a, 0) : b] = VISEMES.index(ROWS[name][0])
    return out.astype(np.float32), classes
