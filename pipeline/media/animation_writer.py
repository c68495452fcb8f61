"""Animated GIF and WebP, writing. Sound has no place in either."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.media.settings import COMMENT_KEY, EXIF_DESCRIPTION, to_comment
from pipeline.media.writer_base import FileWriter
from pipeline.values import InputError

if TYPE_CHECKING:
    from imageio.core.v3_plugin_api import PluginV3

ANIMATIONS = (".gif", ".webp")
# The encoder holds all frames until the end, 4 bytes a pixel: 2 GB, or 50 s of 512x768 at 25 fps.
MAX_ANIMATION_PIXELS = 500_000_000
MAX_GIF_FPS = 50  # players slow down frames that are shorter than 0.02 s
GIF_TICK_MS = 10
WEBP_TICK_MS = 1
WEBP_QUALITY = 90  # of 100
FOREVER = 0  # how often an animation is played


class AnimationWriter(FileWriter):
    """Writes a GIF or an animated WebP, by the name's ending; plays in a loop.

    Settings are kept in the GIF's comment or in the WebP's Exif description. A GIF shows 256 colors
    a frame and steps of 0.01 s: where the rate does not fit, frame lengths vary so that the whole
    keeps its length.

    Args:
        path: a name that ends in `.gif` or `.webp`.
        fps: frames a second.
        size: (H, W) of the frames.
        settings: plain JSON values to keep in the file.
        expected_frames: how many frames will come, where known: too many are refused at once.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        settings: dict | None = None,
        *,
        expected_frames: int | None = None,
    ) -> None:
        from imageio.v3 import imopen  # takes a tenth of a second to load

        super().__init__(path, fps, size)
        kind = self.path.suffix.lower()
        is_gif = kind == ".gif"
        if is_gif and fps > MAX_GIF_FPS:
            raise InputError(
                f"`fps` is {fps}, and a GIF shows at most {MAX_GIF_FPS}; lower it, or write .webp"
            )
        self._check_count(expected_frames or 0)
        self._fps = fps
        self._tick_ms = GIF_TICK_MS if is_gif else WEBP_TICK_MS
        self._durations_ms: list[int] = []
        self._options = _gif_options(settings) if is_gif else _webp_options(settings)
        self._stack = contextlib.ExitStack()
        self._file: PluginV3 | None = None
        with self._sentences():
            self._create_part()
            handle = self._stack.enter_context(self._part.open("wb"))
            self._file = self._stack.enter_context(
                imopen(handle, "w", plugin="pillow", extension=kind)
            )

    def write(self, frames: np.ndarray) -> None:
        """Append frames (t, H, W, 3) uint8."""
        self._check_count(self.frames + len(frames))
        super().write(frames)

    def _append(self, frames: np.ndarray) -> None:
        for frame in frames:
            self._durations_ms.append(self._duration_ms(self.frames))
            # Pillow takes a list of durations, but one number for a single picture
            durations = self._durations_ms if self.frames else self._durations_ms[0]
            self._file.write(frame, is_batch=False, duration=durations, **self._options)
            self.frames += 1

    def _finish(self) -> None:
        self._stack.close()
        self._publish()

    def _discard(self) -> None:
        if self._file is not None:
            self._file.images_to_write.clear()  # closing writes what is there
        with contextlib.suppress(OSError, ValueError):
            self._stack.close()
        self._discard_part()

    def _duration_ms(self, frame: int) -> int:
        """Return how long a frame lasts in the format's steps, so that rounding does not add up."""
        ticks_per_frame = 1000 / self._tick_ms / self._fps
        start = round(frame * ticks_per_frame)
        stop = round((frame + 1) * ticks_per_frame)
        return (stop - start) * self._tick_ms

    def _check_count(self, frames: int) -> None:
        height, width = self.size
        limit = MAX_ANIMATION_PIXELS // (height * width)
        if frames > limit:
            raise InputError(
                f"output {self.path} would have over {limit} frames of {width}x{height} pixels; "
                "write .mp4 or a folder of frames"
            )


def _gif_options(settings: dict | None) -> dict[str, Any]:
    options: dict[str, Any] = {"loop": FOREVER}
    if settings is not None:
        options[COMMENT_KEY] = to_comment(settings)
    return options


def _webp_options(settings: dict | None) -> dict[str, Any]:
    options: dict[str, Any] = {"loop": FOREVER, "quality": WEBP_QUALITY}
    if settings is not None:
        exif = Image.Exif()
        exif[EXIF_DESCRIPTION] = to_comment(settings)
        options["exif"] = exif
    return options
