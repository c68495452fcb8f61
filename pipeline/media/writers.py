"""The writer that fits an output's name: a video, animated GIF or WebP, or a folder of frames."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pipeline.media.animation_writer import ANIMATIONS, AnimationWriter
from pipeline.media.containers import container_of
from pipeline.media.frame_folder_writer import FrameFolderWriter
from pipeline.media.resumable_writer import ResumableWriter
from pipeline.media.segment_writer import Content, SegmentWriter
from pipeline.media.sound_track import SoundTrack
from pipeline.media.unfinished import Extent
from pipeline.media.video_writer import VideoWriter
from pipeline.media.writer_base import FrameWriter
from pipeline.values import Audio, InputError, Video

log = logging.getLogger(__name__)


def names_folder(path: str | Path) -> bool:
    """Say whether an output's name asks for a folder of frames: it ends in `/`."""
    return str(path).endswith(("/", "\\"))


def is_silent(path: str | Path) -> bool:
    """Say whether an output's name asks for a format without sound."""
    return names_folder(path) or Path(path).suffix.lower() in ANIMATIONS


def check_ending(path: str | Path) -> None:
    """Raise InputError where no video can be written under this name."""
    if not is_silent(path):
        container_of(path)


def open_writer(
    path: str | Path,
    fps: float,
    size: tuple[int, int],
    audio: Audio | SoundTrack | None = None,
    settings: dict | None = None,
    *,
    preset: str = "medium",
    expected_frames: int | None = None,
) -> FrameWriter:
    """Open the writer that the name asks for; a warning says where sound is left out.

    Args:
        path: a name that ends in `/` (a folder of PNG frames) or in what `check_ending` takes.
        fps: frames a second.
        size: (H, W) of the frames.
        audio: sound, where the format holds any.
        settings: plain JSON values to keep in the file.
        preset: of the encoder, "ultrafast" for previews.
        expected_frames: how many frames will come, where known.
    """
    if not is_silent(path):
        return VideoWriter(path, fps, size, audio, settings, preset=preset)
    if audio is not None:
        log.warning("%s has no sound: its format holds none", path)
    if names_folder(path):
        return FrameFolderWriter(path, fps, size, settings)
    return AnimationWriter(path, fps, size, settings, expected_frames=expected_frames)


def open_render_writer(
    path: str | Path,
    fps: float,
    size: tuple[int, int],
    content: Content,
    *,
    expected_frames: int | None = None,
    is_resumable: bool = False,
    extent: Extent | None = None,
) -> ResumableWriter:
    """Open the writer of a render, which comes in segments; each is safe when it is written.

    Args:
        path: as for `open_writer`.
        fps: frames a second.
        size: (H, W) of the frames.
        content: sound, where the format holds any, and settings to keep in the file.
        expected_frames: how many frames will come, where known.
        is_resumable: whether what a next run needs stays where the output is not complete.
        extent: what is finished already, by an earlier run.
    """
    if is_silent(path) and content.audio is not None:
        log.warning("%s has no sound: its format holds none", path)
        content = replace(content, audio=None)
    if names_folder(path):
        return FrameFolderWriter(
            path,
            fps,
            size,
            content.settings,
            expected_frames=expected_frames,
            is_resumable=is_resumable,
            extent=extent,
        )
    return SegmentWriter(
        path,
        fps,
        size,
        content,
        expected_frames=expected_frames,
        is_resumable=is_resumable,
        extent=extent,
    )


def write_video(
    path: str | Path, video: Video, settings: dict | None = None, *, preset: str = "medium"
) -> int:
    """Write a whole video with its sound and its settings; return the number of frames."""
    chunks = iter(video.chunks())
    first = next(chunks, None)
    if first is None or len(first) == 0:
        raise InputError(f"output {path} would have no frame; give a video with at least one")
    size = first.shape[1:3]
    with open_writer(path, video.fps, size, video.audio, settings, preset=preset) as writer:
        writer.write(first)
        for chunk in chunks:
            writer.write(chunk)
    return writer.frames
