"""Smooth values over time: Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012."""

from __future__ import annotations

import numpy as np


class OneEuro:
    """Smooths an array of values, the less the faster they move.

    Args:
        step_seconds: time between two values.
        least_cutoff_hz: of values that stand still.
        speed_gain: how much the cut-off grows with speed.
        speed_cutoff_hz: of the speed itself.
    """

    def __init__(
        self, step_seconds: float, least_cutoff_hz: float, speed_gain: float, speed_cutoff_hz: float
    ) -> None:
        self._step = step_seconds
        self._least_cutoff = least_cutoff_hz
        self._speed_gain = speed_gain
        self._speed_cutoff = speed_cutoff_hz
        self.reset()

    def reset(self) -> None:
        """Forget all values: the next one is taken as it is."""
        self._last: np.ndarray | None = None

    def __call__(self, values: np.ndarray, unit: float) -> np.ndarray:
        """Return the next values smoothed; their speed is measured in units per second."""
        if self._last is None:
            self._last = values
            self._smooth = values
            self._speed = np.zeros_like(values)
            return values
        speed = (values - self._last) / (unit * self._step)
        self._speed = self._speed + self._weight(self._speed_cutoff) * (speed - self._speed)
        cutoff = self._least_cutoff + self._speed_gain * np.abs(self._speed)
        self._smooth = self._smooth + self._weight(cutoff) * (values - self._smooth)
        self._last = values
        return self._smooth

    def _weight(self, cutoff: float | np.ndarray) -> float | np.ndarray:
        """Return the new value's weight at cut-off frequencies in Hz."""
        return 1 / (1 + 1 / (2 * np.pi * cutoff * self._step))
