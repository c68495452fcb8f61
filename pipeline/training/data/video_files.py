"""The video files of folders, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.values import InputError

# Endings under which videos are kept; a file of another one is counted, and not opened
ENDINGS = (
    *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)


@dataclass(frozen=True)
class VideoFile:
    """A video and its name in the report: the path inside its folder."""

    path: Path
    name: str


@dataclass(frozen=True)
class FoundFiles:
    """The videos by name, and how many files have an ending that is no video's."""

    videos: list[VideoFile]
    ignored: dict[str, int]


def find(folders: Sequence[Path], output: Path | None = None) -> FoundFiles:
    """List the videos in folders and the folders in them, without hidden files.

    Args:
        folders: they may be files, which are taken whatever their endings are.
        output: a folder that is left out, where it lies in one of them.
    """
    videos = []
    ignored: dict[str, int] = {}
    left_out = None if output is None else output.resolve()
    for folder in folders:
        if not folder.exists():
            raise InputError(f"folder {folder} does not exist; check the path")
        for file in _files(folder):
            if left_out in file.path.resolve().parents:
                continue
            ending = file.path.suffix.lower()
            if ending in ENDINGS or file.path == folder:
                videos.append(file)
            else:
                ignored[ending] = ignored.get(ending, 0) + 1
    if not videos:
        names = ", ".join(str(folder) for folder in folders)
        raise InputError(f"there is no video in {names}; give a folder of video files")
    videos.sort(key=lambda video: video.name)
    return FoundFiles(videos, ignored)


def _files(folder: Path) -> Iterator[VideoFile]:
    """Yield the plain files of a folder, or the file itself."""
    if folder.is_file():
        yield VideoFile(folder, folder.name)
        return
    try:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            is_hidden = any(part.startswith(".") for part in inside.parts)
            if not is_hidden and path.is_file():
                name = Path(folder.resolve().name) / inside
                yield VideoFile(path, name.as_posix())
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read ({error.strerror})") from error
