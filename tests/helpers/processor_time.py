"""Processor time in units of a fixed piece of work, so that slow and busy machines count alike.

What shares caches and cores with other programs takes up to three times as long: so does the unit,
which is measured between the runs of what is tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

ROUNDS = 4  # of both, alternating; the fastest of each counts


def units(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the processor time of `work` in units, 20 to 30 ms each on a busy core.

    The first run of `work` is not counted: it fills caches.
    """
    work()
    spent = []
    unit = []
    for _ in range(rounds):
        unit.append(_seconds(_unit))
        spent.append(_seconds(work))
    return min(spent) / min(unit)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _unit() -> float:
    """Compute with numpy and with Python's own objects, as the tested code does."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(300, 300))
    total = 0.0
    for _ in range(4):
        total += float(np.sort(numbers, axis=0).sum())
        total += float(np.fft.rfft(numbers).real.sum())
        total += float(np.exp(-np.abs(numbers)).sum())
    table = {}
    for i in range(40_000):
        table[i % 997] = i * 0.5
    return total + sum(table.values())
