"""Beat alignment: do gestures pause and turn where the speech has its accents?

In both directions, as the literature has both: over the motion's beats (AIST++'s beat alignment
score) and over the speech's accents (BEAT's beat consistency). Beside each stands its distance from
circularly shifted speech, without which neither says anything. Scaling gestures moves no beat, so
none of them sees refocusing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

SIGMAS_SECONDS = (0.05, 0.1)  # AIST++ has 3 frames at 60 frames/s
LEAST_SHIFT_SECONDS = 1.0  # nearer shifts are the speech itself
NULL_SHIFTS = 200
# Of the mean speed: a minimum that is less deep is noise of the detector
LEAST_DEPTH = 0.3
TINY = 1e-9


@dataclass(frozen=True)
class Alignment:
    """How well beats and accents meet, in [0, 1], and its distance from shifted speech.

    Args:
        score: Mean of exp(-d^2 / (2 sigma^2)), d to the nearest of the others; NaN of none.
        z: (score - mean of the shifted) / their deviation; NaN for a clip too short to shift.
    """

    score: float
    z: float


def motion_beats(speed: np.ndarray, fps: float) -> np.ndarray:
    """Return the seconds of the clear minima of a speed (T,)."""
    mean_speed = float(speed.mean())
    depth = LEAST_DEPTH * mean_speed
    if depth < TINY:
        return np.zeros(0)
    minima, _ = find_peaks(-speed, prominence=depth)
    middles = minima + 0.5
    return middles / fps


def alignment(moments: np.ndarray, others: np.ndarray, seconds: float, sigma: float) -> Alignment:
    """Score moments (M,) against the nearest of the others (N,), all seconds of a clip.

    The null shifts `others` around the clip of `seconds`.
    """
    if not len(moments) or not len(others):
        return Alignment(math.nan, math.nan)
    score = nearness(moments, others, sigma)
    last_shift = seconds - LEAST_SHIFT_SECONDS
    if last_shift <= LEAST_SHIFT_SECONDS:
        return Alignment(score, math.nan)
    null = []
    for shift in np.linspace(LEAST_SHIFT_SECONDS, last_shift, NULL_SHIFTS):
        shifted = (others + shift) % seconds
        null.append(nearness(moments, shifted, sigma))
    deviation = np.std(null)
    distance = score - np.mean(null)
    z = distance / max(deviation, TINY)
    return Alignment(score, float(z))


def nearness(moments: np.ndarray, others: np.ndarray, sigma: float) -> float:
    """Return the mean of exp(-d^2 / (2 sigma^2)) over moments, d to the nearest of the others."""
    differences = np.subtract.outer(moments, others)
    distances = np.abs(differences)
    nearest = distances.min(1)
    squares = np.square(nearest / sigma)
    closeness = np.exp(-squares / 2)
    return float(closeness.mean())
