"""Video files, writing: picture and sound equally long, settings in the `comment` tag."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.media.containers import VP9, Container, container_of
from pipeline.media.settings import COMMENT_KEY, to_comment
from pipeline.media.sound_track import SoundTrack
from pipeline.media.sound_writer import SoundWriter, open_sound
from pipeline.media.writer_base import FileWriter
from pipeline.values import Audio

# Threads of the encoder; fixed, because the bytes are the same only for the same number of threads
THREADS = 2
# x264's preset for videos that are looked at once, and what is as fast in VP9
FASTEST = "ultrafast"
VP9_SPEEDS = {True: {"deadline": "realtime", "cpu-used": "8"}, False: {"cpu-used": "4"}}
VP9_CRF_OFFSET = 10  # VP9 counts to 63
# FFmpeg's numbers for colors: the smpte170m matrix; bt709 primaries and transfer, which sRGB shares
BT601 = 6
BT709 = 1
STUDIO_RANGE = 1
# Chroma rows of BT.601 in studio range for RGB bytes, offset last; a third row makes OpenCV 5 times
# as fast.
CHROMA = np.array(
    [[-0.148, -0.291, 0.439, 128], [0.439, -0.368, -0.071, 128], [0, 0, 0, 0]], np.float32
)


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
        self._rate = Fraction(fps).limit_denominator(1001)
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
            options = _picture_options(container, preset, crf)
            self._picture = self._add_picture(container.picture, options)
            if audio is not None:
                self._sound = open_sound(self._out, container, audio, self._stack)

    def _add_picture(self, encoder: str, options: dict[str, str]) -> av.VideoStream:
        """Add the stream of frames."""
        stream = self._out.add_stream(encoder, rate=self._rate, options=options)
        height, width = _even(self.size)
        codec = stream.codec_context
        codec.width = width
        codec.height = height
        codec.pix_fmt = "yuv420p"
        codec.thread_count = THREADS
        codec.time_base = 1 / self._rate
        codec.colorspace = BT601
        codec.color_primaries = BT709
        codec.color_trc = BT709
        codec.color_range = STUDIO_RANGE
        codec.flags |= av.codec.context.Flags.bitexact
        return stream

    def _append(self, frames: np.ndarray) -> None:
        """Encode the frames, and the sound up to their end."""
        for frame in frames:
            planes = av.VideoFrame.from_numpy_buffer(_planes(frame), format="yuv420p")
            planes.pts = self.frames
            planes.time_base = 1 / self._rate
            self._out.mux(self._picture.encode(planes))
            self.frames += 1
        self._send_sound()

    def _send_sound(self, is_end: bool = False) -> None:
        """Write the sound up to the end of the frames."""
        if self._sound is not None:
            self._sound.write_until(self.frames / self._rate, is_end)

    def _finish(self) -> None:
        self._send_sound(is_end=True)
        self._out.mux(self._picture.encode(None))
        self._stack.close()
        self._publish()

    def _discard(self) -> None:
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            self._stack.close()
        self._part.unlink(missing_ok=True)


def _even(size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) with odd sides one larger, as yuv420p needs it."""
    height, width = size
    return height + height % 2, width + width % 2


def _picture_options(container: Container, preset: str, crf: int) -> dict[str, str]:
    """Return the encoder's options; x264's are translated for VP9."""
    if container.picture != VP9:
        return {"preset": preset, "crf": str(crf)}
    speed = VP9_SPEEDS[preset == FASTEST]
    return {"crf": str(crf + VP9_CRF_OFFSET), "b": "0", "row-mt": "1", **speed}


def _planes(frame: np.ndarray) -> np.ndarray:
    """Return (3 H / 2, W) uint8 I420 of a frame, faster than FFmpeg's conversion.

    The frame is padded to even sides. Luma is OpenCV's. Its chroma is not used: it takes one pixel
    of four, which frays thin colored lines.
    """
    rows, columns = frame.shape[:2]
    height, width = _even((rows, columns))
    if (rows, columns) != (height, width):
        frame = np.pad(frame, ((0, height - rows), (0, width - columns), (0, 0)), mode="edge")
    planes = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2YUV_I420)
    half = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    u_plane, v_plane, _ = cv2.split(cv2.transform(half, CHROMA))
    chroma = np.concatenate([u_plane.reshape(-1), v_plane.reshape(-1)])
    planes.reshape(-1)[height * width :] = chroma
    return planes
