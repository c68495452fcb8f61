"""What the writers of a render do beside writing: a run that breaks off can be gone on with."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np

from pipeline.media.safe_files import beside, write_durably
from pipeline.media.unfinished import Extent
from pipeline.media.writer_base import FrameWriter

NOTES_ENDING = ".unfinished.safetensors"
UNFINISHED_ENDING = ".unfinished.mp4"


class ResumableWriter(FrameWriter):
    """Writes segments: each `write` adds one, and is finished when it returns.

    Attributes:
        expected_frames: how many frames the output has when it is complete; None = as many as come.
        is_resumable: whether what a next run needs stays where the output is not complete.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        expected_frames: int | None = None,
        is_resumable: bool = False,
    ) -> None:
        super().__init__(path, fps, size)
        self.expected_frames = expected_frames
        self.is_resumable = is_resumable

    @property
    @abstractmethod
    def extent(self) -> Extent:
        """How far the output is finished."""

    @property
    def is_complete(self) -> bool:
        """Whether all frames are there."""
        return self.expected_frames is None or self.frames >= self.expected_frames

    def checkpoint(self, notes: bytes) -> None:
        """Keep the notes with which a next run goes on after the frames that are finished."""
        with self._sentences():
            self._settle()
            place = self._output_place
            write_durably(notes_path(self.path), notes, place)

    def write(self, frames: np.ndarray) -> None:
        """Add a segment (t, H, W, 3) uint8; the first one makes notes of an earlier run void."""
        if self.frames == 0:
            with self._sentences():
                self._forget_notes()
        super().write(frames)

    @property
    def can_go_on(self) -> bool:
        """Whether a next run finds what it needs to go on; the first notes may not have fitted."""
        is_left = self.is_resumable and not self.is_complete
        return is_left and notes_path(self.path).exists()

    @property
    def _remedy(self) -> str:
        if self.frames and self.is_resumable and notes_path(self.path).exists():
            return "free some space and go on with `resume`"
        return super()._remedy

    @property
    @abstractmethod
    def _output_place(self) -> Path:
        """The output, links followed."""

    def _settle(self) -> None:
        """Bring the finished frames to the disk."""

    def _forget_notes(self) -> None:
        """Delete the notes."""
        notes_path(self.path).unlink(missing_ok=True)


def notes_path(output: str | Path) -> Path:
    """Return where the notes of an output are."""
    return beside(Path(output).resolve(), NOTES_ENDING)


def unfinished_path(output: str | Path) -> Path:
    """Return where an output grows that is one file."""
    return beside(Path(output).resolve(), UNFINISHED_ENDING)
