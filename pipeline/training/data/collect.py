"""Many videos -> a folder of shards: over several processes, resumable, with a report.

A video is known by the SHA-256 of its content; the folder's index keeps the settings. Finished
videos wait in a hidden folder until they fill a shard. What a killed run leaves there is used by
the next one.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import media
from pipeline.media.safe_files import HiddenPart, is_free
from pipeline.training.data import video_files, video_shards
from pipeline.training.data.clip_filters import DUPLICATE, UNREADABLE
from pipeline.training.data.clip_worker import (
    SCRATCH,
    Finished,
    Task,
    WorkSettings,
    clips_path,
    result_path,
    room,
)
from pipeline.training.data.cut_clips import Detectors
from pipeline.training.data.processes import Failure, run_tasks
from pipeline.training.data.shard_index import FILE, ClipEntry, DroppedEntry, Index
from pipeline.training.data.video_files import VideoFile
from pipeline.values import InputError

log = logging.getLogger(__name__)

WAITING = ".waiting"  # folder of finished videos that are in no shard yet
LOCK = ".lock"
DAMAGED = (ValueError, KeyError, TypeError, OSError)
Say = Callable[[str], None]


@dataclass
class Collection:
    """What a run did.

    index: of the folder, with all runs before. unread: files that could not be opened, copies of
    others, and videos at which the work broke off, by name; a later run tries these again.
    ignored: how many files have an ending that is no video's. done_before: videos of former runs.
    """

    index: Index
    unread: dict[str, DroppedEntry] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    done_before: int = 0


def collect(
    folders: Sequence[Path],
    output: Path,
    settings: WorkSettings,
    workers: int,
    shard_bytes: int,
    say: Say,
) -> Collection:
    """Cut all videos of folders into clips and write them as shards.

    Args:
        folders: of videos, with folders in them; files are taken as they are.
        output: folder of the shards; a folder of other settings is refused.
        settings: what becomes of a video.
        workers: processes.
        shard_bytes: a shard is closed when it is larger.
        say: gets a line about each video.
    """
    settings_values = _check(settings)
    found = video_files.find(folders, output)
    waiting = output / WAITING
    with room(waiting):
        output.mkdir(parents=True, exist_ok=True)
        waiting.mkdir(exist_ok=True)
    with _locked(output):
        index = _open_index(output, settings, settings_values)
        with room(waiting):
            _clean(output, index)
        collection = Collection(index, ignored=found.ignored)
        tasks = _plan(found.videos, waiting, collection, workers)
        say(f"{len(found.videos)} videos, {collection.done_before} of them done before")
        packer = Packer(output, index, shard_bytes)
        packer.pack_if_enough()
        for number, result in enumerate(run_tasks(tasks, settings, workers), 1):
            if isinstance(result, Failure):
                entry = DroppedEntry(0.0, 0.0, UNREADABLE, result.sentence)
                collection.unread[result.name] = entry
                say(f"{number}/{len(tasks)} {result.name}: {result.sentence}")
                continue
            finished = Finished.load(result_path(waiting, result))
            say(f"{number}/{len(tasks)} {_summary(finished)}")
            packer.pack_if_enough()
        packer.pack()
        with room(waiting):
            index.save(output)
            shutil.rmtree(waiting)
    return collection


class Packer:
    """Puts finished videos into shards.

    Args:
        output: folder of the shards.
        index: what they hold; saved after each shard.
        shard_bytes: a shard is closed when it is larger.
    """

    def __init__(self, output: Path, index: Index, shard_bytes: int) -> None:
        self._output = output
        self._waiting = output / WAITING
        self._index = index
        self._shard_bytes = shard_bytes

    def pack_if_enough(self) -> None:
        """Write a shard if as much waits as fills one."""
        sizes = [path.stat().st_size for path in self._waiting.glob("*.tar")]
        if sum(sizes) >= self._shard_bytes:
            self.pack()

    def pack(self) -> None:
        """Write all that waits, in the order of the videos' names."""
        finished = [Finished.load(path) for path in self._waiting.glob("*.json")]
        finished.sort(key=lambda video: video.source.name)
        group: list[Finished] = []
        size = 0
        for video in finished:
            group.append(video)
            size += clips_path(self._waiting, video.sha256).stat().st_size
            if size >= self._shard_bytes:
                self._write(group)
                group = []
                size = 0
        if group:
            self._write(group)

    def _write(self, videos: list[Finished]) -> None:
        """Write one shard, then the index that names it, then delete what it was made of."""
        with room(self._waiting):
            clips = []
            if any(video.clips for video in videos):
                clips = self._write_shard(videos)
            self._index.clips += clips
            for video in videos:
                self._index.sources[video.sha256] = video.source
            self._index.save(self._output)
            for video in videos:
                result_path(self._waiting, video.sha256).unlink()
                clips_path(self._waiting, video.sha256).unlink()

    def _write_shard(self, videos: list[Finished]) -> list[ClipEntry]:
        """Write the clips of videos into a new shard; return their entries."""
        name = f"shard-{self._next_number():06d}.tar"
        place = self._output / name
        entries = []
        with HiddenPart(place) as part:
            with tarfile.open(part.path, "w") as tar:
                for video in videos:
                    for entry, sample in self._samples(video):
                        offset = video_shards.add_sample(tar, sample.key, sample.members)
                        entries.append(replace(entry, shard=name, offset=offset))
            part.publish(place, is_durable=True)
        log.info("%s holds %d clips", name, len(entries))
        return entries

    def _samples(self, video: Finished) -> Iterator[tuple[ClipEntry, video_shards.Sample]]:
        """Yield the clips of a video that waits."""
        with open(clips_path(self._waiting, video.sha256), "rb") as file:
            yield from zip(video.clips, video_shards.samples(file), strict=True)

    def _next_number(self) -> int:
        """Return the number after the last shard's."""
        if not self._index.shards:
            return 0
        last = self._index.shards[-1]
        return int(Path(last).stem.removeprefix("shard-")) + 1


def _check(settings: WorkSettings) -> dict[str, object]:
    """Load once what all processes need, so that what is missing is said before the work.

    Returns the settings as plain values, with the versions of the detectors.
    """
    networks = Detectors.load(settings.cut)
    values = settings.to_dict()
    values["detector_version"] = networks.body.version
    values["face_detector_version"] = networks.face.version
    return values


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two runs do not write the same shards."""
    with room(output / WAITING):
        handle = io.FileIO(output / LOCK, "a")
    with handle:
        if not is_free(handle):
            raise InputError(f"{output} is being written by another run; wait for it")
        yield


def _open_index(output: Path, settings: WorkSettings, values: dict[str, object]) -> Index:
    """Read the folder's index, or make one; refuse clips that were made in another way."""
    if not (output / FILE).exists():
        others = [path for path in output.iterdir() if path.name not in (WAITING, LOCK)]
        if others:
            raise InputError(
                f"{output} holds {others[0].name} and no {FILE}; give a new or empty folder"
            )
        index = Index(settings.cut.kind, values)
        with room(output / WAITING):
            index.save(output)
        return index
    index = Index.load(output)
    if index.kind != settings.cut.kind:
        raise InputError(
            f"{output} holds {index.kind} clips, not {settings.cut.kind} clips; give another folder"
        )
    for name, value in values.items():
        known = index.settings.get(name)
        if known != value:
            raise InputError(
                f"{output} was made with {name} {known!r:.80}, not {value!r:.80}; "
                "give another folder, or the same settings"
            )
    return index


def _clean(output: Path, index: Index) -> None:
    """Delete what a killed run left half done, and make the folder of scratch files."""
    for shard in output.glob("shard-*.tar"):
        if shard.name not in index.shards:
            shard.unlink()
    waiting = output / WAITING
    shutil.rmtree(waiting / SCRATCH, ignore_errors=True)
    (waiting / SCRATCH).mkdir()
    for path in waiting.glob("*.json"):
        sha256 = path.stem
        if sha256 in index.sources or not _is_whole(path):
            path.unlink()
    for path in waiting.glob("*.tar"):
        if not result_path(waiting, path.stem).exists():
            path.unlink()
    for path in waiting.glob(".*.part"):
        path.unlink()


def _is_whole(path: Path) -> bool:
    """Tell whether a waiting result can be read and has its clips."""
    try:
        finished = Finished.load(path)
    except DAMAGED:
        return False
    return clips_path(path.parent, finished.sha256).is_file()


def _plan(
    videos: Sequence[VideoFile], waiting: Path, collection: Collection, workers: int
) -> list[Task]:
    """Return the videos that are not done yet; note copies and files that cannot be opened."""
    names: dict[str, str] = {}
    tasks = []
    with ThreadPoolExecutor(workers) as threads:
        for video, sha256 in zip(videos, threads.map(_hash, videos), strict=True):
            if isinstance(sha256, InputError):
                drop = DroppedEntry(0.0, 0.0, UNREADABLE, str(sha256))
                collection.unread[video.name] = drop
            elif sha256 in names:
                drop = DroppedEntry(0.0, 0.0, DUPLICATE, names[sha256])
                collection.unread[video.name] = drop
            else:
                names[sha256] = video.name
                is_waiting = result_path(waiting, sha256).exists()
                if sha256 in collection.index.sources or is_waiting:
                    collection.done_before += 1
                else:
                    tasks.append(Task(video.path, video.name, sha256, waiting))
    return tasks


def _hash(video: VideoFile) -> str | InputError:
    """Return the SHA-256 of a file, or why it cannot be read."""
    try:
        return media.content_hash(video.path)
    except InputError as error:
        return error


def _summary(finished: Finished) -> str:
    """Say in one line what a video became."""
    source = finished.source
    reasons: dict[str, int] = {}
    for drop in source.dropped:
        reasons[drop.reason] = reasons.get(drop.reason, 0) + 1
    parts = [f"{source.clips} clips"]
    parts += [f"{count} dropped ({reason})" for reason, count in reasons.items()]
    parts += source.notes
    what = ", ".join(parts)
    return f"{source.name}: {what}; {source.work_seconds:.1f} s"
