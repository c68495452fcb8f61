"""What is measured: videos, each with what it was made from, by names or by a list.

A list is a table with a header, `.tsv` with tabs or `.csv` with commas. Its column `video` names
the results; `name`, `reference`, `pose`, `driving`, `truth` and `audio` may follow. Paths are
relative to the list. An empty cell is something that is not known.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import media
from pipeline.media import pose_files
from pipeline.media.containers import CONTAINERS
from pipeline.values import InputError

VIDEO_ENDINGS = (*CONTAINERS, ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".gif", ".webp")
LIST_DELIMITERS = {".tsv": "\t", ".csv": ","}
COMPANIONS = ("reference", "pose", "driving", "truth", "audio")
COLUMNS = ("name", "video", *COMPANIONS)


@dataclass(frozen=True)
class VideoCase:
    """One result and what belongs to it; None is what is not known.

    Args:
        name: Pairs it with other methods' results.
        video: The result.
        reference: The picture of the person.
        pose: The pose that was to be shown, with the talking face spliced in.
        driving: The driving video or pose file, as it was given to the method.
        truth: The true clip.
        audio: The speech, where the result has no sound of its own.
    """

    name: str
    video: Path
    reference: Path | None = None
    pose: Path | None = None
    driving: Path | None = None
    truth: Path | None = None
    audio: Path | None = None

    @property
    def settings(self) -> dict[str, object]:
        """The settings that this project keeps inside its videos; empty for other videos."""
        return media.read_settings(self.video) or {}


@dataclass(frozen=True)
class Companions:
    """Folders, or single files that serve all results; None where nothing is given.

    Args:
        references: Pictures, by the results' names or by the names in their settings.
        driving: Drawn poses and driving videos, by the results' names.
        truth: True clips, by the results' names.
    """

    references: Path | None = None
    driving: Path | None = None
    truth: Path | None = None

    def __post_init__(self) -> None:
        for name, path in vars(self).items():
            if path is not None and not path.exists():
                raise InputError(f"--{name} {path} does not exist; give a folder or a file")


def find_cases(source: Path, companions: Companions) -> list[VideoCase]:
    """Return the cases of a list, or of all videos of a folder, with their companions.

    What a list names takes precedence. Raises InputError where there is no video.
    """
    if source.is_dir():
        cases = folder_cases(source)
    elif source.suffix.lower() in LIST_DELIMITERS:
        cases = listed_cases(source)
    else:
        raise InputError(
            f"{source} is neither a folder of videos nor a list; give a folder, .tsv or .csv"
        )
    if not cases:
        raise InputError(f"{source} names no video; give results, such as NAME.mp4")
    known = set()
    for case in cases:
        if case.name in known:
            raise InputError(f"{source} has several videos named {case.name}; names must differ")
        known.add(case.name)
    return [with_companions(case, companions) for case in cases]


def folder_cases(folder: Path) -> list[VideoCase]:
    """Return a case for each video of a folder; drawn skeletons are left out."""
    cases = []
    for path in sorted(folder.iterdir()):
        ending = path.suffix.lower()
        if ending not in VIDEO_ENDINGS or not path.is_file():
            continue
        case = VideoCase(path.stem, path)
        if "skeleton" not in case.settings:
            cases.append(case)
    return cases


def listed_cases(path: Path) -> list[VideoCase]:
    """Return the cases of a list. Raises InputError for what is no list of this kind."""
    rows = read_table(path)
    return [_listed_case(row, path) for row in rows]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with a header as dicts; lines that begin with # are left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"list {path} cannot be read ({error})") from None
    written = filter(str.strip, text.splitlines())
    lines = [line for line in written if not line.startswith("#")]
    ending = path.suffix.lower()
    delimiter = LIST_DELIMITERS[ending]
    table = csv.DictReader(lines, delimiter=delimiter)
    return [_cells(row) for row in table]


def _cells(row: Mapping[str | None, object]) -> dict[str, str]:
    """Return the cells of a row by column, without blanks around them."""
    cells = {}
    for column, cell in row.items():
        if column is not None:
            text = str(cell or "")
            cells[column.strip()] = text.strip()
    return cells


def _listed_case(row: Mapping[str, str], path: Path) -> VideoCase:
    """Return the case of one row of a list."""
    unknown = [column for column in row if column not in COLUMNS]
    if unknown or not row.get("video"):
        problem = f"has a column {unknown[0]}" if unknown else "has a row without a video"
        raise InputError(f"list {path} {problem}; its columns are {', '.join(COLUMNS)}")
    video = path.parent / row["video"]
    named = {column: path.parent / row[column] for column in COMPANIONS if row.get(column)}
    for file in (video, *named.values()):
        if not file.exists():
            raise InputError(f"list {path} names {file}, which does not exist")
    name = row.get("name") or video.stem
    return VideoCase(name, video, **named)


def with_companions(case: VideoCase, companions: Companions) -> VideoCase:
    """Add what the folders hold for a case."""
    if companions.references is not None and case.reference is None:
        case = replace(case, reference=reference_of(case, companions.references))
    if companions.truth is not None and case.truth is None:
        case = replace(case, truth=named_file(companions.truth, (case.name,)))
    if companions.driving is None:
        return case
    driver = named_file(companions.driving, (case.name,))
    if driver is None:
        return case
    is_of_this_case = companions.driving.is_dir()  # a file for all was drawn for none
    if case.pose is None and is_of_this_case and pose_files.is_pose(driver):
        return replace(case, pose=driver)
    if case.driving is None:
        return replace(case, driving=driver)
    return case


def reference_of(case: VideoCase, place: Path) -> Path | None:
    """Return the picture of a case: by its own name, or by that of its settings."""
    kept = case.settings.get("reference")
    names = (case.name, Path(kept).stem) if isinstance(kept, str) else (case.name,)
    return named_file(place, names)


def named_file(place: Path, names: Sequence[str]) -> Path | None:
    """Return the file of a folder that has one of the names before its ending, the first first.

    Of several endings pose files come first. A `place` that is a file is meant for all.
    """
    if place.is_file():
        return place
    entries = sorted(place.iterdir(), key=lambda path: (path.suffix != ".npz", path.name))
    for name in names:
        for path in entries:
            if name in (path.stem, path.name):
                return path
    return None
