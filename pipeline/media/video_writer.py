"""MP4, writing: H.264 and AAC, picture and sound equally long, settings in its `comment` tag."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.media.settings import COMMENT_KEY, to_comment
from pipeline.media.writer_base import FileWriter
from pipeline.values import Audio

# Threads of the encoder; fixed, because the bytes are the same only for the same number of threads
THREADS = 2
AAC_HZ = 48000
AAC_BITS_PER_SECOND = 96_000
# A block lasts 21 ms: players that play the last one whole stay within one frame of the picture.
AAC_BLOCK_SAMPLES = 1024
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
    """Writes an MP4 as its frames come; sound is cut or filled with silence to their length.

    Args:
        path: name of the file.
        fps: frames a second.
        size: (H, W) of the frames; odd sizes get their last row or column repeated.
        audio: sound from the first frame on.
        settings: plain JSON values to keep in the file.
        preset: of x264: "ultrafast" for previews.
        crf: of x264: 0 is lossless, 51 the worst.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        audio: Audio | None = None,
        settings: dict | None = None,
        *,
        preset: str = "medium",
        crf: int = 18,
    ) -> None:
        super().__init__(path, fps, size)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._sent_samples = 0
        self._audio = None if audio is None else _at_aac_rate(audio)
        self._stack = contextlib.ExitStack()
        comment = None if settings is None else to_comment(settings)
        with self._sentences():
            self._create_part()
            # bitexact: no date, no library versions
            options = {"movflags": "+faststart", "fflags": "+bitexact"}
            self._out = self._stack.enter_context(
                av.open(f"file:{self._part}", "w", format="mp4", options=options)
            )
            if comment is not None:
                self._out.metadata[COMMENT_KEY] = comment
            self._picture = self._add_picture(preset, crf)
            self._sound = None if self._audio is None else self._add_sound(self._audio)

    def _add_picture(self, preset: str, crf: int) -> av.VideoStream:
        """Add the H.264 stream."""
        options = {"preset": preset, "crf": str(crf)}
        stream = self._out.add_stream("libx264", rate=self._rate, options=options)
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

    def _add_sound(self, audio: Audio) -> av.AudioStream:
        """Add the AAC stream."""
        stream = self._out.add_stream("aac", rate=audio.rate, layout="mono")
        stream.codec_context.bit_rate = AAC_BITS_PER_SECOND
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        return stream

    def _append(self, frames: np.ndarray) -> None:
        """Encode the frames, and the sound up to their end."""
        for frame in frames:
            planes = av.VideoFrame.from_numpy_buffer(_planes(frame), format="yuv420p")
            planes.pts = self.frames
            planes.time_base = 1 / self._rate
            self._out.mux(self._picture.encode(planes))
            self.frames += 1
        self._send_sound(AAC_BLOCK_SAMPLES)

    def _send_sound(self, multiple: int) -> None:
        """Encode the sound up to the end of the frames, in whole blocks of `multiple` samples."""
        if self._sound is None or self._audio is None:
            return
        rate = self._audio.rate
        until = round(self.frames * rate / self._rate) // multiple * multiple
        for start in range(self._sent_samples, until, AAC_BLOCK_SAMPLES):
            # silence where the sound is too short
            block = np.zeros(min(AAC_BLOCK_SAMPLES, until - start), np.float32)
            piece = self._audio.samples[start : start + len(block)]
            block[: len(piece)] = piece
            sound = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            sound.rate = rate
            sound.pts = start
            sound.time_base = Fraction(1, rate)
            self._out.mux(self._sound.encode(sound))
        self._sent_samples = max(self._sent_samples, until)

    def _finish(self) -> None:
        self._send_sound(1)
        self._out.mux(self._picture.encode(None))
        if self._sound is not None:
            self._out.mux(self._sound.encode(None))
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


def _at_aac_rate(audio: Audio) -> Audio:
    """Return the sound at the rate that is written."""
    if audio.rate == AAC_HZ:
        return audio
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=AAC_HZ)
    samples = np.ascontiguousarray(audio.samples[None], np.float32)
    frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
    frame.rate = audio.rate
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    pieces = [part.to_ndarray()[0] for part in parts]
    return Audio(np.concatenate(pieces), AAC_HZ)


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
