"""Video, reading: frames at a requested rate by time, turned and shrunk, streamed in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.media import animation, ffmpeg_video, frame_folder
from pipeline.media.frame_times import (
    MAX_FPS,
    MAX_VIDEO_SECONDS,
    SLACK_SECONDS,
    Probe,
    video_too_long,
)
from pipeline.values import InputError, Video

CHUNK_FRAMES = 16  # frames in memory at a time


class ClipReader(Protocol):
    """What the three modules that read clips offer."""

    def probe(self, path: str | Path) -> Probe:
        """Return what the clip holds without decoding all of it."""

    def pictures(
        self, path: str | Path, fps: float, max_side: int | None, limit: int | None
    ) -> Iterator[np.ndarray]:
        """Yield at most `limit` pictures (H, W, 3) uint8 at `fps`."""


def probe(path: str | Path) -> Probe:
    """Return the size, rate and length of a video file, an animation or a folder of frames."""
    return _reader(path).probe(path)


def read_video(
    path: str | Path,
    fps: float | None = None,
    max_side: int | None = None,
    seconds: float | None = None,
) -> Video:
    """Return a video whose frames stream in chunks of at most 16, without sound.

    Output frame i is the one on screen at (i + 0.5) / fps, which is right for variable rates, too.

    Args:
        path: a video file, an animated GIF or WebP, or a folder of numbered pictures.
        fps: rate of the output; None = the clip's own.
        max_side: longer side in pixels to shrink to; None = as it is.
        seconds: where to cut; without it a clip over the limit is refused.
    """
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise InputError(f"fps is {fps}; give a number above 0 and at most {MAX_FPS}")
    if max_side is not None and max_side < 1:
        raise InputError(f"max_side is {max_side}; give at least 1 pixel")
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds is {seconds}; give a number above 0")
    reader = _reader(path)
    facts = reader.probe(path)
    is_cut = seconds is not None and seconds <= MAX_VIDEO_SECONDS
    if facts.seconds > MAX_VIDEO_SECONDS + SLACK_SECONDS and not is_cut:
        raise video_too_long(path)
    rate = float(fps or facts.fps)
    limit = max(1, round(seconds * rate)) if seconds else None
    pictures = reader.pictures(path, rate, max_side, limit)
    return Video(_chunks(pictures), rate)


def _reader(path: str | Path) -> ClipReader:
    """Return the module that reads the kind of clip at `path`."""
    if Path(path).is_dir():
        return frame_folder
    if animation.is_animation(path):
        return animation
    return ffmpeg_video


def _chunks(pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield stacks (t, H, W, 3) of at most `CHUNK_FRAMES` pictures."""
    chunk: list[np.ndarray] = []
    for picture in pictures:
        chunk.append(picture)
        if len(chunk) == CHUNK_FRAMES:
            yield np.stack(chunk)
            chunk.clear()
    if chunk:
        yield np.stack(chunk)
