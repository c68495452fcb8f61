"""Files to values and back: pictures, sound, video. The only place that opens media files.

Pillow decodes pictures, PyAV (FFmpeg) everything else, whatever the file's name says. Every failure is a
ValueError of one sentence.
"""

from pipeline.media.audio import MAX_AUDIO_SECONDS, MIN_AUDIO_SECONDS, read_audio, write_audio
from pipeline.media.files import content_hash, read_settings
from pipeline.media.image import MAX_PIXELS, MIN_SIDE, is_picture, read_image, to_picture
from pipeline.media.video import (
    MAX_FPS,
    MAX_VIDEO_SECONDS,
    MAX_VIDEO_SIDE,
    Probe,
    probe,
    read_video,
)
from pipeline.media.video_writer import VideoWriter, write_video

__all__ = [
    "MAX_AUDIO_SECONDS",
    "MAX_FPS",
    "MAX_PIXELS",
    "MAX_VIDEO_SECONDS",
    "MAX_VIDEO_SIDE",
    "MIN_AUDIO_SECONDS",
    "MIN_SIDE",
    "Probe",
    "VideoWriter",
    "content_hash",
    "is_picture",
    "probe",
    "read_audio",
    "read_image",
    "read_settings",
    "read_video",
    "to_picture",
    "write_audio",
    "write_video",
]
