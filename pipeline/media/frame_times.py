"""Frames by time, whatever they come from: what a clip holds, and which frame is on screen when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from pipeline.values import InputError

MAX_VIDEO_SIDE = 8192
MAX_VIDEO_SECONDS = 600
MAX_FPS = 240
USUAL_FPS = 25.0  # of clips that state no usable rate
# Containers round their length up; a clip of ten minutes may state a fraction of a second more.
SLACK_SECONDS = 1
# Times of a container are rounded: a frame may start this much after the moment it is asked for.
ROUNDING_SECONDS = 1e-6

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Probe:
    """What a clip holds: size as shown (turned, square pixels), frame rate, length, sound."""

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    has_audio: bool


@dataclass(frozen=True)
class TimedFrame(Generic[Frame]):
    """A frame with the seconds at which it comes on screen and goes."""

    start: float
    stop: float
    frame: Frame


def video_too_long(path: str | Path) -> InputError:
    """Return the error for a clip over the limit."""
    return InputError(
        f"video {path} lasts over {MAX_VIDEO_SECONDS} s; cut it, or read only its first seconds"
    )


def check_size(path: str | Path, width: int, height: int) -> None:
    """Raise InputError for a clip with a side over the limit."""
    if max(width, height) > MAX_VIDEO_SIDE:
        raise InputError(
            f"video {path} is {width}x{height} pixels; shrink it to at most {MAX_VIDEO_SIDE} a side"
        )


def shrunk_size(width: float, height: float, max_side: int | None) -> tuple[int, int]:
    """Return (width, height) in whole pixels with the longer side at most `max_side`."""
    scale = 1.0
    if max_side:
        scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def frames_on_screen(
    timed: Iterator[TimedFrame[Frame]], fps: float, limit: int | None
) -> Iterator[Frame]:
    """Yield for i = 0, 1, ... the frame on screen at (i + 0.5) / fps, until the last one ends.

    Args:
        timed: frames in the order of their start times.
        fps: rate of the output.
        limit: most frames to yield; None = all.
    """
    index = 0
    shown: Frame | None = None
    end = 0.0
    for item in timed:
        while shown is not None and (index + 0.5) / fps < item.start - ROUNDING_SECONDS:
            yield shown
            index += 1
            if index == limit:
                return
        shown = item.frame
        end = item.stop
    while shown is not None and index != limit:
        # a clip shorter than half an output frame still shows its frame once
        if index > 0 and (index + 0.5) / fps >= end - ROUNDING_SECONDS:
            return
        yield shown
        index += 1


def shown_pictures(
    path: str | Path,
    timed: Iterator[TimedFrame[Frame]],
    fps: float,
    limit: int | None,
    to_picture: Callable[[Frame], np.ndarray],
) -> Iterator[np.ndarray]:
    """Yield (H, W, 3) pictures at `fps`; a frame that is shown twice is converted once.

    Args:
        path: the clip, for the error when it runs over the limit.
        timed: frames in the order of their start times.
        fps: rate of the output.
        limit: most frames to yield; None = all.
        to_picture: turns a frame into (H, W, 3) uint8 RGB.
    """
    converted: Frame | None = None
    picture = np.empty((0, 0, 3), np.uint8)
    most = (MAX_VIDEO_SECONDS + SLACK_SECONDS) * fps
    for index, frame in enumerate(frames_on_screen(timed, fps, limit)):
        if index > most:
            raise video_too_long(path)
        if frame is not converted:
            picture = to_picture(frame)
            converted = frame
        yield picture
