"""Run generators of `Progress` to their end and measure the seconds of each stage.

The generators of this project yield what is done so far and return their result. A `for` loop drops
the result; `Work` keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

from pipeline.values import Progress

Step = TypeVar("Step")
Result = TypeVar("Result")


class Work(Generic[Step, Result]):
    """A generator to loop over once; after the loop `result` is what the generator returned."""

    result: Result

    def __init__(self, generator: Generator[Step, None, Result]) -> None:
        self._generator = generator

    def __iter__(self) -> Iterator[Step]:
        self.result = yield from self._generator


def finish(generator: Generator[Step, None, Result]) -> Result:
    """Run a generator to its end and return its result."""
    work = Work(generator)
    for _ in work:
        pass
    return work.result


def count_frames(
    generator: Generator[int, None, Result], stage: str, total: int
) -> Generator[Progress, None, Result]:
    """Turn a generator of frame counts into one of `Progress`.

    Closing the outer one closes the inner.
    """
    work = Work(generator)
    try:
        for frames in work:
            yield Progress(stage, min(frames, total), total)
    finally:
        generator.close()
    return work.result


class Meter:
    """Seconds spent per stage.

    `say` gets a line whenever a stage begins or a tenth of it is done.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._shown: tuple[str, int] | None = None

    def __call__(self, step: Progress) -> None:
        """Count the time since the last call under the step's stage."""
        now = time.perf_counter()
        spent = self.seconds.get(step.stage, 0.0) + now - self._last
        self.seconds[step.stage] = spent
        self._last = now
        tenths = 10 * step.step // max(step.total, 1)
        mark = (step.stage, tenths)
        if self.say is None or mark == self._shown:
            return
        self._shown = mark
        seconds_per_step = spent / max(step.step, 1)
        left = seconds_per_step * (step.total - step.step)
        self.say(f"{step.stage}: {step.step}/{step.total}, {left:.0f} s left")

    def lap(self, stage: str) -> None:
        """Count the time since the last call under `stage`."""
        self(Progress(stage, 1, 1))

    def drain(self, generator: Generator[Progress, None, Result]) -> Result:
        """Run a generator of `Progress` to its end, counting its steps, and return its result."""
        work = Work(generator)
        for step in work:
            self(step)
        return work.result
