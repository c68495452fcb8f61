"""Media files that the tests make for themselves."""

from fractions import Fraction

import av
import numpy as np

from pipeline import media
from pipeline.values import Audio


def disc(frames: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """(T, H, W, 3) smooth pictures whose gray level is 8 t, with a red left and a blue right
    half."""
    clip = (
        np.zeros((frames, *size, 3), np.uint8)
        + (np.arange(frames) * 8 % 200).astype(np.uint8)[:, None, None, None]
    )
    clip[:, :, : size[1] // 2, 0] = 200
    clip[:, :, size[1] // 2 :, 2] = 200
    return clip


def tone(seconds: float, rate: int = 16000) -> Audio:
    t = np.arange(round(seconds * rate)) / rate
    return Audio((0.5 * np.sin(2 * np.pi * 300 * t)).astype(np.float32), rate)


def save_sound(
    path,
    samples: np.ndarray,
    rate: int,
    codec="pcm_s16le",
    fmt="s16",
    layout="mono",
    container="wav",
):
    """`samples` (channels, n) in the sample format `fmt`."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        planes = samples if fmt.endswith("p") else samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=fmt, layout=layout)
        frame.rate = rate
        blocks = av.AudioResampler(stream.format.name, layout, rate, frame_size=1152)
        for block in [*blocks.resample(frame), *blocks.resample(None)]:
            out.mux(stream.encode(block))
        out.mux(stream.encode(None))


def save_clip(
    path,
    clip: np.ndarray,
    *,
    times=None,
    codec="libx264",
    rotation=None,
    aspect=None,
    container="mp4",
):
    """`times` are presentation times in hundredths of a second."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = clip.shape[1], clip.shape[2], "yuv444p"
        if codec == "mpeg4":
            stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        stream.codec_context.options = (
            {"crf": "10", "x265-params": "log-level=none"} if "26" in codec else {}
        )
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i, picture in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (4 * i if times is None else times[i]), Fraction(1, 100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def frames_of(path, **how) -> np.ndarray:
    return np.concatenate(list(media.read_video(path, **how).chunks()))


def save_hdr(path, signal: np.ndarray, transfer: int, primaries: int = 9, frames: int = 3) -> None:
    """Write a still 10-bit clip of signals (H, W, 3) from 0 to 1, tagged as HDR."""
    deep = np.round(signal * 65535).astype(np.uint16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25)
        stream.height, stream.width = signal.shape[:2]
        stream.pix_fmt = "yuv444p10le"
        codec = stream.codec_context
        codec.options = {"x265-params": "log-level=none", "crf": "4"}
        codec.color_trc, codec.color_primaries = transfer, primaries
        codec.colorspace, codec.color_range = 9, 1  # BT.2020, studio range
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
            frame = frame.reformat(format="yuv444p10le", dst_colorspace="BT2020")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
