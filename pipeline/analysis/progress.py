"""Run generators of `Progress` to their end and measure the seconds of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from pipeline.values import Progress

Result = TypeVar("Result")


def finish(work: Generator[Any, None, Result]) -> Result:
    """Runs a generator to its end and returns its return value."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def _relay(
    work: Generator[int, None, Result], stage: str, total: int
) -> Generator[Progress, None, Result]:
    """Turns a generator of frame counts into one of `Progress`, closing it when the outer one is closed."""
    try:
        while True:
            yield Progress(stage, min(next(work), total), total)
    except StopIteration as end:
        return end.value
    finally:
        work.close()


class Meter:
    """Seconds spent per stage, and a line to `say` whenever a stage begins or a tenth of it is done."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._shown: tuple[str, int] | None = None

    def __call__(self, step: Progress) -> None:
        now = time.perf_counter()
        self.seconds[step.stage] = self.seconds.get(step.stage, 0.0) + now - self._last
        self._last = now
        mark = (step.stage, 10 * step.step // max(step.total, 1))
        if self.say is not None and mark != self._shown:
            self._shown = mark
            left = self.seconds[step.stage] / max(step.step, 1) * (step.total - step.step)
            self.say(f"{step.stage}: {step.step}/{step.total}, {left:.0f} s left")

    def lap(self, stage: str) -> None:
        """Counts the time since the last call under `stage`."""
        self(Progress(stage, 1, 1))

    def drain(self, work: Generator[Progress, None, Any]) -> Any:
        """Runs a generator of `Progress` to its end and returns its value."""
        while True:
            try:
                self(next(work))
            except StopIteration as end:
                return end.value
