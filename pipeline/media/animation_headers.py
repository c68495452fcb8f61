"""What the headers of an animated GIF or WebP promise, read before any picture is decoded.

GIF: "Graphics Interchange Format, Version 89a" (CompuServe, 1990). WebP: the RIFF container of
https://developers.google.com/speed/webp/docs/riff_container.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.values import InputError

MAX_FRAMES = 36000  # ten minutes at 60 frames a second
# Browsers and FFmpeg show a frame with a delay below 0.02 s for 0.1 s: old files mean "as usual".
MIN_DELAY_SECONDS = 0.02
USUAL_DELAY_SECONDS = 0.1

GIF_START = (b"GIF87a", b"GIF89a")
GIF_EXTENSION = b"\x21"
GIF_PICTURE = b"\x2c"
GIF_TIMING_LABEL = b"\xf9"
HAS_COLOR_TABLE = 0x80
COLOR_TABLE_SIZE = 0x07
WEBP_ANIMATION = 0x02


@dataclass(frozen=True)
class Header:
    """The size of an animation in pixels and how long each of its frames stays on screen."""

    width: int
    height: int
    seconds: tuple[float, ...]


def is_animated(path: Path) -> bool:
    """Say whether a file begins as a GIF or an animated WebP."""
    try:
        with path.open("rb") as file:
            start = file.read(21)
    except OSError as error:
        raise InputError(
            f"video {path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    if start[:6] in GIF_START:
        return True
    is_webp = start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X"
    return is_webp and len(start) == 21 and bool(start[20] & WEBP_ANIMATION)


def read_header(path: Path) -> Header:
    """Return what the file's headers promise; frames that are cut off do not count."""
    with path.open("rb") as file:
        is_gif = file.read(6) in GIF_START
        file.seek(0)
        try:
            return _read_gif(file, path) if is_gif else _read_webp(file, path)
        except (struct.error, IndexError) as error:
            raise InputError(
                f"video {path} is damaged (its header is cut off); export it again"
            ) from error


def _read_gif(file: BinaryIO, path: Path) -> Header:
    width, height, flags = struct.unpack("<6xHHB2x", file.read(13))
    _skip_color_table(file, flags)
    delay = 0
    seconds: list[float] = []
    while True:
        kind = file.read(1)
        if kind == GIF_EXTENSION:
            label = file.read(1)
            if label == GIF_TIMING_LABEL:
                (delay,) = struct.unpack("<2xHx", file.read(5))
            is_whole = _skip_blocks(file)
        elif kind == GIF_PICTURE:
            left, top, part_width, part_height, flags = struct.unpack("<4HB", file.read(9))
            _skip_color_table(file, flags)
            file.read(1)  # the code size
            is_whole = _skip_blocks(file)
            if is_whole:
                # decoders enlarge the picture for a part that lies outside
                width = max(width, left + part_width)
                height = max(height, top + part_height)
                seconds.append(_shown_seconds(delay / 100))
                _check_count(seconds, path)
            delay = 0
        else:  # the trailer, the end of the file or garbage
            return Header(width, height, tuple(seconds))
        if not is_whole:
            return Header(width, height, tuple(seconds))


def _skip_color_table(file: BinaryIO, flags: int) -> None:
    """Move past a GIF's color table where `flags` announce one."""
    if flags & HAS_COLOR_TABLE:
        colors = 2 ** ((flags & COLOR_TABLE_SIZE) + 1)
        file.read(3 * colors)


def _skip_blocks(file: BinaryIO) -> bool:
    """Move past a GIF's data blocks; return False where the file ends inside."""
    while True:
        size = file.read(1)
        if size == b"\x00":
            return True
        if not size or len(file.read(size[0])) < size[0]:
            return False


def _read_webp(file: BinaryIO, path: Path) -> Header:
    file.read(12)
    width = 0
    height = 0
    seconds: list[float] = []
    while len(start := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", start)
        body = file.tell()
        if name == b"VP8X":
            sides = file.read(10)
            width = 1 + int.from_bytes(sides[4:7], "little")
            height = 1 + int.from_bytes(sides[7:10], "little")
        elif name == b"ANMF":
            frame = file.read(16)
            file.seek(body + size - 1)
            if not file.read(1):
                break  # cut off
            milliseconds = int.from_bytes(frame[12:15], "little")
            seconds.append(_shown_seconds(milliseconds / 1000))
            _check_count(seconds, path)
        file.seek(body + size + size % 2)
    return Header(width, height, tuple(seconds))


def _shown_seconds(delay_seconds: float) -> float:
    """Return how long players show a frame with this delay."""
    return USUAL_DELAY_SECONDS if delay_seconds < MIN_DELAY_SECONDS else delay_seconds


def _check_count(seconds: list[float], path: Path) -> None:
    if len(seconds) > MAX_FRAMES:
        raise InputError(f"video {path} has over {MAX_FRAMES} frames; cut it into parts")
