"""The video containers that can be written: by the name's ending, what goes into each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.values import InputError

H264 = "libx264"
VP9 = "libvpx-vp9"
AAC = "aac"
OPUS = "libopus"
PCM = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"})


@dataclass(frozen=True)
class Container:
    """A kind of video file.

    Attributes:
        format: FFmpeg's name.
        picture: the encoder of frames.
        sound: the encoder of sound that is not copied.
        copied: codecs of sound that are copied as they are.
    """

    format: str
    picture: str
    sound: str
    copied: frozenset[str]

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's options: no date and no library versions; the index before the content."""
        options = {"fflags": "+bitexact"}
        if self.format in ("mp4", "mov"):
            options["movflags"] = "+faststart"
        return options


MP4 = Container("mp4", H264, AAC, frozenset({"aac", "mp3", "alac", "opus", "flac"}))
CONTAINERS = {
    ".mp4": MP4,
    ".m4v": MP4,
    ".mov": Container("mov", H264, AAC, frozenset({"aac", "mp3", "alac"}) | PCM),
    ".mkv": Container(
        "matroska",
        H264,
        AAC,
        frozenset({"aac", "mp3", "alac", "opus", "flac", "vorbis", "ac3", "eac3"}) | PCM,
    ),
    ".webm": Container("webm", VP9, OPUS, frozenset({"opus", "vorbis"})),
}


def container_of(path: str | Path) -> Container:
    """Return the container that an output's name asks for."""
    ending = Path(path).suffix.lower()
    if ending not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        has = f"ends in {ending}" if ending else "has no ending"
        raise InputError(
            f"output {path} {has}; give it one of {known}, .gif, .webp, "
            "or a / at the end for a folder of frames"
        )
    return CONTAINERS[ending]
