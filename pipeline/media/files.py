"""Opening a media file safely, and decoding what can be decoded.

FFmpeg reads through a Python handle and may open nothing else, so a playlist or a `concat` script
cannot reach other files.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av

from pipeline.values import InputError

log = logging.getLogger(__name__)

# Pictures that belong to a stream or to the file: covers, previews, depth and layers
ATTACHED = (
    av.stream.Disposition.attached_pic
    | av.stream.Disposition.timed_thumbnails
    | av.stream.Disposition.still_image
    | av.stream.Disposition.dependent
)
COUNTED_PACKETS = 2000  # enough to meet a second frame of each stream that moves


def checked_file(path: str | Path, what: str) -> Path:
    """Return `path` if it is a file that holds anything."""
    source = Path(path)
    try:
        if not source.exists():
            raise InputError(f"{what} {path} does not exist; check the path")
        if not source.is_file():
            kind = "a folder" if source.is_dir() else "a device or a pipe"
            raise InputError(f"{what} {path} is {kind}; give the path of a file")
        if source.stat().st_size == 0:
            raise InputError(f"{what} {path} is empty; give a file with content")
    except OSError as error:
        raise InputError(
            f"{what} {path} cannot be reached ({error.strerror}); check the path"
        ) from error
    return source


def content_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal, the key of every cache.

    Of a folder, that of the names and bytes of its visible files.
    """
    digest = hashlib.sha256()
    source = Path(path)
    try:
        if not source.is_dir():
            _add_bytes(digest, checked_file(path, "file"))
            return digest.hexdigest()
        for file in sorted(source.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                digest.update(file.name.encode() + b"\0")
                _add_bytes(digest, file)
    except OSError as error:
        raise InputError(
            f"file {path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    return digest.hexdigest()


def _add_bytes(digest: hashlib._Hash, file: Path) -> None:
    """Add a file's bytes to a digest, a megabyte at a time."""
    with file.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)


@contextlib.contextmanager
def opened(path: str | Path, what: str) -> Iterator[av.container.InputContainer]:
    """Yield the open file; without a protocol FFmpeg cannot open anything that the file names."""
    source = checked_file(path, what)
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(open(source, "rb"))
        except OSError as error:
            raise InputError(
                f"{what} {path} cannot be read ({error.strerror}); check its permissions"
            ) from error
        try:
            options = {"protocol_whitelist": "none"}
            container = stack.enter_context(
                av.open(handle, options=options, metadata_errors="replace")
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{what} {path} cannot be read (it is damaged, or of a kind that FFmpeg does not "
                "know); give a file that plays"
            ) from error
        yield container


def packets_of(
    container: av.container.InputContainer, *streams: av.stream.Stream
) -> Iterator[av.Packet]:
    """Yield the packets with content; a file that breaks off ends there."""
    with contextlib.suppress(av.error.FFmpegError, OSError):
        for packet in container.demux(*streams):
            if packet.size:
                yield packet


def decoded(
    container: av.container.InputContainer, stream: av.stream.Stream, path: str | Path
) -> Iterator[av.frame.Frame]:
    """Yield the frames that decode.

    Broken packets are left out with one warning; a file that breaks off ends there.
    """
    packets = container.demux(stream)
    broken = 0
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


def can_decode(stream: av.stream.Stream) -> bool:
    """Say whether FFmpeg has a decoder; a damaged header may name a codec that nobody knows."""
    return stream.codec_context is not None


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """Return the moving picture, leaving out album covers, previews and stills.

    Of several, the one that the file calls its default; then the largest.
    """
    streams = [
        stream
        for stream in container.streams.video
        if can_decode(stream) and not stream.disposition & ATTACHED
    ]
    if len(streams) < 2:
        return streams[0] if streams else None
    moving = _moving_streams(container.name)

    def rank(stream: av.VideoStream) -> tuple[bool, bool, int]:
        is_default = bool(stream.disposition & av.stream.Disposition.default)
        return stream.index in moving, is_default, stream.width * stream.height

    return max(streams, key=rank)


def _moving_streams(path: str) -> set[int]:
    """Return the indices of the streams that hold more than one frame.

    What a file states about its frames is often missing, so that packets are counted.
    """
    counts: Counter[int] = Counter()
    with opened(path, "video") as container:
        packets = packets_of(container, *container.streams.video)
        for packet in itertools.islice(packets, COUNTED_PACKETS):
            counts[packet.stream_index] += 1
    return {index for index, count in counts.items() if count > 1}
