"""Clips come back from shards as they went in; nothing but their own members is ever opened."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.training.data import video_shards
from pipeline.training.data.clip_members import from_members, to_members
from pipeline.training.data.fda_sampling import Placement
from pipeline.training.data.shard_index import FILE, ClipEntry, Index
from pipeline.training.data.training_clips import Kind, Outpainted, TrainingClip
from pipeline.training.data.video_shards import ShardFolder, add_sample, check_pair, samples
from pipeline.values import InputError
from tests.helpers.filmed_people import SIZE, clip

PLACE = Placement(np.array([0.5, 0.35]), np.array([0.2, 0.1]))
PICTURE = np.random.default_rng(0).integers(0, 256, (96, 64, 3), np.uint8)


def face_clip(seed: int = 0) -> TrainingClip:
    reference = Outpainted(PICTURE, PLACE, 3, "texture fill")
    return replace(clip(seed=seed, sound=True), outpainted=reference)


def shard_folder(folder: Path, clips: list[TrainingClip], kind: Kind = "face") -> ShardFolder:
    """Write clips as `train data` does."""
    entries = []
    with tarfile.open(folder / "shard-000000.tar", "w") as tar:
        for number, each in enumerate(clips):
            key = f"clip{number}"
            offset = add_sample(tar, key, to_members(each, 0.5))
            entry = ClipEntry(
                key, "shard-000000.tar", offset, each.source, 0.5, len(each), 25.0, *SIZE,
                each.samples is not None, len(each), 0.5, "texture fill",
            )  # fmt: skip
            entries.append(entry)
    Index(kind, {"face_detector": "holistic"}, entries).save(folder)
    return ShardFolder(folder, kind)


def test_a_clip_comes_back(tmp_path: Path) -> None:
    clips = [face_clip(0), face_clip(1), replace(face_clip(2), samples=None, outpainted=None)]
    folder = shard_folder(tmp_path, clips)
    assert len(folder) == 3
    for number in (2, 0, 1):
        before = clips[number]
        after = folder.clip(number)
        error = np.abs(after.frames.astype(int) - before.frames)
        assert after.kind == "face" and after.source == before.source
        assert after.size == SIZE and error.mean() < 6
        assert np.array_equal(after.pose.face.xy, before.pose.face.xy)
        assert np.array_equal(folder.pose(number).body.score, before.pose.body.score)
        assert (after.samples is None) == (before.samples is None)
    first = folder.clip(0)
    assert np.abs(first.samples - clips[0].samples).max() < 1e-3
    assert np.array_equal(first.outpainted.picture, PICTURE)
    assert np.array_equal(first.outpainted.placement.scale, PLACE.scale)
    assert (first.outpainted.frame, first.outpainted.method) == (3, "texture fill")


def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    shard_folder(tmp_path, [face_clip(0), face_clip(1)])
    url = str(tmp_path / "shard-000000.tar")
    read = list(wds.WebDataset(url, shardshuffle=False))
    assert [sample["__key__"] for sample in read] == ["clip0", "clip1"]
    assert set(read[0]) >= {"mp4", "flac", "pose.npz", "outpainted.png", "json"}
    assert json.loads(read[1]["json"])["frames"] == 8


def test_the_other_kind_and_other_faces_are_refused(tmp_path: Path) -> None:
    folder = shard_folder(tmp_path, [face_clip()])
    with pytest.raises(InputError, match="holds face clips"):
        ShardFolder(tmp_path, "body")
    (tmp_path / "body").mkdir()
    body = shard_folder(tmp_path / "body", [replace(clip(), kind="body")], "body")
    check_pair(folder, body)
    body.index.settings["face_detector"] = "dwpose"
    with pytest.raises(InputError, match="one face detector"):
        check_pair(folder, body)


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def with_member(name: str, content: bytes) -> dict[str, bytes]:
    return {**to_members(face_clip(), 0.0), name: content}


def pickled_npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, body_xy=np.array([Evil()], object))
    return file.getvalue()


@pytest.mark.parametrize(
    "members, words",
    [
        (lambda: with_member("pyd", pickle.dumps(Evil())), "no decoder"),
        (lambda: with_member("pose.npz", pickled_npz()), "not a pose file"),
        (lambda: with_member("json", b"["), "JSON is damaged"),
        (lambda: with_member("json", b'{"format": 7}'), "another format"),
        (lambda: with_member("mp4", b"no video"), "cannot be read"),
        (lambda: with_member("outpainted.png", b"no picture"), "not a picture"),
        (lambda: {"json": b"{}"}, "lacks the member"),
    ],
)
def test_damaged_and_foreign_members_are_refused(members, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_members(members())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"path"])
def test_tars_with_links_devices_and_folders_are_refused(kind: bytes) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("../a.mp4" if kind == b"path" else "a.mp4")
        if kind != b"path":
            info.type = kind
            info.linkname = "/etc/passwd"
        tar.addfile(info)
    file.seek(0)
    with pytest.raises(InputError, match="no member of a clip"):
        list(samples(file))


def test_damaged_shards_and_indexes_get_a_sentence(tmp_path: Path) -> None:
    folder = shard_folder(tmp_path, [face_clip()])
    shard = tmp_path / "shard-000000.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:2000])
    with pytest.raises(InputError, match="shard-000000.tar cannot be read"):
        folder.clip(0)
    shard.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        folder.clip(0)
    index = json.loads((tmp_path / FILE).read_text())
    for change in (
        {"shard": "../../etc/passwd"},
        {"shard": "shard-1.tar"},
        {"offset": -1},
        {"offset": "0"},
        {"frames": True},
    ):
        wrong = {**index, "clips": [{**index["clips"][0], **change}]}
        (tmp_path / FILE).write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="no index of shards"):
            ShardFolder(tmp_path, "face")
    for text in ("{", "[]", "3", '{"format": 9}', json.dumps({**index, "clips": None})):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(InputError, match="no index of shards"):
            ShardFolder(tmp_path, "face")
    (tmp_path / FILE).unlink()
    with pytest.raises(InputError, match="holds no shards"):
        ShardFolder(tmp_path, "face")


def test_equal_clips_give_equal_bytes() -> None:
    tars = []
    for _ in range(2):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            video_shards.add_sample(tar, "a", to_members(face_clip(), 0.0))
        tars.append(file.getvalue())
    assert tars[0] == tars[1]
