"""What is tried when a device runs out of memory: once more, smaller windows, offload, then a sentence."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass, replace
from typing import Any

import torch

from pipeline.render.runtime import placement
from pipeline.values import InputError

log = logging.getLogger(__name__)

SMALLEST = 6  # rows of a window below which the temporal layers have nothing to work with
LADDER = ("again", "smaller", "offload", "smaller")


@dataclass(frozen=True)
class Room:
    """The window and overlap in use, the lead rows in every window, and how often memory has run out."""

    window: int
    overlap: int
    lead: int
    tried: int = 0

    def less(self, pipe: Any) -> tuple[Room, str]:
        """The next thing to try and a sentence that says it; ValueError with the remedy when all is tried."""
        release()
        for tried, rung in enumerate(LADDER[self.tried :], self.tried + 1):
            if rung == "again":
                return replace(self, tried=tried), "out of memory: trying this part once more"
            half = self.window // 2
            if rung == "smaller" and half >= max(SMALLEST, self.lead + 2):
                overlap = min(self.overlap * half // self.window, half - self.lead - 1)
                note = f"out of memory: windows of {half} frames from here on"
                return replace(self, window=half, overlap=overlap, tried=tried), note
            if rung == "offload" and placement.may_offload(pipe):
                placement.offload(pipe, "group", str(pipe.condition.device))
                pipe.placed = replace(pipe.placed, offload="group")
                return replace(
                    self, tried=tried
                ), "out of memory: weights stay in main memory from here on"
        raise InputError(
            f"the memory does not suffice, even for windows of {self.window}; finished frames are kept; "
            "give a smaller --height and --width, or --offload group"
        )


def release() -> None:
    """Gives back what the failed attempt held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
