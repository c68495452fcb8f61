"""What one process of `train data` does with one video: its clips go to a file of their own."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import signal
import tarfile
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from pipeline.media.safe_files import HiddenPart, write_durably
from pipeline.media.writer_base import FULL
from pipeline.training.data import clip_filters, video_shards
from pipeline.training.data.clip_filters import UNREADABLE, Drop
from pipeline.training.data.clip_members import to_members
from pipeline.training.data.cut_clips import RULES, CutSettings, Detectors, Piece, cut
from pipeline.training.data.fda_sampling import PAPER, PlacementLaw
from pipeline.training.data.outpaint import (
    DIFFUSION_STEPS,
    PICTURE_SIZE,
    PROMPT,
    DiffusersOutpainter,
    Outpainter,
    TextureFill,
    outpaint,
)
from pipeline.training.data.shard_index import (
    ClipEntry,
    DroppedEntry,
    SourceEntry,
    entry_from,
    source_from,
)
from pipeline.training.data.training_clips import TrainingClip
from pipeline.values import InputError

KEY_LETTERS = 16  # of a content's SHA-256, in the names of samples
SCRATCH = "scratch"  # folder of files that a killed run may leave


@dataclass(frozen=True)
class Painting:
    """How references are outpainted.

    source: folder or repository of a diffusers pipeline; "" = the texture fill.
    law: of the place of the frame. size: (H,W) of the picture.
    """

    source: str = ""
    device: str = "cpu"
    prompt: str = PROMPT
    steps: int = DIFFUSION_STEPS
    seed: int = 0
    law: PlacementLaw = PAPER
    size: tuple[int, int] = PICTURE_SIZE


@dataclass(frozen=True)
class WorkSettings:
    """Everything that decides what a video becomes; painting: of face clips."""

    cut: CutSettings
    painting: Painting = field(default_factory=Painting)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values by which a later run knows whether it makes the same clips."""
        values = asdict(self.cut)
        values["rules"] = RULES
        if self.cut.kind == "face":
            painting = asdict(self.painting)
            del painting["device"]
            painting["size"] = list(self.painting.size)
            values["painting"] = painting
        return values


@dataclass(frozen=True)
class Task:
    """A video to cut: its path, its name in the report, its SHA-256, and where results wait."""

    path: Path
    name: str
    sha256: str
    waiting: Path


@dataclass(frozen=True)
class Finished:
    """What a video became; its clips lie in a tar of their own, at the entries' offsets."""

    sha256: str
    source: SourceEntry
    clips: list[ClipEntry]

    def save(self, waiting: Path) -> None:
        """Write the result: from now on the video is done."""
        content = {
            "sha256": self.sha256,
            "source": asdict(self.source),
            "clips": [asdict(clip) for clip in self.clips],
        }
        path = result_path(waiting, self.sha256)
        text = json.dumps(content)
        write_durably(path, text.encode(), path)

    @staticmethod
    def load(path: Path) -> Finished:
        """Read what `save` wrote; raise ValueError, KeyError or TypeError where it is damaged."""
        content: Mapping[str, Any] = json.loads(path.read_bytes())
        clips = [entry_from(ClipEntry, clip) for clip in content["clips"]]
        return Finished(str(content["sha256"]), source_from(content["source"]), clips)


def result_path(waiting: Path, sha256: str) -> Path:
    """Name the file that says that a video is done."""
    return waiting / f"{sha256}.json"


def clips_path(waiting: Path, sha256: str) -> Path:
    """Name the tar of a video's clips."""
    return waiting / f"{sha256}.tar"


def start() -> None:
    """Prepare a process: one thread of arithmetic; it ends with the process that started it."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the one that started it
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        watcher = threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True)
        watcher.start()


def work(task: Task, settings: WorkSettings) -> str:
    """Cut a video; return its SHA-256 when the result is on the disk.

    A video that cannot be read is a result, too. InputError is for what stops all videos: a
    library or weights that are missing, a full disk.
    """
    networks = _networks(settings.cut)
    begin = time.monotonic()
    clips: list[ClipEntry] = []
    dropped: list[DroppedEntry] = []
    notes: list[str] = []
    place = clips_path(task.waiting, task.sha256)
    with room(task.waiting), HiddenPart(place) as part:
        with tarfile.open(part.path, "w") as tar:
            for piece in _pieces(task, settings.cut, networks, notes):
                result = piece.result
                if isinstance(result, Drop):
                    dropped.append(_dropped_entry(piece, result))
                    continue
                number = len(clips) + len(dropped)
                key = f"{task.sha256[:KEY_LETTERS]}-{number:04d}"
                clip = _with_reference(result, settings, key)
                members = to_members(clip, piece.start_seconds, task.waiting / SCRATCH)
                offset = video_shards.add_sample(tar, key, members)
                clips.append(_clip_entry(clip, key, offset, piece.start_seconds))
        part.publish(place, is_durable=True)
        seconds = round(time.monotonic() - begin, 2)
        source = SourceEntry(task.name, len(clips), tuple(dropped), tuple(notes), seconds)
        Finished(task.sha256, source, clips).save(task.waiting)
    return task.sha256


@contextlib.contextmanager
def room(folder: Path) -> Iterator[None]:
    """Turn what goes wrong on the disk of the output into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise InputError(
                f"the disk of {folder.parent} is full; finished shards stay: free some space and "
                "start the same command again"
            ) from error
        raise InputError(
            f"{folder.parent} cannot be written ({error.strerror or error}); "
            "choose a folder you may write to"
        ) from error


@functools.cache
def _networks(settings: CutSettings) -> Detectors:
    """Load the detectors once a process."""
    return Detectors.load(settings)


def _pieces(
    task: Task, settings: CutSettings, networks: Detectors, notes: list[str]
) -> Iterator[Piece]:
    """Yield the pieces of a video; where it cannot be read any further, the last one says so."""
    stop = 0.0
    try:
        video = cut(task.path, task.name, settings, networks)
        notes += video.notes
        for piece in video.pieces:
            stop = piece.stop_seconds
            yield piece
    except InputError as error:
        yield Piece(stop, stop, Drop(UNREADABLE, str(error)))


def _with_reference(clip: TrainingClip, settings: WorkSettings, key: str) -> TrainingClip:
    """Return a face clip with its outpainted reference; a body clip stays as it is."""
    if clip.kind != "face":
        return clip
    painting = settings.painting
    content = f"{painting.seed} {key}".encode()
    seed = zlib.crc32(content)
    painter = _painter(painting)
    outpainted = outpaint(clip, painter, seed, painting.law, painting.size)
    return replace(clip, outpainted=outpainted)


@functools.cache
def _painter(painting: Painting) -> Outpainter:
    """Load the painter once a process."""
    if not painting.source:
        return TextureFill()
    return DiffusersOutpainter(painting.source, painting.device, painting.prompt, painting.steps)


def _clip_entry(clip: TrainingClip, key: str, offset: int, start_seconds: float) -> ClipEntry:
    """Describe a clip for the index; its shard is not known yet."""
    height, width = clip.size
    posed = clip_filters.has_pose(clip.pose, clip.kind)
    detail = clip_filters.sharpness(clip.frames, clip.pose, clip.kind)
    return ClipEntry(
        key=key,
        shard="",
        offset=offset,
        source=clip.source,
        start_seconds=round(start_seconds, 3),
        frames=len(clip),
        fps=clip.pose.fps,
        width=width,
        height=height,
        has_sound=clip.samples is not None,
        posed_frames=int(posed.sum()),
        sharpness=round(detail, 4),
        method=clip.outpainted.method if clip.outpainted is not None else "",
    )


def _dropped_entry(piece: Piece, drop: Drop) -> DroppedEntry:
    """Describe what was dropped for the report."""
    start_seconds = round(piece.start_seconds, 3)
    stop_seconds = round(piece.stop_seconds, 3)
    return DroppedEntry(start_seconds, stop_seconds, drop.reason, drop.detail)


def _end_with(sentinel: int) -> None:
    """End this process as soon as the one that started it is gone."""
    wait([sentinel])
    os._exit(1)
