"""A disk that fills up: file handles that take no more bytes, and a real small file system."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class PowerCut(BaseException):
    """The machine stops."""


class Disk:
    """Counts what is written through an `io.FileIO` that is opened from now on.

    Args:
        monkeypatch: puts real files back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room_bytes = 1 << 40
        self.error: BaseException = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        disk = self

        class File(io.FileIO):
            def write(self, content) -> int:
                size = len(content)
                if size and not disk.room_bytes:
                    raise disk.error
                taken = min(size, disk.room_bytes)
                disk.room_bytes -= taken
                return super().write(content[:taken])

        monkeypatch.setattr(io, "FileIO", File)


@contextlib.contextmanager
def small_file_system(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a real file system of that size; the test skips where that is not allowed."""
    folder.mkdir()
    options = f"size={size_bytes}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
