"""Shards of real video: WebDataset tars, one sample a clip, read at random by the index.

Any WebDataset reader streams them. Its default decoders open pickles where a tar holds some; the
members of these shards have endings of their own, see `clip_members`.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.training.data.clip_members import ENDINGS, Members, from_members, pose_from
from pipeline.training.data.shard_index import ClipEntry, Index
from pipeline.training.data.training_clips import Kind, TrainingClip
from pipeline.values import InputError, Pose

MAX_MEMBER_BYTES = 1 << 30  # a larger member is none of ours
# What tarfile raises on a file that is cut off or no tar
BROKEN = (tarfile.TarError, OSError, EOFError, ValueError)


@dataclass(frozen=True)
class Sample:
    """A sample of a tar: its key, where its first member begins, and its members."""

    key: str
    offset: int
    members: Members


class ShardFolder:
    """The clips of a folder of shards by number; a `ClipSource`.

    Args:
        folder: what `train data` wrote.
        kind: of the clips; a folder of the other kind is refused.
    """

    def __init__(self, folder: str | Path, kind: Kind) -> None:
        self.folder = Path(folder)
        self.index = Index.load(self.folder)
        if self.index.kind != kind:
            raise InputError(
                f"{folder} holds {self.index.kind} clips, not {kind} clips; name the other folder"
            )
        if not self.index.clips:
            raise InputError(f"{folder} holds no clips; its index.json says why each was dropped")

    def __len__(self) -> int:
        return len(self.index.clips)

    @property
    def face_detector(self) -> str:
        """Name the detector of the faces' key points."""
        return str(self.index.settings.get("face_detector", ""))

    def clip(self, index: int) -> TrainingClip:
        """Read and decode one clip; raise InputError that names the shard where it is damaged."""
        entry = self.index.clips[index]
        with self._sentence(entry):
            return from_members(self._members(entry))

    def pose(self, index: int) -> Pose:
        """Read the pose of one clip without its frames."""
        entry = self.index.clips[index]
        with self._sentence(entry):
            return pose_from(self._members(entry))

    @contextlib.contextmanager
    def _sentence(self, entry: ClipEntry) -> Iterator[None]:
        """Turn what is wrong with a clip into a sentence that names the shard."""
        try:
            yield
        except BROKEN as error:
            reason = error if isinstance(error, InputError) else "it is damaged or cut off"
            raise InputError(
                f"clip {entry.key} of {self.folder / entry.shard} cannot be read: {reason}"
            ) from error

    def _members(self, entry: ClipEntry) -> Members:
        with open(self.folder / entry.shard, "rb") as file:
            file.seek(entry.offset)
            for sample in samples(file):
                if sample.key == entry.key:
                    return sample.members
                break
        raise InputError("the index does not fit the shard; make the shards anew")


def check_pair(face: ShardFolder, body: ShardFolder) -> None:
    """Refuse face and body clips whose faces come from different detectors.

    Both conditions must have one format (APV-Gen, mixed data).
    """
    if face.face_detector != body.face_detector:
        raise InputError(
            f"the faces of {face.folder} are by {face.face_detector}, those of {body.folder} by "
            f"{body.face_detector}; make both with one face detector"
        )


def samples(file: BinaryIO) -> Iterator[Sample]:
    """Yield the samples of a tar from where the file stands; offsets count from there."""
    start = file.tell()
    with tarfile.open(fileobj=file, mode="r:") as tar:
        key = ""
        offset = 0
        members: Members = {}
        for member in tar:
            name, _, ending = member.name.partition(".")
            _check(member, ending)
            if name != key and members:
                yield Sample(key, offset - start, members)
                members = {}
            if not members:
                key = name
                offset = member.offset
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            members[ending] = content.read()
        if members:
            yield Sample(key, offset - start, members)


def add_sample(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> int:
    """Append a sample to an open tar; return where its first member begins."""
    offset = tar.offset
    for ending, content in members.items():
        info = tarfile.TarInfo(f"{key}.{ending}")  # no time, no owner: equal clips, equal bytes
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return offset


def _check(member: tarfile.TarInfo, ending: str) -> None:
    """Refuse links, devices, folders, giants and members of other kinds."""
    if not member.isreg() or "/" in member.name or ending not in ENDINGS:
        raise InputError(f"it holds {member.name!r:.60}, which is no member of a clip")
    if member.size > MAX_MEMBER_BYTES:
        raise InputError(f"its member {member.name!r:.60} is over 1 GB")
