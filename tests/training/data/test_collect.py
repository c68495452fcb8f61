"""Videos -> shards: what is kept, dropped and named; broken files, second starts, full disks."""

from __future__ import annotations

import errno
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis import detectors
from pipeline.training.data import clip_worker, collect, collect_report, processes
from pipeline.training.data.clip_filters import Filters
from pipeline.training.data.clip_worker import Painting, Task, WorkSettings
from pipeline.training.data.collect import Collection
from pipeline.training.data.processes import Failure
from pipeline.training.data.shard_index import Index
from pipeline.training.data.video_shards import ShardFolder
from pipeline.values import InputError
from tests.helpers.filmed_people import (
    MARKED_NOBODY,
    MARKED_TWO,
    KnownPerson,
    cut_settings,
    film,
    marked,
    pictures,
)

SETTINGS = WorkSettings(cut_settings("body"))
LARGE = 1 << 40  # bytes of a shard


def in_this_process(tasks: list[Task], settings: WorkSettings, workers: int) -> Iterator[str]:
    for task in tasks:
        yield clip_worker.work(task, settings)


@pytest.fixture(autouse=True)
def known_person(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The detector that knows the figure, in this process."""
    monkeypatch.setattr(detectors, "load", lambda name: KnownPerson())
    monkeypatch.setattr(collect, "run_tasks", in_this_process)
    clip_worker._networks.cache_clear()
    yield
    clip_worker._networks.cache_clear()


@pytest.fixture
def videos(tmp_path: Path, filmed: Path) -> Path:
    """A folder of one's own."""
    shutil.copytree(filmed, tmp_path / "videos")
    return tmp_path / "videos"


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files: good, cut in two, two people, nobody, broken, and a copy; a text beside them."""
    folder = tmp_path_factory.mktemp("filmed")
    (folder / "more").mkdir(parents=True)
    film(folder / "a_good.mp4", [pictures(30, 1)], sound=True)
    film(folder / "b_cut.mp4", [pictures(30, 2), pictures(10, 3), pictures(60, 4)])
    film(folder / "c_two.mp4", [marked(pictures(30, 5), MARKED_TWO)])
    film(folder / "d_nobody.mp4", [marked(pictures(30, 6), MARKED_NOBODY)])
    (folder / "e_broken.mp4").write_bytes(b"not a video" * 50)
    shutil.copy(folder / "a_good.mp4", folder / "more" / "copy.mp4")
    (folder / "readme.txt").write_text("videos")
    return folder


def run(
    videos: Path, output: Path, settings: WorkSettings = SETTINGS, shard_bytes: int = LARGE
) -> Collection:
    return collect.collect([videos], output, settings, 1, shard_bytes, lambda line: None)


def test_what_is_kept_and_what_is_dropped_and_why(videos: Path, tmp_path: Path) -> None:
    collection = run(videos, tmp_path / "out")
    folder = ShardFolder(tmp_path / "out", "body")
    report = collect_report.write_report(collection, tmp_path / "out")
    starts = [(clip.source, clip.start_seconds) for clip in folder.index.clips]
    assert starts == [
        ("videos/a_good.mp4", 0.0),
        ("videos/b_cut.mp4", 0.0),
        ("videos/b_cut.mp4", 1.6),
        ("videos/b_cut.mp4", 2.8),
    ]
    assert report["dropped_by_reason"] == {
        "too short": 1,
        "several people": 1,
        "no person": 1,
        "unreadable": 1,
        "a copy of another file": 1,
    }
    assert report["ignored_files"] == {".txt": 1} and report["clips_with_sound"] == 1
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    text = collect_report.printed_report(collection)
    for words in ("e_broken.mp4", "1.2-1.6 s: too short", "copy.mp4", "c_two.mp4", "2 people"):
        assert words in text
    clip = folder.clip(0)
    assert len(clip) == 30 and len(clip.samples) == 19200 and np.abs(clip.samples).max() > 0.4
    assert clip.pose.body.visible[:, 1].all() and folder.clip(1).samples is None
    assert np.abs(folder.clip(2).frames[0].astype(int) - pictures(1, 4)[0]).mean() < 12


def test_a_second_start_does_only_what_is_missing(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    run(videos, output)
    shard = (output / "shard-000000.tar").read_bytes()
    worked: list[str] = []

    def counted(tasks: list[Task], settings: WorkSettings, workers: int) -> Iterator[str]:
        worked.extend(task.name for task in tasks)
        return in_this_process(tasks, settings, workers)

    monkeypatch.setattr(collect, "run_tasks", counted)
    assert run(videos, output).done_before == 5 and worked == []
    film(videos / "f_new.mp4", [pictures(30, 9)])
    (videos / "a_good.mp4").rename(videos / "g_renamed.mp4")
    collection = run(videos, output)
    assert worked == ["videos/f_new.mp4"] and len(ShardFolder(output, "body")) == 5
    assert collection.index.shards == ["shard-000000.tar", "shard-000001.tar"]
    assert (output / "shard-000000.tar").read_bytes() == shard


def test_a_killed_run_goes_on_with_what_was_finished(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    run(videos, whole)
    output = tmp_path / "out"
    worked: list[str] = []

    def killed(tasks: list[Task], settings: WorkSettings, workers: int) -> Iterator[str]:
        for task in tasks:
            worked.append(task.name)
            if len(worked) == 3:
                raise KeyboardInterrupt
            yield clip_worker.work(task, settings)

    monkeypatch.setattr(collect, "run_tasks", killed)
    with pytest.raises(KeyboardInterrupt):
        run(videos, output)
    (output / "shard-000007.tar").write_bytes(b"half a shard")
    (output / ".waiting" / "half.tar").write_bytes(b"half")
    (output / ".waiting" / "half.json").write_bytes(b"{")
    run(videos, output)
    assert worked[:2] == ["videos/a_good.mp4", "videos/b_cut.mp4"]
    assert not set(worked[:2]) & set(worked[3:])
    assert (output / "shard-000000.tar").read_bytes() == (whole / "shard-000000.tar").read_bytes()
    assert not (output / ".waiting").exists() and not (output / "shard-000007.tar").exists()


def test_small_shards_close_early_and_hold_everything(videos: Path, tmp_path: Path) -> None:
    collection = run(videos, tmp_path / "out", shard_bytes=1000)
    assert len(collection.index.shards) == 2
    keys = []
    for name in collection.index.shards:
        with tarfile.open(tmp_path / "out" / name) as tar:
            keys += [member.name.split(".")[0] for member in tar if member.name.endswith(".mp4")]
    assert keys == [clip.key for clip in collection.index.clips]


def test_other_settings_and_foreign_folders_are_refused(videos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(videos, output)
    other = WorkSettings(replace(SETTINGS.cut, filters=Filters(least_seconds=0.5)))
    with pytest.raises(InputError, match="was made with filters"):
        run(videos, output, other)
    with pytest.raises(InputError, match="holds body clips"):
        run(videos, output, WorkSettings(cut_settings("face")))
    with pytest.raises(InputError, match="give a new or empty folder"):
        run(videos, videos / "more")
    with pytest.raises(InputError, match="does not exist"):
        run(videos / "nothing", output)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no video"):
        run(tmp_path / "empty", output)


def test_face_clips_get_outpainted_references(videos: Path, tmp_path: Path) -> None:
    painting = Painting(size=(96, 64))
    (videos / "b_cut.mp4").unlink()
    run(videos, tmp_path / "out", WorkSettings(cut_settings("face"), painting))
    folder = ShardFolder(tmp_path / "out", "face")
    clip = folder.clip(0)
    assert clip.outpainted.method == "texture fill" == folder.index.clips[0].method
    assert clip.outpainted.picture.shape == (96, 64, 3)
    assert folder.index.settings["painting"]["source"] == ""


def test_a_full_disk_is_one_sentence_and_finished_shards_stay(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    add_sample = collect.video_shards.add_sample
    monkeypatch.setattr(collect.video_shards, "add_sample", full_after(4, add_sample))
    with pytest.raises(InputError, match=r"disk of .*out is full; finished shards stay"):
        run(videos, output, shard_bytes=1000)
    before = ShardFolder(output, "body")
    assert len(before) == 1 and len(before.clip(0)) == 30
    monkeypatch.setattr(collect.video_shards, "add_sample", add_sample)
    run(videos, output, shard_bytes=1000)
    assert len(ShardFolder(output, "body")) == 4


def full_after(count: int, add_sample):
    """`add_sample`, which finds the disk full after so many samples."""
    left = iter(range(count))

    def add(*arguments):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return add_sample(*arguments)

    return add


def test_an_internal_error_is_named_and_tried_again(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(tasks: list[Task], settings: WorkSettings, workers: int) -> Iterator[str | Failure]:
        yield Failure(tasks[0].name, processes.CRASHED)
        yield from in_this_process(tasks[1:], settings, workers)

    monkeypatch.setattr(collect, "run_tasks", failing)
    collection = run(videos, tmp_path / "out")
    assert "crashed" in collect_report.printed_report(collection)
    monkeypatch.setattr(collect, "run_tasks", in_this_process)
    assert len(run(videos, tmp_path / "out").index.clips) == 4


def test_two_runs_do_not_write_one_folder(videos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with collect._locked(output), pytest.raises(InputError, match="another run"):
        run(videos, output)


def test_a_file_that_breaks_off_is_noted(videos: Path, tmp_path: Path) -> None:
    long = film(tmp_path / "long.mkv", [pictures(100, 8)])
    content = long.read_bytes()
    cut_off = tmp_path / "cut"
    cut_off.mkdir()
    (cut_off / "half.mkv").write_bytes(content[: len(content) // 2])
    collection = run(cut_off, tmp_path / "out")
    text = collect_report.printed_report(collection)
    assert "frames can be decoded" in text or "unreadable" in text


def test_the_index_of_a_run_can_be_read_again(videos: Path, tmp_path: Path) -> None:
    collection = run(videos, tmp_path / "out")
    again = Index.load(tmp_path / "out")
    assert again.clips == collection.index.clips and again.sources == collection.index.sources
