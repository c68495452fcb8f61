"""Small operations on curves over time, which several steps of the motion share."""

from __future__ import annotations

import numpy as np


def bridge(values: np.ndarray, good: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate runs of at most `limit` bad frames; return the values and which frames are good
    then.

    Runs at either end take the nearest good frame. Rows that stay bad are returned as they came.

    Args:
        values: (T,...), one row per frame.
        good: (T,) bool, the frames whose rows can be trusted.
        limit: frames, the longest run that is filled.
    """
    filled = np.array(values, np.float64)
    known = np.array(good, bool)
    if known.all() or not known.any():
        return filled, known
    good_rows = np.flatnonzero(good)
    rows = np.arange(len(known))
    first = good_rows[0]
    last = good_rows[-1]
    previous = np.searchsorted(good_rows, rows, "right") - 1
    following = np.searchsorted(good_rows, rows, "left")
    before = good_rows[np.clip(previous, 0, None)]
    after = good_rows[np.clip(following, None, len(good_rows) - 1)]
    left = np.minimum(before, after)
    right = np.maximum(before, after)
    # At the ends both neighbors are the same good frame, and the run is counted from the end of the
    # clip.
    run = right - left - 1
    run = np.where(rows > last, len(known) - 1 - last, run)
    run = np.where(rows < first, first, run)
    fill = ~known & (run <= limit)
    span = np.maximum(right - left, 1)
    weight = np.where(right > left, (rows - left) / span, 0.0)
    weight = weight.reshape(-1, *[1] * (filled.ndim - 1))
    between = filled[left] * (1 - weight) + filled[right] * weight
    filled[fill] = between[fill]
    return filled, known | fill


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def fit_frames(curve: np.ndarray, frames: int) -> np.ndarray:
    """Cut a curve, or hold its last value, to `frames` rows; an empty curve becomes zeros."""
    curve = np.asarray(curve, float)[:frames]
    if len(curve) == 0:
        return np.zeros(frames)
    return np.pad(curve, (0, frames - len(curve)), mode="edge")


def hann_mean(curve: np.ndarray, frames: float) -> np.ndarray:
    """Average a curve over about `frames` rows under a centered Hann window; its ends are held."""
    half = max(1, int(frames / 2))
    kernel = np.hanning(2 * half + 3)[1:-1]
    weights = kernel / kernel.sum()
    padded = np.pad(curve, half, mode="edge")
    return np.convolve(padded, weights, mode="valid")
