"""The lists of EMTD and HDTF that a user has downloaded -> the segments of clips to cut.

EMTD: a table with a header, .csv or .tsv. `video` (or `url`, whose last part names the file),
`start` and `end`, in seconds or as [HH:]MM:SS[.fff]; `name` may follow.

HDTF: the published text, a line per video: NAME.mp4 and its stretches, as MM:SS-MM:SS. The
published crops (`--crops`) are lines of NAME_INDEX.mp4 with left, width, top and height in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.videos.cases import LIST_DELIMITERS, read_table
from pipeline.values import InputError

VIDEO_COLUMNS = ("video", "url")
WATCHED = re.compile(r"[?&]v=([\w-]+)")  # the video's id in an address of YouTube
MINUTE = 60
CROP_NUMBERS = 4


@dataclass(frozen=True)
class Crop:
    """A rectangle of a video in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height


@dataclass(frozen=True)
class Segment:
    """A stretch of a downloaded video.

    Args:
        name: Of the clip.
        video: The name of the video's file, with or without its ending.
        start, end: Seconds.
        crop: What is cut out of each frame, None for all of it.
    """

    name: str
    video: str
    start: float
    end: float
    crop: Crop | None = None


def seconds_of(text: str) -> float:
    """Read seconds, MM:SS or HH:MM:SS. Raises InputError for anything else."""
    total = 0.0
    try:
        for part in text.strip().split(":"):
            total = total * MINUTE + float(part)
    except ValueError:
        raise InputError(f"{text!r} is no time; give seconds or [HH:]MM:SS") from None
    return total


def read_emtd(path: Path) -> list[Segment]:
    """Return the segments of a list in EMTD's form."""
    if path.suffix.lower() not in LIST_DELIMITERS:
        raise InputError(f"list {path} is neither .csv nor .tsv; see `evaluate protocol --help`")
    counts: dict[str, int] = {}
    segments = []
    for row in read_table(path):
        video = _video_of(row, path)
        number = counts.get(video, 0)
        counts[video] = number + 1
        name = row.get("name") or f"{video}_{number}"
        segments.append(_segment(name, video, row.get("start", ""), row.get("end", "")))
    return segments


def _video_of(row: Mapping[str, str], path: Path) -> str:
    """Return the name of the video's file in a row of a list."""
    named = [row[column] for column in VIDEO_COLUMNS if row.get(column)]
    if not named:
        raise InputError(
            f"list {path} has a row without a video; its columns are video, start, end"
        )
    watched = WATCHED.search(named[0])
    if watched is not None:
        return watched.group(1)
    address = named[0].rstrip("/")
    return Path(address).stem


def _segment(name: str, video: str, start: str, end: str) -> Segment:
    """Return a segment. Raises InputError where it does not end after it starts."""
    first = seconds_of(start)
    last = seconds_of(end)
    if not 0 <= first < last:
        raise InputError(f"{name} lasts from {start} to {end}; it must end after its start")
    return Segment(name, video, first, last)


def read_hdtf(path: Path, crops: Path | None = None) -> list[Segment]:
    """Return the segments of a list in HDTF's form, with their crops where a list has them."""
    rectangles = {} if crops is None else read_crops(crops)
    segments = []
    for line in _lines(path):
        file, *stretches = line.split()
        video = Path(file).stem
        for number, stretch in enumerate(stretches):
            start, dash, end = stretch.partition("-")
            if not dash:
                raise InputError(f"list {path} has {stretch!r} for {file}; give MM:SS-MM:SS")
            name = f"{video}_{number}"
            segment = _segment(name, video, start, end)
            crop = rectangles.get(name)
            segments.append(Segment(name, video, segment.start, segment.end, crop))
    return segments


def read_crops(path: Path) -> dict[str, Crop]:
    """Return the rectangles by clip of a list in HDTF's form."""
    found = {}
    for line in _lines(path):
        name, *numbers = line.split()
        try:
            left, width, top, height = map(int, numbers)
        except ValueError:
            raise InputError(
                f"list {path} has the line {line!r}; give NAME_INDEX.mp4 left width top height"
            ) from None
        found[Path(name).stem] = Crop(left, top, width, height)
    return found


def _lines(path: Path) -> Sequence[str]:
    """Return the lines of a text that hold anything."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"list {path} cannot be read ({error})") from None
    return [line for line in text.splitlines() if line.strip()]
