"""A folder of PNG frames, writing: lossless pictures for other programs, without sound."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo

from pipeline.media import frame_folder
from pipeline.media.settings import COMMENT_KEY, to_comment
from pipeline.media.writer_base import FrameWriter
from pipeline.values import InputError


class FrameFolderWriter(FrameWriter):
    """Writes `000000.png` and on into a folder that is new or holds no numbered pictures.

    Each frame appears at once. The first one keeps the frame rate and the settings in its text.
    """

    def __init__(
        self, path: str | Path, fps: float, size: tuple[int, int], settings: dict | None = None
    ) -> None:
        super().__init__(path, fps, size)
        check_new_folder(self.path)
        self._first_text = PngInfo()
        self._first_text.add_text(frame_folder.FPS_KEY, repr(float(fps)))
        if settings is not None:
            self._first_text.add_text(COMMENT_KEY, to_comment(settings))
        self._part = self.path / f".apv-{secrets.token_hex(8)}.part"
        self._is_new = not self.path.exists()
        with self._sentences():
            self.path.mkdir(exist_ok=True)
            self._part.touch()

    def _append(self, frames: np.ndarray) -> None:
        from imageio.v3 import imwrite  # takes a tenth of a second to load

        for frame in frames:
            text = None if self.frames else self._first_text
            content = imwrite(
                "<bytes>", frame, plugin="pillow", extension=".png", is_batch=False, pnginfo=text
            )
            self._part.write_bytes(content)
            os.replace(self._part, self.path / f"{self.frames:06d}.png")
            self.frames += 1

    def _finish(self) -> None:
        self._part.unlink(missing_ok=True)

    def _discard(self) -> None:
        """Delete the unfinished frame, and the folder if this writer made it and it is empty."""
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)
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
