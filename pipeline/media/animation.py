"""Animated GIF and WebP, reading.

Each frame stays as long as the file says; transparent parts are white.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.media.animation_headers import is_animated, read_header
from pipeline.media.files import checked_file
from pipeline.media.frame_times import (
    MAX_FPS,
    USUAL_FPS,
    Probe,
    TimedFrame,
    check_size,
    shown_pictures,
    shrunk_size,
)
from pipeline.media.image import BROKEN, MAX_PIXELS, damage, on_white
from pipeline.values import InputError

log = logging.getLogger(__name__)


def is_animation(path: str | Path) -> bool:
    """Say whether a file is a GIF or an animated WebP, whatever its name says."""
    return is_animated(checked_file(path, "video"))


def probe(path: str | Path) -> Probe:
    """Return the size, mean rate and length that the headers promise; no picture is decoded."""
    header = read_header(checked_file(path, "video"))
    count = len(header.seconds)
    if count == 0:
        raise InputError(f"video {path} has no whole frame; export it again")
    if count == 1:
        raise InputError(
            f"video {path} is a still picture; give a video file, or use it as the reference image"
        )
    check_size(path, header.width, header.height)
    if header.width * header.height > MAX_PIXELS:
        raise InputError(f"video {path} has frames of over 64 megapixels; shrink it first")
    seconds = math.fsum(header.seconds)
    rate = count / seconds
    fps = rate if 1 <= rate <= MAX_FPS else USUAL_FPS
    frames = max(1, round(seconds * fps))
    return Probe(header.width, header.height, fps, frames, seconds, has_audio=False)


def pictures(
    path: str | Path, fps: float, max_side: int | None, limit: int | None
) -> Iterator[np.ndarray]:
    """Yield (H, W, 3) RGB at `fps`, all of one size; see `shown_pictures`."""
    facts = probe(path)
    size = shrunk_size(facts.width, facts.height, max_side)

    def to_picture(rgba: np.ndarray) -> np.ndarray:
        picture = on_white(rgba)
        if picture.shape[1::-1] == size:
            return picture
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

    yield from shown_pictures(path, _timed_frames(path), fps, limit, to_picture)


def _timed_frames(path: str | Path) -> Iterator[TimedFrame[np.ndarray]]:
    """Yield the frames (H, W, 4) with their times; a damaged file ends with a warning."""
    stop = 0.0
    frames = _decoded_frames(path)
    for seconds in read_header(Path(path)).seconds:
        rgba = next(frames, None)
        if rgba is None:
            return
        start = stop
        stop = start + seconds
        yield TimedFrame(start, stop, rgba)


def _decoded_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Yield (H, W, 4) uint8 until the file ends or cannot be decoded."""
    from imageio.v3 import imopen  # takes a tenth of a second to load

    count = 0
    try:
        with imopen(Path(path), "r", plugin="pillow") as file:
            for rgba in file.iter(mode="RGBA"):
                count += 1
                yield rgba
    except BROKEN as error:
        if count == 0:
            raise InputError(
                f"video {path} cannot be decoded ({damage(error)}); export it again"
            ) from error
        log.warning("%s is damaged: only its first %d frames could be decoded", path, count)
