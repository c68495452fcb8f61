"""Cut a long clip into overlapping windows, and weight their predictions where they meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.values import InputError


@dataclass(frozen=True)
class WindowLayout:
    """The windows of a run: `window` rows each, of which `overlap` are shared with the next window.

    Every window begins with the same `lead` rows. They are counted in `window`, and they are no
    frames.
    """

    window: int
    overlap: int
    lead: int = 0

    @property
    def frames(self) -> int:
        """The frames of a window, without the lead."""
        return self.window - self.lead


def plan_windows(frames: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Return the windows (start, stop) that cover frames 0 to `frames` - 1.

    Each is `size` long, or as long as the clip if that is shorter. Neighbors share `overlap`
    frames; a last window that would pass the end is moved back, as the published ControlNeXt loop
    does, so it may share more.
    """
    if frames < 1:
        raise ValueError(
            f"a clip of {frames} frames cannot be cut into windows; give at least 1 frame"
        )
    _check_window(size)
    if not 0 <= overlap < size:
        raise InputError(
            f"`overlap` is {overlap} frames; give a number from 0 to {size - 1}, "
            f"less than the window of {size}"
        )
    if size >= frames:
        return [(0, frames)]
    last = frames - size
    starts = [*range(0, last, size - overlap), last]
    return [(start, start + size) for start in starts]


def triangular_weights(size: int) -> np.ndarray:
    """Return (size,) triangular weights: min(w, 2 - w) with w = (2 i + 1) / size.

    They are positive and symmetric.
    """
    _check_window(size)
    ramp = (2 * np.arange(size) + 1) / size
    return np.minimum(ramp, ramp[::-1])


def _check_window(size: int) -> None:
    if size < 1:
        raise InputError(f"`window` is {size} frames; give at least 1")
