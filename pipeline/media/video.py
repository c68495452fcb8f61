"""Video, reading: frames at a requested rate by time, turned and shrunk, streamed in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pipeline.media.files import decoded, opened, picture_stream
from pipeline.values import InputError, Video

MAX_VIDEO_SIDE, MAX_VIDEO_SECONDS, MAX_FPS = 8192, 600, 240
CHUNK = 16  # frames held at a time


@dataclass(frozen=True)
class Probe:
    """What a video file holds: size as shown (turned, square pixels), own frame rate, length, sound."""

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    has_audio: bool


def probe(path: str | Path) -> Probe:
    """Returns the size, rate and length of a video file after decoding its first frame."""
    with opened(path, "video") as container:
        stream, kind = picture_stream(container), container.format.name
        if stream is None:
            raise InputError(
                f"video {path} has no moving picture in it; give an MP4, MOV, WebM or GIF"
            )
        if (
            kind.endswith("_pipe")
            or kind == "image2"
            or (kind in ("gif", "apng") and stream.frames == 1)
        ):
            raise InputError(
                f"video {path} is a still picture; give a video file, or use it as the reference image"
            )
        fps, has_audio = _own_rate(stream), bool(container.streams.audio)
        frame = next(decoded(container, stream, path), None)
        if frame is None:
            raise InputError(
                f"video {path} has no frame that can be decoded; convert it to MP4 and try again"
            )
        width, height = _shown_size(stream, frame, None)
        length = (
            stream.duration * stream.time_base
            if stream.duration
            else (container.duration or 0) / av.time_base
        )
    seconds = float(length) or _walked_seconds(path, fps)
    if max(width, height) > MAX_VIDEO_SIDE:
        raise InputError(
            f"video {path} is {width}x{height} pixels; shrink it to at most {MAX_VIDEO_SIDE} a side"
        )
    return Probe(width, height, fps, max(1, round(seconds * fps)), seconds, has_audio)


def _own_rate(stream: av.VideoStream) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 1 <= rate <= MAX_FPS else 25.0


def _walked_seconds(path: str | Path, fps: float) -> float:
    """Returns the length from the packets' own times, for files that do not state it (browser recordings)."""
    with opened(path, "video") as container:
        stream = picture_stream(container)
        packets = [packet.pts for packet in container.demux(stream) if packet.size]
        times = [pts for pts in packets if pts is not None]
        return (
            float((max(times) - min(times)) * stream.time_base) + 1 / fps
            if times
            else len(packets) / fps
        )


def _shown_size(
    stream: av.VideoStream, frame: av.VideoFrame, max_side: int | None
) -> tuple[int, int]:
    """Returns (width, height) as shown: pixels made square, turned, the longer side at most `max_side`."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = frame.width * aspect, float(frame.height)
    if _display_matrix(frame)[0]:
        width, height = height, width
    scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def _display_matrix(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Returns how to show a frame (its rotation tag): swap the axes, mirror left-right, flip top-bottom."""
    data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    return (True, c < 0, b < 0) if abs(b) + abs(c) > abs(a) + abs(d) else (False, a < 0, d < 0)


def read_video(
    path: str | Path,
    fps: float | None = None,
    max_side: int | None = None,
    seconds: float | None = None,
) -> Video:
    """Returns a video whose frames stream in chunks of at most 16, without sound.

    Output frame i is the one on screen at (i + 0.5) / fps, so a variable frame rate comes out right.
    `seconds` cuts; without it a video over the limit is refused.
    """
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise InputError(f"fps is {fps}; give a number above 0 and at most {MAX_FPS}")
    if max_side is not None and max_side < 1:
        raise InputError(f"max_side is {max_side}; give at least 1 pixel")
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds is {seconds}; give a number above 0")
    facts = probe(path)
    if facts.seconds > MAX_VIDEO_SECONDS + 1 and not (seconds and seconds <= MAX_VIDEO_SECONDS):
        raise _video_too_long(path)
    rate = float(fps or facts.fps)
    limit = max(1, round(seconds * rate)) if seconds else None
    return Video(_chunks(_pictures(path, rate, max_side, limit)), rate)


def _video_too_long(path: str | Path) -> ValueError:
    return ValueError(
        f"video {path} lasts over {MAX_VIDEO_SECONDS} s; cut it, or read only its first seconds"
    )


def _chunks(pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    held: list[np.ndarray] = []
    for picture in pictures:
        held.append(picture)
        if len(held) == CHUNK:
            yield np.stack(held)
            held.clear()
    if held:
        yield np.stack(held)


def _pictures(
    path: str | Path, fps: float, max_side: int | None, limit: int | None
) -> Iterator[np.ndarray]:
    """Yields (H, W, 3) RGB at `fps`, all of the first frame's size; a frame shown twice is converted once."""
    last, picture, size = None, None, None
    with opened(path, "video") as container:
        stream = picture_stream(container)
        timed = _timed(decoded(container, stream, path), 1 / _own_rate(stream))
        for index, frame in enumerate(_on_show(timed, fps, limit)):
            if index > (MAX_VIDEO_SECONDS + 1) * fps:
                raise _video_too_long(path)
            if frame is not last:
                size = size or _shown_size(stream, frame, max_side)
                last, picture = frame, _rgb(frame, size)
            yield picture


def _timed(
    frames: Iterator[av.VideoFrame], step: float
) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """Yields (start, stop, frame) in seconds from the first frame; one without a usable time follows on."""
    first, before = None, -step
    for frame in frames:
        time = frame.time if first is None or frame.time is not None else first + before + step
        first = (time or 0.0) if first is None else first
        start = (time or first) - first
        if start < before:  # the clock jumped back, as in joined clips: go on from the last frame
            first, start = first - (before + step - start), before + step
        known = (
            frame.time is not None and frame.duration
        )  # a raw stream has neither times nor true lengths
        lasts = float(frame.duration * frame.time_base) if known else 0.0
        before = start
        yield start, start + (lasts if 0 < lasts < 10 else step), frame


def _on_show(
    timed: Iterator[tuple[float, float, av.VideoFrame]], fps: float, limit: int | None
) -> Iterator[av.VideoFrame]:
    """Yields for i = 0, 1, ... the frame that is on screen at (i + 0.5) / fps, until the last one ends."""
    index, held, end = 0, None, 0.0
    for start, stop, frame in timed:
        while held is not None and (index + 0.5) / fps < start - 1e-6:
            yield held
            index += 1
            if index == limit:
                return
        held, end = frame, stop
    while held is not None and index != limit and (index == 0 or (index + 0.5) / fps < end - 1e-6):
        yield held
        index += 1


def _rgb(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """Returns (H, W, 3) uint8 of `size` (width, height) as shown; shrinking averages areas."""
    swap, mirror, flip = _display_matrix(frame)
    width, height = size[::-1] if swap else size
    method = "AREA" if width < frame.width or height < frame.height else "BICUBIC"
    pixels = frame.reformat(width, height, "rgb24", interpolation=method).to_ndarray()
    pixels = pixels.transpose(1, 0, 2) if swap else pixels
    return np.ascontiguousarray(pixels[:: -1 if flip else 1, :: -1 if mirror else 1])
