"""The index of a folder of shards: which clips lie where, what was dropped, by which settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pipeline.media import json_text
from pipeline.media.safe_files import write_durably
from pipeline.training.data.training_clips import KINDS
from pipeline.values import InputError

FORMAT = 1
FILE = "index.json"
SHARD_NAME = re.compile(r"shard-\d{6}\.tar")
REMEDY = "make the shards anew with `python -m pipeline train data`"

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class ClipEntry:
    """A clip of a shard.

    key: name of the sample. shard: name of the file. offset: where its first member begins.
    start_seconds: where the clip begins in its source. sharpness: see `clip_filters`.
    method: how the reference was outpainted, "" without one.
    """

    key: str
    shard: str
    offset: int
    source: str
    start_seconds: float
    frames: int
    fps: float
    width: int
    height: int
    has_sound: bool
    posed_frames: int
    sharpness: float
    method: str


@dataclass(frozen=True)
class DroppedEntry:
    """A part of a video, or all of it, that was not kept, and why."""

    start_seconds: float
    stop_seconds: float
    reason: str
    detail: str


@dataclass(frozen=True)
class SourceEntry:
    """A video that is done: its name, what it became, sentences, and how long the work took."""

    name: str
    clips: int
    dropped: tuple[DroppedEntry, ...]
    notes: tuple[str, ...]
    work_seconds: float


@dataclass
class Index:
    """What a folder of shards holds.

    settings: of the run that made it, plain JSON values. sources: by the SHA-256 of their content.
    """

    kind: str
    settings: dict[str, Any]
    clips: list[ClipEntry] = field(default_factory=list)
    sources: dict[str, SourceEntry] = field(default_factory=dict)

    @property
    def shards(self) -> list[str]:
        """Name the shards in order."""
        return sorted({clip.shard for clip in self.clips})

    def save(self, folder: Path) -> None:
        """Replace the index at once; a power cut leaves the old or the new one."""
        clips = [asdict(clip) for clip in self.clips]
        sources = {key: asdict(source) for key, source in self.sources.items()}
        content = {
            "format": FORMAT,
            "kind": self.kind,
            "settings": self.settings,
            "clips": clips,
            "sources": sources,
        }
        text = json.dumps(content, indent=1)
        path = folder / FILE
        write_durably(path, text.encode(), path)

    @staticmethod
    def load(folder: Path) -> Index:
        """Read what `save` wrote; raise InputError that names the file where it makes no sense."""
        path = folder / FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{folder} holds no shards: it has no {FILE}; {REMEDY}") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})") from error
        try:
            return _index_from(json_text.parse(content))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path} is no index of shards ({error}); {REMEDY}") from error


def source_from(values: Mapping[str, Any]) -> SourceEntry:
    """Make an entry from what `asdict` returned."""
    plain = dict(values)
    dropped = [entry_from(DroppedEntry, each) for each in values["dropped"]]
    notes = [str(note) for note in values["notes"]]
    plain["dropped"] = tuple(dropped)
    plain["notes"] = tuple(notes)
    return entry_from(SourceEntry, plain)


def entry_from(kind: type[Entry], values: Mapping[str, Any]) -> Entry:
    """Make an entry of a kind; raise ValueError where a field is missing or of another type."""
    arguments = {}
    for place in fields(kind):  # type: ignore[arg-type]
        value = values[place.name]
        accepted = _TYPES[str(place.type)]
        if type(value) not in accepted:
            raise ValueError(f"{place.name} is {value!r:.40}")
        arguments[place.name] = value
    return kind(**arguments)


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple[DroppedEntry, ...]": (tuple,),
    "tuple[str, ...]": (tuple,),
}


def _index_from(content: Mapping[str, Any]) -> Index:
    version = content["format"]
    if version != FORMAT:
        raise ValueError(f"it is of format {version!r:.20}, not {FORMAT}")
    kind = content["kind"]
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r:.20}")
    clips = [entry_from(ClipEntry, clip) for clip in content["clips"]]
    for clip in clips:
        is_name = SHARD_NAME.fullmatch(clip.shard)  # with folders in it, it would lead outside
        if is_name is None or clip.offset < 0:
            raise ValueError(f"clip {clip.key:.40} lies in {clip.shard:.40}")
    sources = {}
    for key, source in content["sources"].items():
        sources[key] = source_from(source)
    settings = dict(content["settings"])
    return Index(kind, settings, clips, sources)
