"""How a long clip is cut into overlapping windows, and how their predictions are weighted where they meet."""

from __future__ import annotations

import numpy as np

from pipeline.values import InputError


def plan(T: int, size: int, overlap: int) -> list[tuple[int, int]]:  # noqa: N803 (T is the frame axis of DESIGN)
    """Returns the windows (start, stop) that cover frames 0 to T-1, each `size` long (T long if T < size).

    Neighbours share `overlap` frames; a last window that would pass the end is moved back to end at T, as the
    published ControlNeXt loop does, so it may share more.
    """
    if T < 1:
        raise InputError(f"a clip of {T} frames cannot be cut into windows; give at least 1 frame")
    if size < 1:
        raise InputError(f"window is {size} frames; give at least 1")
    if not 0 <= overlap < size:
        raise InputError(
            f"overlap is {overlap} frames; give a number from 0 to {size - 1}, less than the window of {size}"
        )
    if size >= T:
        return [(0, T)]
    starts = list(range(0, T - size, size - overlap)) + [T - size]
    return [(start, start + size) for start in starts]


def weights(size: int) -> np.ndarray:
    """Returns (size,) triangular weights, positive and symmetric: min(w, 2 - w) with w = (2 i + 1) / size."""
    if size < 1:
        raise InputError(f"window is {size} frames; give at least 1")
    ramp = (2 * np.arange(size) + 1) / size
    return np.minimum(ramp, ramp[::-1])
