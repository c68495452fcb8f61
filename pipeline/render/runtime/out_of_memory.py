"""What is tried when a device runs out of memory: once more, smaller windows, offload, then a
sentence."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace

import torch

from pipeline.models.windows import WindowLayout
from pipeline.render.runtime import placement
from pipeline.render.runtime.placement import PlaceablePipeline
from pipeline.values import InputError

SMALLEST_WINDOW_ROWS = 6  # with fewer rows the temporal layers have nothing to work with
LADDER = ("again", "smaller", "offload", "smaller")


@dataclass(frozen=True)
class Attempt:
    """The windows in use, how many rungs of LADDER were tried, and a sentence on the last one."""

    layout: WindowLayout
    tried: int = 0
    note: str = ""

    def with_less_memory(self, pipe: PlaceablePipeline) -> Attempt:
        """Return the next thing to try; InputError with the remedy when all is tried."""
        free_memory()
        for tried, rung in enumerate(LADDER[self.tried :], self.tried + 1):
            attempt = self._climb(rung, pipe)
            if attempt is not None:
                return replace(attempt, tried=tried)
        raise InputError(
            f"the memory does not suffice, even for windows of {self.layout.window}; finished "
            "frames are kept; give a smaller `height` and `width`, or `offload` group"
        )

    def _climb(self, rung: str, pipe: PlaceablePipeline) -> Attempt | None:
        """Try one rung of the ladder; None where it is of no use."""
        if rung == "again":
            return replace(self, note="out of memory: trying this part once more")
        if rung == "smaller":
            layout = halve(self.layout)
            if layout is None:
                return None
            note = f"out of memory: windows of {layout.window} frames from here on"
            return replace(self, layout=layout, note=note)
        if pipe.placed is None or not placement.may_offload(pipe):
            return None
        placement.offload(pipe, "group", str(pipe.condition.device))
        pipe.placed = replace(pipe.placed, offload="group")
        return replace(self, note="out of memory: weights stay in main memory from here on")


def halve(layout: WindowLayout) -> WindowLayout | None:
    """Halve the windows and their overlap; None where the windows would be too small."""
    rows = layout.window // 2
    if rows < max(SMALLEST_WINDOW_ROWS, layout.lead + 2):
        return None
    overlap = layout.overlap * rows // layout.window
    overlap = min(overlap, rows - layout.lead - 1)
    return replace(layout, window=rows, overlap=overlap)


def free_memory() -> None:
    """Give back what the failed attempt held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
