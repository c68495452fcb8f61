"""What a run tells: one line of progress, a CSV file, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

MINUTE_SECONDS = 60
HOUR_SECONDS = 3600


class Board(Protocol):
    """What of TensorBoard's writer is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def add_image(
        self, tag: str, img_tensor: np.ndarray, global_step: int, dataformats: str
    ) -> None: ...

    def close(self) -> None: ...


class RunLog:
    """The log of one run, which further runs in the same folder continue.

    Args:
        folder: of the run.
        start: iteration at which this run begins.
        stop: iteration at which it ends.
    """

    def __init__(self, folder: Path, start: int, stop: int) -> None:
        self.path = folder / "losses.csv"
        self.start = start
        self.stop = stop
        self.began = time.monotonic()
        self.board = _open_board(folder / "tensorboard")

    def write(self, iteration: int, values: Mapping[str, float]) -> str:
        """Add the values of `iteration` iterations; return the line of progress."""
        seconds = (time.monotonic() - self.began) / max(iteration - self.start, 1)
        left = seconds * (self.stop - iteration)
        row: dict[str, float] = {"iteration": iteration, **values}
        row["seconds"] = round(seconds, 4)
        self._add_row(row)
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, iteration)
        losses = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        pace = f"{seconds:.2f} s each, {duration(left)} left"
        return f"iteration {iteration} of {self.stop}: {losses}; {pace}"

    def _add_row(self, row: Mapping[str, float]) -> None:
        is_new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def picture(self, iteration: int, name: str, picture: np.ndarray) -> None:
        """Show a picture (H,W,3) uint8 in TensorBoard."""
        if self.board is not None:
            self.board.add_image(name, picture, iteration, dataformats="HWC")

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self.board is not None:
            self.board.close()


def duration(seconds: float) -> str:
    """Say a time in the unit that suits it."""
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.0f} s"
    if seconds < HOUR_SECONDS:
        return f"{seconds / MINUTE_SECONDS:.0f} min"
    return f"{seconds / HOUR_SECONDS:.1f} h"


def _open_board(folder: Path) -> Board | None:
    """Open TensorBoard's log; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
