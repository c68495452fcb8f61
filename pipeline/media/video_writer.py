"""Video files, writing: picture and sound equally long, settings in the `comment` tag."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import numpy as np

from pipeline.media.containers import container_of
from pipeline.media.picture_encoder import video_encoder
from pipeline.media.settings import COMMENT_KEY, to_comment
from pipeline.media.sound_track import SoundTrack
from pipeline.media.sound_writer import SoundWriter, open_sound
from pipeline.media.writer_base import FileWriter
from pipeline.values import Audio


class VideoWriter(FileWriter):
    """Writes a video as its frames come; sound is cut or filled with silence to their length.

    Args:
        path: name of the file; its ending decides the container, see `containers`.
        fps: frames a second.
        size: (H, W) of the frames; odd sizes get their last row or column repeated.
        audio: sound from the first frame on; a track of a file keeps its rate and channels.
        settings: plain JSON values to keep in the file.
        preset: of x264: "ultrafast" for previews.
        crf: of x264: 0 is lossless, 51 the worst.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        audio: Audio | SoundTrack | None = None,
        settings: dict | None = None,
        *,
        preset: str = "medium",
        crf: int = 18,
    ) -> None:
        super().__init__(path, fps, size)
        container = container_of(path)
        self._encoder = video_encoder(container.picture, self.size, fps, preset=preset, crf=crf)
        self._stack = contextlib.ExitStack()
        self._sound: SoundWriter | None = None
        comment = None if settings is None else to_comment(settings)
        with self._sentences():
            self._create_part()
            options = container.options
            self._out = self._stack.enter_context(
                av.open(f"file:{self._part}", "w", format=container.format, options=options)
            )
            if comment is not None:
                self._out.metadata[COMMENT_KEY] = comment
            self._picture = self._encoder.add_to(self._out)
            if audio is not None:
                self._sound = open_sound(self._out, container, audio, self._stack)

    def _append(self, frames: np.ndarray) -> None:
        """Encode the frames, and the sound up to their end."""
        for frame in frames:
            picture = self._encoder.picture(frame, self.frames)
            self._out.mux(self._picture.encode(picture))
            self.frames += 1
        self._send_sound()

    def _send_sound(self, is_end: bool = False) -> None:
        """Write the sound up to the end of the frames."""
        if self._sound is not None:
            self._sound.write_until(self.frames / self._encoder.rate, is_end)

    def _finish(self) -> None:
        self._send_sound(is_end=True)
        self._out.mux(self._picture.encode(None))
        self._stack.close()
        self._publish()

    def _discard(self) -> None:
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            self._stack.close()
        self._discard_part()
