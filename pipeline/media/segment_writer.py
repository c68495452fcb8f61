"""A render, written segment by segment: what is finished plays, even after a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pipeline.media.animation_writer import ANIMATIONS, AnimationWriter
from pipeline.media.containers import Container, container_of
from pipeline.media.files import decoded, opened
from pipeline.media.picture_encoder import PictureEncoder, lossless_encoder, video_encoder
from pipeline.media.resumable_writer import ResumableWriter, unfinished_path
from pipeline.media.safe_files import HiddenPart, sync_file
from pipeline.media.settings import COMMENT_KEY, to_comment
from pipeline.media.sound_track import SoundTrack
from pipeline.media.sound_writer import open_sound
from pipeline.media.unfinished import Extent, UnfinishedVideo
from pipeline.media.writer_base import target_of
from pipeline.values import Audio, InputError


@dataclass(frozen=True)
class Content:
    """What a video holds beside its pictures: sound and plain JSON settings."""

    audio: Audio | SoundTrack | None = None
    settings: Mapping[str, object] | None = None


class SegmentWriter(ResumableWriter):
    """Writes a video or an animation whose segments are finished one by one.

    Until it closes, an MP4 grows beside the output, by whole segments. Closing makes the output of
    it: pictures are copied into its container, or become frames of the animation.

    Args:
        path: name of the output; its ending decides what it becomes.
        fps: frames a second.
        size: (H, W) of the frames.
        content: sound and settings; an animation holds no sound.
        preset: of the encoder.
        expected_frames: how many frames will come, where known.
        is_resumable: whether the growing file stays where the output is not complete.
        extent: what is finished already, by an earlier run.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        content: Content,
        *,
        preset: str = "medium",
        expected_frames: int | None = None,
        is_resumable: bool = False,
        extent: Extent | None = None,
    ) -> None:
        super().__init__(path, fps, size, expected_frames, is_resumable)
        self._fps = fps
        self._content = content
        self._place = target_of(path)
        self._is_published = False
        is_animation = self.path.suffix.lower() in ANIMATIONS
        self._container = None if is_animation else container_of(path)
        if self._container is None:
            self._animation().close()  # what an animation cannot hold is refused now
            self._encoder = lossless_encoder(size, fps)
        else:
            self._encoder = video_encoder(self._container.picture, size, fps, preset=preset)
        with self._sentences():
            self._try_folder()
            self._growing = UnfinishedVideo(
                unfinished_path(path),
                self._place,
                self._encoder,
                content.audio,
                content.settings or {},
            )
        with contextlib.ExitStack() as stack:
            stack.callback(self._growing.close)
            if extent is None:
                self._growing.check_place()
            else:
                self._growing.go_on(extent)
                self.frames = extent.frames
            stack.pop_all()

    @property
    def extent(self) -> Extent:
        """How far the output is finished."""
        return self._growing.extent

    def kept(self) -> str:
        """Return half a sentence on where finished frames are, "" where there are none."""
        if not self.frames:
            return ""
        place = self.path if self._is_published else self._growing.path
        return f"the {self.frames} finished frames are kept in {place}"

    @property
    def _output_place(self) -> Path:
        return self._place

    def _try_folder(self) -> None:
        """Create a file where the output will be, and delete it."""
        with HiddenPart(self._place):
            pass

    def _append(self, frames: np.ndarray) -> None:
        self._growing.append(frames)
        self.frames = self._growing.extent.frames

    def _finish(self) -> None:
        self._growing.trim()
        if self._container is None:
            self._write_animation()
        else:
            self._write_video(self._container)
        self._is_published = True
        self._growing.close()
        if self.is_complete or not self.is_resumable:
            self._growing.path.unlink(missing_ok=True)
            self._forget_notes()

    def _discard(self) -> None:
        """Keep what is finished: of a video that grows, only half a segment is cut off."""
        growing = self.__dict__.get("_growing")  # absent where not even its header was made
        if growing is None:
            return
        with contextlib.suppress(OSError):
            growing.trim()
        growing.close()
        is_mp4 = self._container is not None and self._container.format in ("mp4", "mov")
        if self.frames and is_mp4 and not self.is_resumable:
            with contextlib.suppress(OSError):
                os.replace(growing.path, self._place)
                self._is_published = True

    def _write_video(self, container: Container) -> None:
        """Make the output of the growing file."""
        with HiddenPart(self._place) as part:
            copy_pictures(self._growing.path, part.path, container, self._encoder, self._content)
            part.publish(self._place, is_durable=True)

    def _write_animation(self) -> None:
        """Decode the growing file into the animation."""
        try:
            self._decode_into_animation()
        except InputError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None  # the sentence has to say where the frames are
            raise
        sync_file(self._place)

    def _decode_into_animation(self) -> None:
        with opened(self._growing.path, "unfinished video") as source, self._animation() as writer:
            stream = source.streams.video[0]
            for picture in decoded(source, stream, self._growing.path):
                assert isinstance(picture, av.VideoFrame)
                writer.write(picture.to_ndarray(format="rgb24")[None])

    def _animation(self) -> AnimationWriter:
        settings = self._content.settings
        return AnimationWriter(
            self.path,
            self._fps,
            self.size,
            None if settings is None else dict(settings),
            expected_frames=self.expected_frames,
        )


def copy_pictures(
    growing: Path, target: Path, container: Container, encoder: PictureEncoder, content: Content
) -> None:
    """Write a video of the pictures of a growing file, with sound from its beginning.

    Args:
        growing: the file that an `UnfinishedVideo` wrote.
        target: the video.
        container: what kind of video it becomes.
        encoder: the pictures' own.
        content: sound and settings.
    """
    rate = encoder.rate
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(opened(growing, "unfinished video"))
        out = stack.enter_context(
            av.open(f"file:{target}", "w", format=container.format, options=container.options)
        )
        if content.settings is not None:
            out.metadata[COMMENT_KEY] = to_comment(dict(content.settings))
        pictures = source.streams.video[0]
        stream = out.add_stream_from_template(pictures)
        sound = None
        if content.audio is not None:
            sound = open_sound(out, container, content.audio, stack)
        packets = (packet for packet in source.demux(pictures) if packet.size)
        frames = 0
        for packet in packets:
            if packet.pts is None:
                raise ValueError("a picture without a time")
            packet.pts = round(packet.pts * packet.time_base * rate) - encoder.lead_frames
            packet.dts = frames - encoder.lead_frames
            packet.duration = 1
            packet.time_base = 1 / rate
            packet.stream = stream
            if packet.is_keyframe and sound is not None:
                sound.write_until(frames / rate, is_end=False)
            out.mux(packet)
            frames += 1
        if sound is not None:
            sound.write_until(frames / rate, is_end=True)
