"""A folder of PNG frames, writing: lossless pictures for other programs, without sound."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo

from pipeline.media import frame_folder
from pipeline.media.resumable_writer import ResumableWriter
from pipeline.media.safe_files import HiddenPart, sync_file, sync_folder
from pipeline.media.settings import COMMENT_KEY, to_comment
from pipeline.media.unfinished import Extent
from pipeline.values import InputError

STRAY_NAME = "frame"  # what the unfinished frame's hidden name is made of


class FrameFolderWriter(ResumableWriter):
    """Writes `000000.png` and on into a folder that is new or holds no numbered pictures.

    Each frame appears at once. The first one keeps the frame rate and the settings in its text.

    Args:
        path: the folder.
        fps: frames a second.
        size: (H, W) of the frames.
        settings: plain JSON values to keep in the first frame.
        expected_frames: how many frames will come, where known.
        is_resumable: whether notes on an incomplete output stay.
        extent: what is finished already, by an earlier run; later frames are deleted.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        settings: Mapping[str, object] | None = None,
        *,
        expected_frames: int | None = None,
        is_resumable: bool = False,
        extent: Extent | None = None,
    ) -> None:
        super().__init__(path, fps, size, expected_frames, is_resumable)
        if extent is None:
            check_new_folder(self.path)
        else:
            self._go_on(extent)
        self._settled_frames = self.frames
        self._first_text = PngInfo()
        self._first_text.add_text(frame_folder.FPS_KEY, repr(float(fps)))
        if settings is not None:
            self._first_text.add_text(COMMENT_KEY, to_comment(dict(settings)))
        self._hidden = HiddenPart(self.path / STRAY_NAME)
        self._is_new = not self.path.exists()
        with self._sentences():
            self.path.mkdir(exist_ok=True)
            self._hidden.create()

    @property
    def extent(self) -> Extent:
        """How far the output is finished."""
        return Extent(self.frames)

    def kept(self) -> str:
        """Return half a sentence on where finished frames are, "" where there are none."""
        if not self.frames:
            return ""
        return f"the {self.frames} finished frames are kept in {self.path}"

    @property
    def _output_place(self) -> Path:
        return self.path.resolve()

    def _go_on(self, extent: Extent) -> None:
        """Keep the finished frames, delete later ones."""
        for number in range(extent.frames):
            if not self._frame_path(number).is_file():
                raise InputError(
                    f"{self._frame_path(number)}, a finished frame, is missing; put it back, or "
                    "start afresh without `resume`"
                )
        self.frames = extent.frames
        for number in itertools.count(extent.frames):
            later = self._frame_path(number)
            if not later.is_file():
                return
            with self._sentences():
                later.unlink()

    def _frame_path(self, number: int) -> Path:
        return self.path / f"{number:06d}.png"

    def _append(self, frames: np.ndarray) -> None:
        from imageio.v3 import imwrite  # takes a tenth of a second to load

        for frame in frames:
            text = None if self.frames else self._first_text
            content = imwrite(
                "<bytes>", frame, plugin="pillow", extension=".png", is_batch=False, pnginfo=text
            )
            self._hidden.path.write_bytes(content)
            os.replace(self._hidden.path, self._frame_path(self.frames))
            self.frames += 1

    def _settle(self) -> None:
        """Bring the frames since the last time to the disk."""
        for number in range(self._settled_frames, self.frames):
            sync_file(self._frame_path(number))
        self._settled_frames = self.frames
        sync_folder(self.path)

    def _finish(self) -> None:
        self._hidden.discard()
        if self.is_complete or not self.is_resumable:
            self._forget_notes()

    def _discard(self) -> None:
        """Delete the unfinished frame, and the folder if this writer made it and it is empty."""
        with contextlib.suppress(OSError):
            self._hidden.discard()
            if self._is_new and self.frames == 0:
                self.path.rmdir()


def check_new_folder(folder: Path) -> None:
    """Raise InputError where frames would mix with others, or the name is a file's."""
    if folder.is_file():
        raise InputError(f"{folder} is a file; give the name of a folder for the frames")
    if folder.is_dir() and frame_folder.holds_frames(folder):
        raise InputError(
            f"folder {folder} already holds numbered pictures; give a new or an empty folder"
        )
