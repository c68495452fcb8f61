"""A folder of numbered pictures as a clip: `0001.png`, `0002.png` or `shot_0001.jpg` and so on.

Numbers may have gaps; each picture is one frame. A folder that `FrameFolderWriter` made keeps its
frame rate in the first picture; every other folder counts as 25 frames a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.media.animation_headers import MAX_FRAMES
from pipeline.media.frame_times import (
    MAX_FPS,
    USUAL_FPS,
    Probe,
    TimedFrame,
    check_size,
    shown_pictures,
    shrunk_size,
)
from pipeline.media.image import BROKEN, read_image
from pipeline.values import InputError

FRAME_NAME = re.compile(r"(?!\.)(.*?)(\d+)\.(png|jpe?g)", re.IGNORECASE)
FPS_KEY = "fps"  # of the text that a PNG holds


@dataclass(frozen=True)
class _FrameFile:
    """A picture with what its name says: the clip it belongs to and its number."""

    path: Path
    clip: str
    number: int


def holds_frames(folder: str | Path) -> bool:
    """Say whether a folder holds at least one numbered picture."""
    return bool(_numbered(folder))


def frame_files(folder: str | Path) -> list[Path]:
    """Return the pictures of a folder in order of their numbers."""
    files = _numbered(folder)
    if not files:
        raise InputError(
            f"folder {folder} holds no numbered pictures; give PNG or JPEG files such as 0001.png"
        )
    if len(files) > MAX_FRAMES:
        raise InputError(f"folder {folder} has over {MAX_FRAMES} frames; cut it into parts")
    clips = sorted({file.clip for file in files})
    if len(clips) > 1:
        raise InputError(
            f"folder {folder} mixes the pictures {clips[0]}* and {clips[1]}*; keep one clip in it"
        )
    files.sort(key=lambda file: file.number)
    for before, after in zip(files, files[1:], strict=False):
        if before.number == after.number:
            raise InputError(
                f"folder {folder} holds the frame {after.number} twice; remove one of both"
            )
    return [file.path for file in files]


def probe(path: str | Path) -> Probe:
    """Return the size of the first picture, the rate and the length of a folder of frames."""
    files = frame_files(path)
    first = read_image(files[0])
    height, width = first.shape[:2]
    check_size(path, width, height)
    fps = _kept_rate(files[0])
    return Probe(width, height, fps, len(files), len(files) / fps, has_audio=False)


def pictures(
    path: str | Path, fps: float, max_side: int | None, limit: int | None
) -> Iterator[np.ndarray]:
    """Yield (H, W, 3) RGB at `fps`; see `shown_pictures`. Pictures of another size are refused."""
    facts = probe(path)
    size = shrunk_size(facts.width, facts.height, max_side)

    def to_picture(file: Path) -> np.ndarray:
        picture = read_image(file)
        height, width = picture.shape[:2]
        if (width, height) != (facts.width, facts.height):
            raise InputError(
                f"picture {file} is {width}x{height} pixels, the first one of its folder "
                f"{facts.width}x{facts.height}; give all frames one size"
            )
        if (width, height) == size:
            return picture
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

    timed = _timed_files(frame_files(path), facts.fps)
    yield from shown_pictures(path, timed, fps, limit, to_picture)


def first_text(folder: str | Path, key: str) -> str | None:
    """Return a text that the first picture keeps under `key`, or None."""
    return _text_of(frame_files(folder)[0], key)


def _numbered(folder: str | Path) -> list[_FrameFile]:
    """Return the numbered pictures of a folder in any order."""
    files = []
    try:
        for path in Path(folder).iterdir():
            match = FRAME_NAME.fullmatch(path.name)
            if match and path.is_file():
                files.append(_FrameFile(path, match[1], int(match[2])))
    except OSError as error:
        raise InputError(
            f"folder {folder} cannot be read ({error.strerror}); check its permissions"
        ) from error
    return files


def _timed_files(files: list[Path], fps: float) -> Iterator[TimedFrame[Path]]:
    for index, file in enumerate(files):
        yield TimedFrame(index / fps, (index + 1) / fps, file)


def _kept_rate(file: Path) -> float:
    """Return the frame rate that `FrameFolderWriter` keeps in a picture, or the usual one."""
    try:
        fps = float(_text_of(file, FPS_KEY) or USUAL_FPS)
    except ValueError:
        return USUAL_FPS
    return fps if 0 < fps <= MAX_FPS else USUAL_FPS


def _text_of(file: Path, key: str) -> str | None:
    """Return a text of a PNG's metadata, or None where there is none."""
    try:
        with Image.open(file, formats=["PNG"]) as image:
            text = image.info.get(key)
    except BROKEN:
        return None
    return text if isinstance(text, str) else None
