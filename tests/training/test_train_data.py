"""`train data` and `train data-stats` from their command lines, with a detector that knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.analysis import detectors
from pipeline.studio.cli.parser import TRAINERS
from pipeline.training import train_data, train_data_stats
from pipeline.training.data import clip_worker, collect, placement_law
from pipeline.training.data.clip_worker import Task, WorkSettings
from pipeline.training.data.video_shards import ShardFolder
from pipeline.values import InputError
from tests.helpers.filmed_people import MARKED_NOBODY, KnownPerson, film, marked, pictures


@pytest.fixture(autouse=True)
def known_person(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def in_this_process(tasks: list[Task], settings: WorkSettings, workers: int) -> Iterator[str]:
        for task in tasks:
            yield clip_worker.work(task, settings)

    monkeypatch.setattr(detectors, "load", lambda name: KnownPerson())
    monkeypatch.setattr(collect, "run_tasks", in_this_process)
    clip_worker._networks.cache_clear()
    yield
    clip_worker._networks.cache_clear()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A film, one without a person, and a broken one."""
    folder = tmp_path / "videos"
    folder.mkdir()
    film(folder / "a.mp4", [pictures(26, 1)])
    film(folder / "b.mp4", [marked(pictures(26, 2), MARKED_NOBODY)])
    (folder / "c.mp4").write_bytes(b"broken" * 100)
    return folder


def test_a_folder_becomes_shards_and_its_law(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = tmp_path / "shards"
    words = [str(videos), "--output", str(shards), "--kind", "body", "--workers", "1", "--json"]
    assert train_data.main(words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["clips"] == 1
    assert report["dropped_by_reason"] == {"no person": 1, "unreadable": 1}
    assert report["settings"]["face_detector"] == "holistic"
    assert len(ShardFolder(shards, "body").clip(0)) == 26
    of_shards = tmp_path / "shards.json"
    assert train_data_stats.main([str(shards), "--output", str(of_shards)]) == 0
    assert "1 body clips" in capsys.readouterr().out
    of_videos = tmp_path / "videos.json"
    assert train_data_stats.main([str(videos), "--output", str(of_videos), "--json"]) == 0
    said = capsys.readouterr().out
    facts = json.loads(said.splitlines()[-1])
    assert set(facts["left_out"]) == {"videos/b.mp4", "videos/c.mp4"}
    assert "left out: videos/b.mp4, no face" in said
    law = placement_law.read(of_shards)
    other = placement_law.read(of_videos)
    assert law.width_share == pytest.approx(other.width_share, abs=0.01)
    words = [
        str(videos),
        "--output",
        str(tmp_path / "x"),
        "--kind",
        "face",
        "--law",
        str(of_shards),
    ]
    options = train_data._parser().parse_args(words)
    assert train_data.settings_of(options).painting.law == law


@pytest.mark.parametrize(
    "words, said",
    [
        (["--workers", "0"], "--workers 0"),
        (["--min-seconds", "9"], "more than --max-seconds"),
        (["--max-fps", "nan"], "--max-fps nan"),
        (["--kind", "body", "--outpaint", "somewhere"], "references of face clips"),
        (["--height", "500"], "multiples of 8"),
        (["--law", "/nowhere/law.json"], "cannot be read"),
    ],
)
def test_options_that_make_no_sense_get_one_sentence(words: list[str], said: str) -> None:
    plain = ["somewhere", "--output", "out", "--kind", "face", *words]
    options = train_data._parser().parse_args(plain)
    with pytest.raises(InputError, match=said):
        train_data.settings_of(options)


def test_the_commands_are_listed() -> None:
    assert TRAINERS["data"] == "train_data" and TRAINERS["data-stats"] == "train_data_stats"
