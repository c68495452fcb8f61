"""Video files of every kind that FFmpeg plays: what they hold, and their frames by time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pipeline.media.files import decoded, opened, packets_of, picture_stream
from pipeline.media.frame_times import (
    MAX_FPS,
    USUAL_FPS,
    Probe,
    TimedFrame,
    check_size,
    shown_pictures,
    shrunk_size,
)
from pipeline.media.hdr import ToneMapper, is_hdr
from pipeline.media.image import is_picture
from pipeline.values import InputError

ROUNDING_PX = 1  # by which one shape's size may differ after rounding
MAX_FRAME_SECONDS = 10.0  # a longer stay on screen is a broken clock


def probe(path: str | Path) -> Probe:
    """Return the size, rate and length of a video file after decoding its first frame."""
    with opened(path, "video") as container:
        stream = picture_stream(container)
        if stream is None:
            raise InputError(
                f"video {path} has no moving picture that can be decoded; "
                "give an MP4, MOV, WebM or GIF"
            )
        _refuse_still(path, container.format.name, stream)
        fps = _stated_rate(stream)
        has_audio = bool(container.streams.audio)
        frame = next(decoded(container, stream, path), None)
        if frame is None:
            raise InputError(
                f"video {path} has no frame that can be decoded; convert it to MP4 and try again"
            )
        width, height = _shown_size(stream, frame, None)
        stated = _stated_seconds(container, stream)
    seconds = stated or _walked_seconds(path, fps)
    check_size(path, width, height)
    frames = max(1, round(seconds * fps))
    return Probe(width, height, fps, frames, seconds, has_audio)


def pictures(
    path: str | Path, fps: float, max_side: int | None, limit: int | None
) -> Iterator[np.ndarray]:
    """Yield (H, W, 3) RGB at `fps`, all of the first frame's size; see `shown_pictures`.

    A frame of another shape, as of a phone that was turned, keeps its own between black bars.
    """
    size: tuple[int, int] | None = None
    tone_mapper = ToneMapper()

    def to_picture(frame: av.VideoFrame) -> np.ndarray:
        nonlocal size
        if size is None:
            size = _shown_size(stream, frame, max_side)
        shape = _shown_size(stream, frame, None)
        inner = _inner_size(shape, size)
        pixels = _rgb(frame, inner, tone_mapper)
        return _between_bars(pixels, size)

    with opened(path, "video") as container:
        stream = picture_stream(container)
        frames = decoded(container, stream, path)
        timed = timed_frames(frames, 1 / _stated_rate(stream))
        yield from shown_pictures(path, timed, fps, limit, to_picture)


def _refuse_still(path: str | Path, kind: str, stream: av.VideoStream) -> None:
    """Raise InputError if FFmpeg opened a still picture."""
    one_page = kind == "apng" and stream.frames == 1
    is_photo = "mp4" in kind and is_picture(path)  # HEIC and AVIF have the container of MP4
    if one_page or is_photo or kind == "image2" or kind.endswith("_pipe"):
        raise InputError(
            f"video {path} is a still picture; give a video file, or use it as the reference image"
        )


def _stated_rate(stream: av.VideoStream) -> float:
    """Return the frame rate that the file states, or the usual one."""
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 1 <= rate <= MAX_FPS else USUAL_FPS


def _stated_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return the length that the file states, or 0; a negative one counts as none."""
    if stream.duration and stream.duration > 0:
        seconds = stream.duration * stream.time_base
        return float(seconds)
    return max(0.0, (container.duration or 0) / av.time_base)


def _walked_seconds(path: str | Path, fps: float) -> float:
    """Return the length by the packets' times, for files that state none (browser recordings)."""
    with opened(path, "video") as container:
        stream = picture_stream(container)
        stamps = [packet.pts for packet in packets_of(container, stream)]
        times = [pts for pts in stamps if pts is not None]
        if not times:
            return max(1, len(stamps)) / fps
        ticks = max(times) - min(times)
        span = ticks * stream.time_base
        return float(span) + 1 / fps


def _shown_size(
    stream: av.VideoStream, frame: av.VideoFrame, max_side: int | None
) -> tuple[int, int]:
    """Return (width, height) as shown: square pixels, turned, no side over `max_side`."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    width = frame.width * aspect
    height = float(frame.height)
    if _display_turn(frame).swap_axes:
        width, height = height, width
    return shrunk_size(width, height, max_side)


@dataclass(frozen=True)
class _Turn:
    """How to show a frame: swap its axes, then mirror left-right, then flip top-bottom."""

    swap_axes: bool = False
    mirror: bool = False
    flip: bool = False


# By degrees to the left, where only these are known
TURNS = {
    90: _Turn(swap_axes=True, flip=True),
    180: _Turn(mirror=True, flip=True),
    270: _Turn(swap_axes=True, mirror=True),
}


def _display_turn(frame: av.VideoFrame) -> _Turn:
    """Return what the frame's rotation tag asks for."""
    try:
        data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    except ValueError:  # data of a kind that PyAV has no name for, such as a camera's Exif
        return TURNS.get(frame.rotation % 360, _Turn())
    if data is None:
        return _Turn()
    matrix = np.frombuffer(bytes(data), np.int32)
    a, b, _, c, d = matrix[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return _Turn(True, c < 0, b < 0)
    return _Turn(False, a < 0, d < 0)


def timed_frames(
    frames: Iterator[av.VideoFrame], step_seconds: float
) -> Iterator[TimedFrame[av.VideoFrame]]:
    """Yield the frames with their times from the first frame.

    A frame without a usable time follows `step_seconds` after the one before it.
    """
    first: float | None = None
    before = -step_seconds
    for frame in frames:
        time = frame.time
        if first is None:
            first = time or 0.0
        elif time is None:
            time = first + before + step_seconds
        start = (time or first) - first
        if start < before:  # the clock jumped back, as in joined clips: go on from the last frame
            first = first - (before + step_seconds - start)
            start = before + step_seconds
        duration = _frame_seconds(frame)
        if not 0 < duration < MAX_FRAME_SECONDS:
            duration = step_seconds
        before = start
        yield TimedFrame(start, start + duration, frame)


def _frame_seconds(frame: av.VideoFrame) -> float:
    """Return how long a frame says it lasts; 0 for raw streams, which do not know it."""
    if frame.time is None or not frame.duration:
        return 0.0
    seconds = frame.duration * frame.time_base
    return float(seconds)


def _rgb(frame: av.VideoFrame, size: tuple[int, int], tone_mapper: ToneMapper) -> np.ndarray:
    """Return (H, W, 3) uint8 of `size` (width, height) as shown; shrinking averages areas."""
    turn = _display_turn(frame)
    width, height = size[::-1] if turn.swap_axes else size
    shrinks = width < frame.width or height < frame.height
    method = "AREA" if shrinks else "BICUBIC"
    if is_hdr(frame):
        pixels = tone_mapper.show(frame, (width, height), method)
    else:
        resized = frame.reformat(width, height, "rgb24", interpolation=method)
        pixels = resized.to_ndarray()
    if turn.swap_axes:
        pixels = pixels.transpose(1, 0, 2)
    if turn.flip:
        pixels = pixels[::-1]
    if turn.mirror:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _inner_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the aspect of `shape` inside `size`, all (width, height)."""
    across = size[0] / shape[0]
    down = size[1] / shape[1]
    scale = min(across, down)
    width = max(1, round(shape[0] * scale))
    height = max(1, round(shape[1] * scale))
    bars = size[0] - width + size[1] - height
    return size if bars <= ROUNDING_PX else (width, height)


def _between_bars(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the picture in the middle of a black one of `size` (width, height)."""
    width, height = size
    if pixels.shape[:2] == (height, width):
        return pixels
    rows, columns = pixels.shape[:2]
    top = (height - rows) // 2
    left = (width - columns) // 2
    whole = np.zeros((height, width, 3), np.uint8)
    whole[top : top + rows, left : left + columns] = pixels
    return whole
