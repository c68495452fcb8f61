"""Accents that a person edits: the intensity and the excitation follow the list of (seconds, strength).

An accent's hump is what the intensity has over the line between the lowest moments within 0.45 s on either
side, the least distance of two accents in detection. The strength is the mean of height and rise, so a hump
that is scaled by 1 + (new - old) / (height of the hump) has the new strength; a removed one is scaled by 0.
An added accent is one syllable seen through the Gaussian with which the intensity is smoothed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import erf

from pipeline.motion.prosody import (
    ACCENT_SECONDS,
    HOP,
    RATE,
    SMOOTH_SECONDS,
    Prosody,
    excite,
    per_frames,
)
from pipeline.values import InputError

RATE_HZ = RATE / HOP
REACH = round(ACCENT_SECONDS * RATE_HZ)
SYLLABLE_SECONDS = 0.2  # speakers say four to six syllables a second
# what is nearer to a detected accent is that accent, unchanged
SAME_SECONDS = 0.0051
SAME_STRENGTH = 0.00051
MAX_ACCENTS = 5000


def edit(prosody: Prosody, accents: np.ndarray) -> Prosody:
    """Returns the prosody with `accents` (N,2) seconds and strength; the detected ones change nothing.

    Moved accents count as removed and added, those of strength 0 as removed. `speech` stays, and so does what
    lies away from changed accents.
    """
    if prosody.curve is None:
        raise InputError(
            "this prosody keeps no curve to edit; pass one that prosody.analyse returned"
        )
    curve = prosody.curve.intensity
    old = prosody.curve.detected
    accents = checked(accents, len(curve) / RATE_HZ)
    accents = accents[accents[:, 1] > 0]
    kept = _matches(old, accents)
    shaped = curve.copy()
    for row, (seconds, strength) in enumerate(old):
        new = accents[kept[row], 1] if row in kept else 0.0
        if row in kept and abs(new - strength) <= SAME_STRENGTH:
            accents[kept[row]] = old[row]
        else:
            _scale(shaped, curve, seconds, new - strength if row in kept else None)
    for row in sorted(set(range(len(accents))) - set(kept.values())):
        _add(shaped, *accents[row])
    return replace(prosody, accents=accents, **_curves(prosody, shaped))


def checked(accents: np.ndarray, seconds: float) -> np.ndarray:
    """(N,2) accents in order of time; ValueError where one lies outside the sound or the range 0 to 1."""
    table = np.asarray(accents, float).reshape(-1, 2)
    if len(table) > MAX_ACCENTS:
        raise InputError(f"there are {len(table)} accents; give at most {MAX_ACCENTS}")
    for row, (time, strength) in enumerate(table, 1):
        if not (np.isfinite(time) and 0 <= time <= seconds):
            raise InputError(f"accent {row} is at {time:g} s; give times from 0 to {seconds:.2f}")
        if not (np.isfinite(strength) and 0 <= strength <= 1):
            raise InputError(f"accent {row} at {time:g} s has strength {strength:g}; give 0 to 1")
    return table[np.argsort(table[:, 0], kind="stable")]


def _matches(old: np.ndarray, new: np.ndarray) -> dict[int, int]:
    """Row of a detected accent -> row of the given one at the same time."""
    found: dict[int, int] = {}
    for row, seconds in enumerate(old[:, 0]):
        near = np.flatnonzero(np.abs(new[:, 0] - seconds) <= SAME_SECONDS)
        if free := [k for k in near if k not in found.values()]:
            found[row] = int(min(free, key=lambda k: abs(new[k, 0] - seconds)))
    return found


def _curves(prosody: Prosody, intensity: np.ndarray) -> dict[str, np.ndarray]:
    curves = {"intensity": intensity, "excitation": excite(intensity, prosody.curve.usual)}
    return {name: per_frames(curve, len(prosody), prosody.fps) for name, curve in curves.items()}


def _foot(curve: np.ndarray, peak: int) -> tuple[int, int]:
    """Rows of the lowest moments within reach before and after a peak; the nearer of equals."""
    first = max(0, peak - REACH)
    last = min(len(curve) - 1, peak + REACH)
    before = curve[first : peak + 1][::-1]
    after = curve[peak : last + 1]
    return peak - int(np.argmin(before)), peak + int(np.argmin(after))


def _scale(shaped: np.ndarray, curve: np.ndarray, seconds: float, change: float | None) -> None:
    """Scales the hump of a detected accent in place; None takes it away."""
    peak = round(seconds * RATE_HZ)
    left, right = _foot(curve, peak)
    rows = np.arange(left, right + 1)
    line = np.interp(rows, [left, right], curve[[left, right]]) if right > left else curve[rows]
    # at the clip's first or last moment the foot is the peak itself: the line is level with the other foot
    if left == peak or right == peak:
        line = np.full(len(rows), curve[[left, right]].min())
    hump = np.maximum(curve[rows] - line, 0)
    height = curve[peak] - line[peak - left]
    gain = 0.0 if change is None else max(0.0, 1 + change / max(height, 1e-3))
    shaped[rows] = np.clip(shaped[rows] + (gain - 1) * hump, 0, 1)


def _add(shaped: np.ndarray, seconds: float, strength: float) -> None:
    """Raises the curve in place to a new accent; where it is already higher it stays."""
    peak = min(round(seconds * RATE_HZ), len(shaped) - 1)
    ground = shaped[list(_foot(shaped, peak))].max()
    height = min(1.0, strength + ground / 2)  # (height + (height - ground)) / 2 = strength
    rows = slice(max(0, peak - REACH), peak + REACH + 1)
    time = np.arange(len(shaped))[rows] / RATE_HZ - seconds
    shaped[rows] = np.maximum(shaped[rows], height * _syllable(time))


def _syllable(time: np.ndarray) -> np.ndarray:
    """A box of one syllable's length smoothed like the intensity, 1 in its middle."""
    half = SYLLABLE_SECONDS / 2
    spread = SMOOTH_SECONDS * np.sqrt(2)
    return (erf((time + half) / spread) - erf((time - half) / spread)) / (2 * erf(half / spread))
