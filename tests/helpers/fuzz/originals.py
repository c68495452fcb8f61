"""The sound files that fuzzing starts from: small, of every kind, made by our own code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pillow_heif
import soundfile
from PIL import Image

from pipeline.media import pose_files
from pipeline.values import Pose
from tests.helpers.icc_profiles import display_p3
from tests.helpers.stick_person import figure
from tests.helpers.tiny import speech

SIDE_PX = 128
FRAMES = 12
FPS = 25
SECONDS = 0.5
BLOCK_SAMPLES = 1024  # of sound that is encoded at once
STEP_PX = 2  # by which the person moves from frame to frame
ORIENTATION = 0x0112  # Exif

# name -> Pillow's format and options
PICTURES = {
    "plain.png": ("PNG", {}),
    "clear.png": ("PNG", {}),
    "palette.png": ("PNG", {}),
    "deep.png": ("PNG", {}),
    "photo.jpg": ("JPEG", {}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "cmyk.jpg": ("JPEG", {}),
    "still.webp": ("WEBP", {}),
    "exact.webp": ("WEBP", {"lossless": True}),
    "still.gif": ("GIF", {}),
    "photo.bmp": ("BMP", {}),
    "photo.tiff": ("TIFF", {}),
    "packed.tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "photo.heic": ("HEIF", {}),
    "photo.avif": ("AVIF", {}),
    "photo.jp2": ("JPEG2000", {}),
    "photo.ppm": ("PPM", {}),
    "photo.tga": ("TGA", {}),
    "photo.ico": ("ICO", {}),
    "both_eyes.mpo": ("MPO", {}),
}
MODES = {"clear.png": "RGBA", "palette.png": "P", "deep.png": "I;16", "cmyk.jpg": "CMYK"}
ANIMATIONS = {
    "moving.gif": ("GIF", {"duration": 40}),
    "moving.webp": ("WEBP", {"duration": 40}),
    "moving.png": ("PNG", {"duration": 40}),
}
# name -> soundfile's subtype, or encoder, sample format and container of FFmpeg
PLAIN_SOUNDS = {
    "speech.wav": "PCM_16",
    "bytes.wav": "PCM_U8",
    "deep.wav": "PCM_24",
    "float.wav": "FLOAT",
    "double.wav": "DOUBLE",
    "ulaw.wav": "ULAW",
    "adpcm.wav": "MS_ADPCM",
    "speech.aiff": "PCM_16",
    "speech.au": "PCM_16",
    "speech.caf": "PCM_16",
    "speech.w64": "PCM_16",
    "speech.flac": "PCM_16",
    "speech.ogg": "VORBIS",
    "speech.mp3": "MPEG_LAYER_III",
}
CODED_SOUNDS = {
    "speech.m4a": ("aac", "mp4"),
    "exact.m4a": ("alac", "mp4"),
    "speech.aac": ("aac", "adts"),
    "speech.opus": ("libopus", "ogg"),
    "speech.weba": ("libopus", "webm"),
    "speech.mka": ("ac3", "matroska"),
    "speech.wma": ("wmav2", "asf"),
}
STEREO = ("stereo.wav", "stereo.m4a")
# name -> encoder, pixel format, container
VIDEOS = {
    "clip.mp4": ("libx264", "yuv420p", "mp4"),
    "hevc.mp4": ("libx265", "yuv420p", "mp4"),
    "clip.mov": ("mpeg4", "yuv420p", "mov"),
    "clip.mkv": ("libx264", "yuv420p", "matroska"),
    "clip.webm": ("libvpx-vp9", "yuv420p", "webm"),
    "old.webm": ("libvpx", "yuv420p", "webm"),
    "clip.ts": ("libx264", "yuv420p", "mpegts"),
    "old.ts": ("mpeg2video", "yuv420p", "mpegts"),
    "clip.avi": ("mjpeg", "yuvj420p", "avi"),
    "old.avi": ("mpeg4", "yuv420p", "avi"),
    "clip.flv": ("flv1", "yuv420p", "flv"),
    "clip.wmv": ("wmv2", "yuv420p", "asf"),
    "clip.h264": ("libx264", "yuv420p", "h264"),
    "clip.y4m": ("wrapped_avframe", "yuv420p", "yuv4mpegpipe"),
}
TALKING = "talking.mp4"
TURNED = "turned.mp4"
DRAWN = "drawn.mp4"  # in a folder, with its pose beside it


@dataclass(frozen=True)
class Originals:
    """Valid files by kind; a folder of frames counts as a file."""

    pictures: tuple[Path, ...]
    sounds: tuple[Path, ...]
    videos: tuple[Path, ...]
    poses: tuple[Path, ...]
    accents: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All that are files."""
        groups = (*self.pictures, *self.sounds, *self.videos, *self.poses, *self.accents)
        return tuple(path for path in groups if path.is_file())

    def named(self, name: str) -> Path:
        """Return the original of a name."""
        groups = (self.pictures, self.sounds, self.videos, self.poses, self.accents)
        return next(path for group in groups for path in group if path.name == name)


def write_originals(folder: Path) -> Originals:
    """Write all originals into an empty folder."""
    return Originals(
        pictures=_written(folder / "pictures", _write_pictures),
        sounds=_written(folder / "sounds", _write_sounds),
        videos=_written(folder / "videos", _write_videos),
        poses=_written(folder / "poses", _write_poses),
        accents=_written(folder / "accents", _write_accents),
    )


def _written(folder: Path, write: Callable[[Path], None]) -> tuple[Path, ...]:
    """Fill a new folder and return what is in it, without the files that lie beside a video."""
    folder.mkdir(parents=True)
    write(folder)
    return tuple(sorted(folder.iterdir()))


def person() -> Image.Image:
    """Return a photograph of a person (NASA, public domain)."""
    import skimage.data

    return Image.fromarray(skimage.data.astronaut()).resize((SIDE_PX, SIDE_PX))


def moving_person() -> list[Image.Image]:
    """Return the frames of a clip in which the photograph slides."""
    still = np.asarray(person())
    shifts = (STEP_PX * t for t in range(FRAMES))
    return [Image.fromarray(np.roll(still, shift, axis=1)) for shift in shifts]


# ---- pictures


def _write_pictures(folder: Path) -> None:
    pillow_heif.register_heif_opener(thumbnails=False)
    picture = person()
    for name, (kind, options) in PICTURES.items():
        shown = picture.convert(MODES.get(name, "RGB")) if name != "deep.png" else _deep(picture)
        if kind == "MPO":
            options = {"save_all": True, "append_images": [picture.rotate(2)]}
        shown.save(folder / name, kind, **options)
    exif = Image.Exif()
    exif[ORIENTATION] = 1
    profile = display_p3()
    picture.save(folder / "tagged.jpg", "JPEG", exif=exif, icc_profile=profile)
    picture.save(folder / "tagged.png", "PNG", exif=exif, icc_profile=profile)
    _write_animations(folder)


def _deep(picture: Image.Image) -> Image.Image:
    """Return a gray picture of 16 bits."""
    gray = np.asarray(picture.convert("L"))
    return Image.fromarray(gray.astype(np.uint16) * 257)


def _write_animations(folder: Path) -> None:
    first, *others = moving_person()
    for name, (kind, options) in ANIMATIONS.items():
        first.save(folder / name, kind, save_all=True, append_images=others, **options)


# ---- sounds


def _write_sounds(folder: Path) -> None:
    mono = speech(SECONDS).samples
    for name, subtype in PLAIN_SOUNDS.items():
        soundfile.write(folder / name, mono, 16000, subtype=subtype)
    soundfile.write(folder / STEREO[0], np.column_stack([mono, -mono]), 16000)
    planes = speech(SECONDS, 48000).samples[None]
    for name, (codec, container) in CODED_SOUNDS.items():
        _write_coded(folder / name, planes, codec, container)
    both = np.concatenate([planes, 0.5 * planes])
    _write_coded(folder / STEREO[1], both, "aac", "mp4")
    write_clip(folder / TALKING, "libx264", "yuv420p", "mp4", sound=True)


def _write_coded(path: Path, planes: np.ndarray, codec: str, container: str) -> None:
    """Write samples (channels, n) at 48 kHz."""
    layout = "mono" if len(planes) == 1 else "stereo"
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=48000, layout=layout)
        stream.codec_context.bit_rate = 64000
        _add_sound(out, stream, planes, layout)


def _add_sound(
    out: av.container.OutputContainer, stream: av.AudioStream, planes: np.ndarray, layout: str
) -> None:
    """Encode samples (channels, n) at 48 kHz in blocks."""
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
    frame.rate = 48000
    splitter = av.AudioResampler(stream.format.name, layout, 48000, frame_size=BLOCK_SAMPLES)
    for block in (*splitter.resample(frame), *splitter.resample(None)):
        out.mux(stream.encode(block))
    out.mux(stream.encode(None))


# ---- videos


def _write_videos(folder: Path) -> None:
    for name, (codec, pixels, container) in VIDEOS.items():
        write_clip(folder / name, codec, pixels, container)
    write_clip(folder / TALKING, "libx264", "yuv420p", "mp4", sound=True)
    write_clip(folder / TURNED, "libx264", "yuv420p", "mp4", turn_deg=90)
    _write_animations(folder)
    frames = folder / "frames"
    frames.mkdir()
    for number, picture in enumerate(moving_person()):
        picture.save(frames / f"{number:04d}.png")


def write_clip(
    path: Path,
    codec: str,
    pixels: str,
    container: str,
    *,
    sound: bool = False,
    turn_deg: int | None = None,
) -> None:
    """Write the clip of the sliding person.

    Args:
        path: of the file.
        codec, pixels, container: FFmpeg's names of encoder, pixel format and container.
        sound: whether the speech is heard with it.
        turn_deg: what its rotation tag says; such a clip has wide pixels, too.
    """
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=FPS)
        stream.width = SIDE_PX
        stream.height = SIDE_PX
        stream.pix_fmt = pixels
        stream.codec_context.thread_count = 1
        if turn_deg is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(2)
        if codec == "libx265":
            stream.codec_context.options = {"x265-params": "log-level=none"}
        if turn_deg is not None:
            stream.set_display_rotation(turn_deg)
        voice = out.add_stream("aac", rate=48000, layout="mono") if sound else None
        for t, picture in enumerate(moving_person()):
            frame = av.VideoFrame.from_image(picture).reformat(format=pixels)
            frame.pts = t
            frame.time_base = Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice is not None:
            _add_sound(out, voice, speech(SECONDS, 48000).samples[None], "mono")


# ---- poses and accents


def _write_poses(folder: Path) -> None:
    pose = figure(FRAMES)
    pose.save(folder / "pose.npz")
    pose_files.write(pose, folder / "openpose.json")
    pose_files.write(pose, folder / "openpose_frames")
    np.savez(folder / "echomimic.npz", **echomimic_arrays(pose))
    skeleton = folder / "skeleton"
    skeleton.mkdir()
    pose_files.write(pose, skeleton / DRAWN)


def echomimic_arrays(pose: Pose) -> dict[str, np.ndarray]:
    """Return a pose as EchoMimicV2 keeps it."""
    return {
        "candidate": pose.body.xy,
        "body_score": pose.body.score,
        "hands": pose.hands.xy.reshape(-1, 2, 21, 2),
        "hands_score": pose.hands.score.reshape(-1, 2, 21),
        "faces": pose.face.xy,
        "faces_score": pose.face.score,
    }


def _write_accents(folder: Path) -> None:
    rows = [{"time": 0.1, "strength": 0.5}, {"time": 0.3, "strength": 1.0}]
    (folder / "accents.json").write_text(json.dumps(rows))


def copied(original: Path, folder: Path) -> Path:
    """Copy an original, and what lies beside a drawn video, into a folder."""
    target = folder / original.name
    if original.is_dir():
        shutil.copytree(original, target)
    else:
        shutil.copy(original, target)
    return target
