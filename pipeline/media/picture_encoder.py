"""Frames -> pictures: H.264 and VP9 for videos, lossless H.264 for what is written again later."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np

from pipeline.media.containers import H264, VP9

# Threads of the encoder; fixed, because the bytes are the same only for the same number of threads
THREADS = 2
# x264's preset for videos that are looked at once, and what is as fast in VP9
FASTEST = "ultrafast"
VP9_SPEEDS = {True: {"deadline": "realtime", "cpu-used": "8"}, False: {"cpu-used": "4"}}
VP9_CRF_OFFSET = 10  # VP9 counts to 63
LOSSLESS_H264 = "libx264rgb"
# By how many frames x264 decodes ahead of what it shows: two, for pyramids of B frames
REORDERED_FRAMES = 2
# FFmpeg's numbers for colors: the smpte170m matrix; bt709 primaries and transfer, which sRGB shares
BT601 = 6
BT709 = 1
STUDIO_RANGE = 1
# Chroma rows of BT.601 in studio range for RGB bytes, offset last; a third row makes OpenCV 5 times
# as fast.
CHROMA = np.array(
    [[-0.148, -0.291, 0.439, 128], [0.439, -0.368, -0.071, 128], [0, 0, 0, 0]], np.float32
)


@dataclass(frozen=True)
class PictureEncoder:
    """How frames of one video are encoded.

    Attributes:
        name: FFmpeg's name of the encoder.
        options: the encoder's own.
        size: (H, W) of the frames; odd sizes get their last row or column repeated in 4:2:0.
        rate: frames a second.
    """

    name: str
    options: dict[str, str]
    size: tuple[int, int]
    rate: Fraction

    @property
    def lead_frames(self) -> int:
        """How many frames decoding is ahead of showing."""
        return REORDERED_FRAMES if self.name == H264 else 0

    def add_to(self, out: av.container.OutputContainer) -> av.VideoStream:
        """Add a stream of such pictures to a video."""
        stream = out.add_stream(self.name, rate=self.rate, options=self.options)
        self._configure(stream.codec_context)
        return stream

    def start(self) -> av.VideoCodecContext:
        """Return a fresh encoder, whose first picture needs no other; for containers with one
        header."""
        codec = av.CodecContext.create(self.name, "w")
        codec.options = self.options
        codec.framerate = self.rate
        self._configure(codec)
        codec.flags |= av.codec.context.Flags.global_header
        return codec

    def picture(self, frame: np.ndarray, number: int) -> av.VideoFrame:
        """Return frame `number` (H, W, 3) uint8 as the encoder takes it."""
        if self.name == LOSSLESS_H264:
            planes = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        else:
            planes = av.VideoFrame.from_numpy_buffer(_planes(frame), format="yuv420p")
        planes.pts = number
        planes.time_base = 1 / self.rate
        return planes

    def _configure(self, codec: av.VideoCodecContext) -> None:
        codec.thread_count = THREADS
        codec.time_base = 1 / self.rate
        codec.flags |= av.codec.context.Flags.bitexact
        if self.name == LOSSLESS_H264:
            codec.height, codec.width = self.size
            codec.pix_fmt = "rgb24"
            return
        codec.height, codec.width = _even(self.size)
        codec.pix_fmt = "yuv420p"
        codec.colorspace = BT601
        codec.color_primaries = BT709
        codec.color_trc = BT709
        codec.color_range = STUDIO_RANGE


def video_encoder(
    name: str, size: tuple[int, int], fps: float, *, preset: str = "medium", crf: int = 18
) -> PictureEncoder:
    """Return the encoder of a video's pictures; `preset` and `crf` are x264's, translated for VP9.

    Args:
        name: of the encoder, as the container asks for it.
        size: (H, W) of the frames.
        fps: frames a second.
        preset: "ultrafast" for previews.
        crf: 0 is lossless, 51 the worst.
    """
    options = {"preset": preset, "crf": str(crf)}
    if name == VP9:
        speed = VP9_SPEEDS[preset == FASTEST]
        options = {"crf": str(crf + VP9_CRF_OFFSET), "b": "0", "row-mt": "1", **speed}
    return PictureEncoder(name, options, size, frame_rate(fps))


def lossless_encoder(size: tuple[int, int], fps: float) -> PictureEncoder:
    """Return an encoder that loses nothing, for frames that are written again later."""
    options = {"preset": FASTEST, "crf": "0"}
    return PictureEncoder(LOSSLESS_H264, options, size, frame_rate(fps))


def frame_rate(fps: float) -> Fraction:
    """Return the rate as a fraction that containers can hold."""
    return Fraction(fps).limit_denominator(1001)


def _even(size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) with odd sides one larger, as yuv420p needs it."""
    height, width = size
    return height + height % 2, width + width % 2


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
