"""Edit the accents of a speech: its intensity and excitation follow the list of (seconds,
strength).

The hump of an accent is what the intensity has over the line between the lowest moments on either
side, each at most 0.45 s away, which is the least distance of two accents. The strength is the mean
of height and rise. So a hump that is scaled by 1 + (new - old) / (height of the hump) has the new
strength, and the hump of a removed accent is scaled by 0. A new accent is one syllable, smoothed as
the intensity is smoothed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import erf

from pipeline.motion.prosody import (
    ACCENT_SECONDS,
    CURVE_RATE_HZ,
    INTENSITY_SMOOTHING_SECONDS,
    Prosody,
    excite,
    per_frame,
)
from pipeline.values import InputError

REACH = round(ACCENT_SECONDS * CURVE_RATE_HZ)  # rows of the curve
# Speakers say four to six syllables a second.
SYLLABLE_SECONDS = 0.2
# An accent that is nearer to a detected one than this is that one, unchanged: files keep two or
# three digits.
SAME_SECONDS = 0.0051
SAME_STRENGTH = 0.00051
MAX_ACCENTS = 5000


def edit(prosody: Prosody, accents: np.ndarray) -> Prosody:
    """Return the prosody with the accents (M,2), seconds and strength; the detected ones change
    nothing.

    A moved accent counts as removed and added, one of strength 0 as removed. `speech` stays, and so
    does what lies away from the changed accents.
    """
    curve = prosody.curve
    if curve is None:
        raise ValueError("this prosody keeps no curve to edit; pass one that `analyse` returned")
    accents = checked(accents, len(curve.intensity) / CURVE_RATE_HZ)
    accents = accents[accents[:, 1] > 0]
    matches = _match(curve.detected_accents, accents)
    shaped = curve.intensity.copy()
    for row, (seconds, strength) in enumerate(curve.detected_accents):
        match = matches.get(row)
        if match is None:
            _scale_hump(shaped, curve.intensity, seconds, None)
            continue
        change = accents[match, 1] - strength
        if abs(change) <= SAME_STRENGTH:
            accents[match] = curve.detected_accents[row]
        else:
            _scale_hump(shaped, curve.intensity, seconds, change)
    added = set(range(len(accents))) - set(matches.values())
    for row in sorted(added):
        _add_accent(shaped, *accents[row])
    excitation = excite(shaped, curve.usual_level)
    return replace(
        prosody,
        accents=accents,
        intensity=per_frame(shaped, len(prosody), prosody.fps),
        excitation=per_frame(excitation, len(prosody), prosody.fps),
    )


def checked(accents: np.ndarray, seconds: float) -> np.ndarray:
    """Return the accents (M,2) in order of time.

    Raises InputError where one lies outside the sound or its strength outside 0 to 1.
    """
    table = np.asarray(accents, float).reshape(-1, 2)
    if len(table) > MAX_ACCENTS:
        raise InputError(f"there are {len(table)} accents; give at most {MAX_ACCENTS}")
    for row, (time, strength) in enumerate(table, 1):
        if not (np.isfinite(time) and 0 <= time <= seconds):
            raise InputError(f"accent {row} is at {time:g} s; give times from 0 to {seconds:.2f}")
        if not (np.isfinite(strength) and 0 <= strength <= 1):
            raise InputError(f"accent {row} at {time:g} s has strength {strength:g}; give 0 to 1")
    order = np.argsort(table[:, 0], kind="stable")
    return table[order]


def _match(detected: np.ndarray, accents: np.ndarray) -> dict[int, int]:
    """Map the row of a detected accent to the row of the accent at the same time, where there is
    one."""
    matches: dict[int, int] = {}
    for row, seconds in enumerate(detected[:, 0]):
        distance = np.abs(accents[:, 0] - seconds)
        near = np.flatnonzero(distance <= SAME_SECONDS)
        free = [int(k) for k in near if k not in matches.values()]
        if free:
            nearest = np.argmin(distance[free])
            matches[row] = free[nearest]
    return matches


def _feet(curve: np.ndarray, peak: int) -> tuple[int, int]:
    """Return the rows of the lowest moments within reach before and after a peak; the nearer of
    equals."""
    first = max(0, peak - REACH)
    before = curve[first : peak + 1][::-1]
    after = curve[peak : peak + REACH + 1]
    left = peak - int(np.argmin(before))
    right = peak + int(np.argmin(after))
    return left, right


def _scale_hump(
    shaped: np.ndarray, curve: np.ndarray, seconds: float, change: float | None
) -> None:
    """Scale the hump of a detected accent in place.

    Args:
        shaped: the intensity (N,) that is changed.
        curve: the intensity (N,) as it was detected.
        seconds: where the accent lies.
        change: of the strength; None takes the hump away.
    """
    peak = round(seconds * CURVE_RATE_HZ)
    left, right = _feet(curve, peak)
    rows = np.arange(left, right + 1)
    line = _ground_line(curve, left, peak, right)
    hump = np.maximum(curve[rows] - line, 0)
    height = curve[peak] - line[peak - left]
    gain = 0.0
    if change is not None:
        gain = max(0.0, 1 + change / max(height, 1e-3))
    scaled = shaped[rows] + (gain - 1) * hump
    shaped[rows] = np.clip(scaled, 0, 1)


def _ground_line(curve: np.ndarray, left: int, peak: int, right: int) -> np.ndarray:
    """Return the line under a hump, one value for each row from the left to the right foot.

    At the first or the last moment of the clip the peak is a foot itself: the line is then level
    with the other foot.
    """
    feet = curve[[left, right]]
    if left == peak or right == peak:
        return np.full(right - left + 1, feet.min())
    return np.interp(np.arange(left, right + 1), [left, right], feet)


def _add_accent(shaped: np.ndarray, seconds: float, strength: float) -> None:
    """Raise the curve in place to a new accent; where it is already higher it stays."""
    peak = min(round(seconds * CURVE_RATE_HZ), len(shaped) - 1)
    feet = list(_feet(shaped, peak))
    ground = shaped[feet].max()
    # The strength is (height + (height - ground)) / 2.
    height = min(1.0, strength + ground / 2)
    rows = slice(max(0, peak - REACH), peak + REACH + 1)
    time = np.arange(len(shaped))[rows] / CURVE_RATE_HZ - seconds
    shaped[rows] = np.maximum(shaped[rows], height * _syllable(time))


def _syllable(time: np.ndarray) -> np.ndarray:
    """Return a box of the length of one syllable, smoothed like the intensity: 1 in its middle.

    time: seconds from the middle.
    """
    half = SYLLABLE_SECONDS / 2
    spread = INTENSITY_SMOOTHING_SECONDS * np.sqrt(2)
    rising = erf((time + half) / spread)
    falling = erf((time - half) / spread)
    return (rising - falling) / (2 * erf(half / spread))
