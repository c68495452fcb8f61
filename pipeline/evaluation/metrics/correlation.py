"""Correlations of curves over time, and how far they stand out from shifted speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.values import Motion

NULL_SHIFTS = 200  # of one motion
NULL_DRAWS = 400  # of all pairs together
LEAST_SHIFT_SECONDS = 1.0  # nearer shifts correlate with the speech itself
FLAT = 1e-12  # product of deviations under which a curve counts as flat


class Correlation(NamedTuple):
    """Pearson's r and its z: the distance from the mean r of shifted speech in their deviations."""

    r: float
    z: float


@dataclass(frozen=True)
class Pair:
    """One clip with one speech.

    Args:
        motion: The clip's key points with the speech's intensity and excitation.
        loudness_excitation: (T,) excitation by loudness alone.
        sound: The name of the speech.
        period: Frames after which the sound repeats itself.
    """

    motion: Motion
    loudness_excitation: np.ndarray
    sound: str
    period: int


def correlation(curve: np.ndarray, truth: np.ndarray, lag: int = 0) -> float:
    """Return Pearson's r of two curves (T,), 0 where either is flat.

    A positive `lag` compares curve(t - lag) with truth(t). Frames with NaN are left out.
    """
    if lag > 0:
        curve = curve[:-lag]
        truth = truth[lag:]
    elif lag < 0:
        curve = curve[-lag:]
        truth = truth[:lag]
    finite = np.isfinite(curve) & np.isfinite(truth)
    if finite.sum() < 3:
        return 0.0
    a = curve[finite]
    b = truth[finite]
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def intensity_correlation(values: np.ndarray, intensity: np.ndarray, fps: float) -> Correlation:
    """Correlate a curve with the intensity, and with the intensity shifted circularly.

    The null are up to 200 shifts of at least one second. r and z are 0 where either curve is flat,
    and z is 0 for a clip of two seconds or less.
    """
    a = values - values.mean()
    b = intensity - intensity.mean()
    scale = _scale(a, b)
    if scale < FLAT:
        return Correlation(0.0, 0.0)
    frames = len(a)
    least = max(1, round(fps * LEAST_SHIFT_SECONDS))
    r = float((a * b).sum() / scale)
    if frames <= 2 * least:
        return Correlation(r, 0.0)
    spread = np.linspace(least, frames - least, NULL_SHIFTS)
    shifts = np.unique(spread.astype(int))
    spectrum = np.conj(np.fft.rfft(a)) * np.fft.rfft(b)
    by_shift = np.fft.irfft(spectrum, frames) / scale  # entry k: values late by k frames
    return Correlation(r, _z(r, by_shift[shifts]))


def _scale(a: np.ndarray, b: np.ndarray) -> float:
    """Return what the products of two centered curves (T,) are divided by to give Pearson's r."""
    power = (a * a).sum() * (b * b).sum()
    return np.sqrt(power)


def _z(r: float, null: np.ndarray) -> float:
    """Return the distance of r from the null's mean in its deviations."""
    deviation = max(null.std(), 1e-9)
    return float((r - null.mean()) / deviation)


def allowed_shifts(pair: Pair) -> np.ndarray:
    """Return circular shifts that keep a second away from the speech itself and from its repeat."""
    frames = len(pair.motion)
    least = max(1, round(pair.motion.pose.fps * LEAST_SHIFT_SECONDS))
    shifts = np.arange(least, frames - least + 1)

    def far_from_repeats(shift: np.ndarray) -> np.ndarray:
        after_repeat = shift % pair.period
        return np.minimum(after_repeat, pair.period - after_repeat) >= least

    wrapped_far = far_from_repeats(frames - shifts) | (pair.period == frames)
    return shifts[far_from_repeats(shifts) & wrapped_far]


def pooled_correlation(pairs: Sequence[Pair], curves: Sequence[np.ndarray]) -> Correlation:
    """Return the mean r of curves (T,) with their pairs' intensities, and its z.

    In each of the 400 draws of the null, a sound is shifted alike in all its pairs, because pairs
    that share a sound are not independent.
    """
    rng = np.random.default_rng(0)
    sounds = dict.fromkeys(pair.sound for pair in pairs)
    draws = {sound: rng.random(NULL_DRAWS) for sound in sounds}
    unshifted = []
    shifted = []
    for pair, curve in zip(pairs, curves, strict=True):
        a = curve - curve.mean()
        b = pair.motion.intensity - pair.motion.intensity.mean()
        scale = max(_scale(a, b), FLAT)
        spectrum = np.fft.rfft(a) * np.conj(np.fft.rfft(b))
        by_shift = np.fft.irfft(spectrum, len(a)) / scale
        shifts = allowed_shifts(pair)
        places = (draws[pair.sound] * len(shifts)).astype(int)
        unshifted.append(by_shift[0])
        shifted.append(by_shift[shifts[places]])
    r = np.mean(unshifted)
    null = np.mean(shifted, 0)
    return Correlation(float(r), _z(r, null))
