"""The settings of a run, kept as JSON inside the video that it wrote."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from pipeline.media import animation, frame_folder
from pipeline.media.files import opened
from pipeline.media.image import BROKEN

COMMENT_KEY = "comment"  # of an MP4's tags, a GIF's comment and a PNG's text
EXIF_DESCRIPTION = 0x010E  # the Exif field "ImageDescription": WebP has no comment


def to_comment(settings: dict) -> str:
    """Return the settings as text."""
    try:
        return json.dumps(settings, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"settings cannot be kept in a video ({error}); give plain JSON values"
        ) from error


def read_settings(path: str | Path) -> dict | None:
    """Return the settings that `open_writer` left in a video, or None where there are none."""
    comment = _read_comment(path)
    try:
        settings = json.loads(comment or "null")
    except (ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) else None


def _read_comment(path: str | Path) -> str | bytes | None:
    if Path(path).is_dir():
        return frame_folder.first_text(path, COMMENT_KEY)
    if not animation.is_animation(path):
        with opened(path, "video") as container:
            tags = container.metadata  # Matroska and WebM write their names in capitals
            return tags.get(COMMENT_KEY) or tags.get(COMMENT_KEY.upper())
    try:
        with Image.open(path, formats=["GIF", "WEBP"]) as image:
            return image.info.get(COMMENT_KEY) or image.getexif().get(EXIF_DESCRIPTION)
    except BROKEN:
        return None
