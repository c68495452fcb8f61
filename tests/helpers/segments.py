"""A short clip that is written in segments, and what is left of it."""

from __future__ import annotations

import av
import numpy as np

from pipeline import media
from pipeline.media.unfinished import Extent
from tests.helpers.media_files import disc, tone

FPS = 25.0
CLIP = disc(60)
SEGMENTS = ((0, 24), (24, 25), (25, 41), (41, 60))
VIDEOS = [".mp4", ".m4v", ".mov", ".mkv", ".webm"]
ANIMATIONS = [".gif", ".webp"]


def open_clip(path, extent: Extent | None = None, **options) -> media.ResumableWriter:
    """Open the writer of a clip of 60 frames with sound."""
    audio = None if media.is_silent(path) else tone(2.4)
    return media.open_render_writer(
        path,
        FPS,
        CLIP.shape[1:3],
        media.Content(audio, {"seed": 3}),
        **{"expected_frames": len(CLIP), "is_resumable": True, "extent": extent} | options,
    )


def write_segments(writer: media.ResumableWriter, first: int, last: int = len(SEGMENTS)) -> None:
    for start, stop in SEGMENTS[first:last]:
        writer.write(CLIP[start:stop])


def kill_run(path, segments: int) -> Extent:
    """Leave what a run leaves that is killed after some segments, in the middle of the next one."""
    writer = open_clip(path)
    write_segments(writer, 0, segments)
    extent = writer.extent
    writer.checkpoint(b"notes")
    writer._growing.close()
    with growing_file(path).open("ab") as file:
        file.write(b"\0\0\1\0free half a fragment")
    return extent


def growing_file(path):
    return path.with_name(f"{path.name}.unfinished.mp4")


def decode(path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([picture.to_ndarray(format="rgb24") for picture in file.decode(video=0)])


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
