"""Opening a media file safely, and decoding what can be decoded.

FFmpeg reads through a Python handle and may open nothing else, so a playlist or a `concat` script cannot
reach other files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import av

from pipeline.values import InputError

log = logging.getLogger(__name__)


def checked_file(path: str | Path, what: str) -> Path:
    """Returns `path` if it is a file that holds anything."""
    source = Path(path)
    try:
        if not source.exists():
            raise InputError(f"{what} {path} does not exist; check the path")
        if not source.is_file():
            raise InputError(f"{what} {path} is not a file; give the path of a file")
        if source.stat().st_size == 0:
            raise InputError(f"{what} {path} is empty; give a file with content")
    except OSError as error:
        raise InputError(
            f"{what} {path} cannot be reached ({error.strerror}); check the path"
        ) from error
    return source


def content_hash(path: str | Path) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal, the key of every cache."""
    digest = hashlib.sha256()
    try:
        with open(checked_file(path, "file"), "rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(
            f"file {path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    return digest.hexdigest()


@contextlib.contextmanager
def opened(path: str | Path, what: str) -> Iterator[av.container.InputContainer]:
    """Yields the open file; without a protocol FFmpeg cannot open anything that the file names."""
    source = checked_file(path, what)
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(open(source, "rb"))
            options = {"protocol_whitelist": "none"}
            container = stack.enter_context(
                av.open(handle, options=options, metadata_errors="replace")
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{what} {path} cannot be read ({reason}); give a file that FFmpeg can play"
            ) from error
        yield container


def decoded(
    container: av.container.InputContainer, stream: av.stream.Stream, path: str | Path
) -> Iterator[av.frame.Frame]:
    """Yields the frames that decode; broken packets are left out with one warning, a broken file ends."""
    packets, broken = container.demux(stream), 0
    while True:
        try:
            packet = next(packets, None)
            frames = [] if packet is None else packet.decode()
        except (av.error.FFmpegError, OSError):
            broken += 1
            continue
        if packet is None:
            break
        yield from frames
    if broken:
        log.warning(
            "%s is damaged: %d parts of its %s could not be decoded and are left out",
            path,
            broken,
            stream.type,
        )


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """Returns the first moving picture, leaving out an album cover."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def read_settings(path: str | Path) -> dict | None:
    """Returns the settings that `VideoWriter` left in the `comment` tag, or None where there are none."""
    with opened(path, "video") as container:
        comment = container.metadata.get("comment")
    try:
        settings = json.loads(comment or "null")
    except (ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) else None
