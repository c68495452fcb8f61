"""Video, writing: H.264 and AAC in an MP4, picture and sound equally long, settings in its `comment` tag."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.media.video import MAX_FPS, MAX_VIDEO_SIDE
from pipeline.values import Audio, InputError, Video

THREADS = (
    2  # of the encoder; fixed, because the bytes are the same only for the same number of threads
)
# A block lasts 21 ms: players that play the last one whole stay within one frame of the picture.
AAC_RATE, AAC_BLOCK = 48000, 1024
BT601, BT709 = (
    6,
    1,
)  # FFmpeg's numbers: smpte170m matrix; bt709 primaries and transfer, which sRGB shares
# Chroma rows of BT.601 in studio range for RGB bytes, offset last; a third row makes OpenCV 5 times as fast.
CHROMA = np.array(
    [[-0.148, -0.291, 0.439, 128], [0.439, -0.368, -0.071, 128], [0, 0, 0, 0]], np.float32
)


class VideoWriter:
    """Writes frames as they come; `with` keeps whatever was written when it is left, however it is left.

    The file appears at `path` when the writer closes: until then a hidden file beside it grows. With no frame
    written nothing appears. `size` is (H, W); odd sizes get their last row or column repeated. `preset` is
    x264's: "ultrafast" for previews.
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
        if not 0 < fps <= MAX_FPS:
            raise InputError(f"fps is {fps}; give a number above 0 and at most {MAX_FPS}")
        if not all(1 <= side <= MAX_VIDEO_SIDE for side in size):
            raise InputError(
                f"video size is {size[1]}x{size[0]}; give 1 to {MAX_VIDEO_SIDE} pixels a side"
            )
        self.path, self.size, self.frames = Path(path), (int(size[0]), int(size[1])), 0
        if self.path.is_dir():
            raise InputError(f"output {path} is a folder; give the name of a file")
        self._rate, self._sent = Fraction(fps).limit_denominator(1001), 0
        self._audio = None if audio is None else _at_aac_rate(audio)
        self._part = self.path.parent.absolute() / f".apv-{secrets.token_hex(8)}.part"
        self._stack = contextlib.ExitStack()
        comment = None if settings is None else _comment(settings)
        with self._sentences():
            self._part.open("xb").close()  # FFmpeg would find out only at the first frame
            self._open(comment, preset, crf)

    def _open(self, comment: str | None, preset: str, crf: int) -> None:
        options = {
            "movflags": "+faststart",
            "fflags": "+bitexact",
        }  # bitexact: no date, no library versions
        self._out = self._stack.enter_context(
            av.open(f"file:{self._part}", "w", format="mp4", options=options)
        )
        if comment is not None:
            self._out.metadata["comment"] = comment
        self._picture = self._out.add_stream(
            "libx264", rate=self._rate, options={"preset": preset, "crf": str(crf)}
        )
        height, width = (side + side % 2 for side in self.size)
        codec = self._picture.codec_context
        codec.width, codec.height, codec.pix_fmt, codec.thread_count = (
            width,
            height,
            "yuv420p",
            THREADS,
        )
        codec.time_base = 1 / self._rate
        codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range = (
            BT601,
            BT709,
            BT709,
            1,
        )
        codec.flags |= av.codec.context.Flags.bitexact
        self._sound = None
        if self._audio is not None:
            self._sound = self._out.add_stream("aac", rate=self._audio.rate, layout="mono")
            self._sound.codec_context.bit_rate = 96_000
            self._sound.codec_context.flags |= av.codec.context.Flags.bitexact

    def write(self, frames: np.ndarray) -> None:
        """Appends frames (t, H, W, 3) uint8, and the sound up to their end."""
        if frames.ndim != 4 or frames.shape[1:] != (*self.size, 3) or frames.dtype != np.uint8:
            wanted = f"uint8 (t, {self.size[0]}, {self.size[1]}, 3)"
            raise InputError(f"frames are {frames.dtype} {frames.shape}; this video takes {wanted}")
        if self._out is None:
            raise InputError(f"output {self.path} is already closed; open a new writer")
        with self._sentences():
            for frame in frames:
                planes = av.VideoFrame.from_numpy_buffer(_planes(frame), format="yuv420p")
                planes.pts, planes.time_base = self.frames, 1 / self._rate
                self._out.mux(self._picture.encode(planes))
                self.frames += 1
            self._send_sound(AAC_BLOCK)

    def _send_sound(self, multiple: int) -> None:
        """Encodes the sound up to the end of the frames written, in whole blocks of `multiple` samples."""
        if self._sound is None:
            return
        rate, samples = self._audio.rate, self._audio.samples
        until = round(self.frames * rate / self._rate) // multiple * multiple
        for start in range(self._sent, until, AAC_BLOCK):
            # silence where the sound is too short
            block = np.zeros(min(AAC_BLOCK, until - start), np.float32)
            piece = samples[start : start + len(block)]
            block[: len(piece)] = piece
            sound = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            sound.rate, sound.pts, sound.time_base = rate, start, Fraction(1, rate)
            self._out.mux(self._sound.encode(sound))
        self._sent = max(self._sent, until)

    def close(self) -> None:
        """Finishes the file and puts it at `path`; deletes it if it holds no frame."""
        if self._out is None:
            return
        if self.frames == 0:
            self._discard()
            return
        with self._sentences():
            self._send_sound(1)
            self._out.mux(self._picture.encode(None))
            if self._sound is not None:
                self._out.mux(self._sound.encode(None))
            self._stack.close()
            os.replace(self._part, self.path)
        self._out = None

    def _discard(self) -> None:
        """Closes and deletes the unfinished file."""
        self._out = None
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            self._stack.close()
        self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turns what goes wrong on the disk into a sentence, leaving no broken file behind."""
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._discard()
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise InputError(
                    f"output {self.path} cannot be written: the disk is full; free some space"
                ) from error
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"output {self.path} cannot be written ({reason}); choose a folder you may write to"
            ) from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _comment(settings: dict) -> str:
    try:
        return json.dumps(settings, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"settings cannot be kept in a video ({error}); give plain JSON values"
        ) from error


def _at_aac_rate(audio: Audio) -> Audio:
    """Returns the sound at the rate that is written."""
    if audio.rate == AAC_RATE:
        return audio
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=AAC_RATE)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(audio.samples[None], np.float32), "fltp", "mono"
    )
    frame.rate = audio.rate
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return Audio(np.concatenate([part.to_ndarray()[0] for part in parts]), AAC_RATE)


def _planes(frame: np.ndarray) -> np.ndarray:
    """Returns (3 H / 2, W) uint8 I420 of a frame padded to even sides, faster than FFmpeg's conversion.

    Luma is OpenCV's. Its chroma is not used: it takes one pixel of four, which frays thin coloured lines.
    """
    height, width = (side + side % 2 for side in frame.shape[:2])
    if frame.shape[:2] != (height, width):
        frame = np.pad(
            frame, ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)), mode="edge"
        )
    planes = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2YUV_I420)
    half = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = cv2.split(cv2.transform(half, CHROMA))[:2]
    planes.reshape(-1)[height * width :] = np.concatenate([plane.reshape(-1) for plane in chroma])
    return planes


def write_video(
    path: str | Path, video: Video, settings: dict | None = None, *, preset: str = "medium"
) -> int:
    """Writes a whole video with its sound and its settings; returns the number of frames."""
    chunks = iter(video.chunks())
    first = next(chunks, None)
    if first is None or len(first) == 0:
        raise InputError(f"output {path} would have no frame; give a video with at least one")
    with VideoWriter(
        path, video.fps, first.shape[1:3], video.audio, settings, preset=preset
    ) as writer:
        writer.write(first)
        for chunk in chunks:
            writer.write(chunk)
    return writer.frames
