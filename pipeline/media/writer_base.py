"""What every writer of frames does: check its input, keep what was written, say what went wrong."""

from __future__ import annotations

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import av
import numpy as np

from pipeline.media.frame_times import MAX_FPS, MAX_VIDEO_SIDE
from pipeline.media.safe_files import HiddenPart
from pipeline.values import InputError

# What a disk without room says, and one whose user has used up a quota
FULL = (errno.ENOSPC, errno.EDQUOT)


def resolve_links(path: str | Path) -> Path:
    """Return where a path leads; RuntimeError where its links lead in a circle, on every Python."""
    place = Path(path).resolve()
    if place.is_symlink():  # from Python 3.13 on `resolve` returns the circle itself
        raise RuntimeError(f"the links of {path} lead in a circle")
    return place


def target_of(path: str | Path) -> Path:
    """Return where the file goes that is to be written: links are followed, not replaced.

    Refuse folders, pipes and devices.
    """
    try:
        place = resolve_links(path)
        if place.is_dir():
            raise InputError(f"output {path} is a folder; give the name of a file")
        if place.exists() and not place.is_file():
            raise InputError(f"output {path} is a pipe or a device; give the name of a file")
    except (OSError, RuntimeError) as error:  # names that are too long; links in a circle
        reason = getattr(error, "strerror", None) or "its links lead in a circle"
        raise InputError(f"output {path} cannot be reached ({reason}); check the path") from error
    return place


class FrameWriter(ABC):
    """Writes frames as they come; `with` keeps whatever was written, however it is left.

    The output appears when the writer closes; with no frame written nothing appears. A subclass
    says how frames are written (`_append`), finished (`_finish`) and thrown away (`_discard`).

    Attributes:
        path: where the output appears.
        size: (H, W) of the frames.
        frames: how many were written.
    """

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        if not 0 < fps <= MAX_FPS:
            raise InputError(f"fps is {fps}; give a number above 0 and at most {MAX_FPS}")
        height, width = size
        if not (1 <= height <= MAX_VIDEO_SIDE and 1 <= width <= MAX_VIDEO_SIDE):
            raise InputError(
                f"video size is {width}x{height}; give 1 to {MAX_VIDEO_SIDE} pixels a side"
            )
        self.path = Path(path)
        self.size = (int(height), int(width))
        self.frames = 0
        self._is_closed = False

    def write(self, frames: np.ndarray) -> None:
        """Append frames (t, H, W, 3) uint8."""
        if frames.ndim != 4 or frames.shape[1:] != (*self.size, 3) or frames.dtype != np.uint8:
            wanted = f"uint8 (t, {self.size[0]}, {self.size[1]}, 3)"
            raise ValueError(f"frames are {frames.dtype} {frames.shape}; this video takes {wanted}")
        if self._is_closed:
            raise ValueError(f"output {self.path} is already closed; open a new writer")
        with self._sentences():
            self._append(frames)

    def close(self) -> None:
        """Finish the output and put it at `path`; delete it if it holds no frame."""
        if self._is_closed:
            return
        if self.frames == 0:
            self._is_closed = True
            self._discard()
            return
        with self._sentences():
            self._finish()
        self._is_closed = True

    def kept(self) -> str:
        """Return half a sentence on where finished frames are, "" where there are none."""
        return ""

    @property
    def _remedy(self) -> str:
        """What to do where the disk is full."""
        return "free some space"

    @abstractmethod
    def _append(self, frames: np.ndarray) -> None:
        """Write frames of the right shape and count them in `frames`."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the output; there is at least one frame."""

    @abstractmethod
    def _discard(self) -> None:
        """Close and delete what is unfinished."""

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn what goes wrong on the disk into a sentence, leaving no broken file behind."""
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._is_closed = True
            self._discard()
            if isinstance(error, InputError):
                raise
            kept = self.kept()
            if getattr(error, "errno", None) in FULL:
                kept = f"{kept}; " if kept else ""
                raise InputError(
                    f"output {self.path} cannot be written: the disk is full; {kept}{self._remedy}"
                ) from error
            reason = getattr(error, "strerror", None) or error
            kept = f"; {kept}" if kept else ""
            raise InputError(
                f"output {self.path} cannot be written ({reason}){kept}; "
                "choose a folder you may write to"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class FileWriter(FrameWriter):
    """A writer of one file: until it closes, a hidden file beside it grows."""

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        super().__init__(path, fps, size)
        self._place = target_of(path)
        self._hidden = HiddenPart(self._place)
        self._part = self._hidden.path

    def _create_part(self) -> None:
        """Create the hidden file now: encoders would find out only at the first frame."""
        self._hidden.create()

    def _publish(self) -> None:
        """Put the finished file at `path`."""
        self._hidden.publish(self._place)

    def _discard_part(self) -> None:
        """Delete the hidden file."""
        self._hidden.discard()
