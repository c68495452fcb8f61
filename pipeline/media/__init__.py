"""Files to values and back: pictures, sound, video. The only place that opens media files.

Pillow decodes pictures, imageio (with Pillow) animated GIF and WebP, PyAV (FFmpeg) everything else,
whatever the file's name says. Every failure is an InputError of one sentence.
"""

from pipeline.media.audio import (
    MAX_AUDIO_SECONDS,
    MIN_AUDIO_SECONDS,
    read_audio,
    read_track,
    write_audio,
)
from pipeline.media.files import content_hash
from pipeline.media.frame_times import MAX_FPS, MAX_VIDEO_SECONDS, MAX_VIDEO_SIDE, Probe
from pipeline.media.image import MAX_PIXELS, MIN_SIDE, is_picture, read_image, to_picture
from pipeline.media.resumable_writer import ResumableWriter, notes_path, unfinished_path
from pipeline.media.segment_writer import Content
from pipeline.media.settings import read_settings
from pipeline.media.sound_track import SoundTrack, choose_track
from pipeline.media.unfinished import Extent
from pipeline.media.video import probe, read_video
from pipeline.media.video_writer import VideoWriter
from pipeline.media.writer_base import FrameWriter
from pipeline.media.writers import (
    check_ending,
    is_silent,
    names_folder,
    open_render_writer,
    open_writer,
    write_video,
)

__all__ = [
    "MAX_AUDIO_SECONDS",
    "MAX_FPS",
    "MAX_PIXELS",
    "MAX_VIDEO_SECONDS",
    "MAX_VIDEO_SIDE",
    "MIN_AUDIO_SECONDS",
    "MIN_SIDE",
    "Content",
    "Extent",
    "FrameWriter",
    "Probe",
    "ResumableWriter",
    "SoundTrack",
    "VideoWriter",
    "check_ending",
    "choose_track",
    "content_hash",
    "is_picture",
    "is_silent",
    "names_folder",
    "notes_path",
    "open_render_writer",
    "open_writer",
    "probe",
    "read_audio",
    "read_image",
    "read_settings",
    "read_track",
    "read_video",
    "to_picture",
    "unfinished_path",
    "write_audio",
    "write_video",
]
