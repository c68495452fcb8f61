"""Kept detections: same answer as new ones, proof against damage, bounded, without pickle."""

import os
from collections.abc import Generator

import numpy as np
import pytest

from pipeline.analysis.detectors import cache
from pipeline.values import Detection, Pose, Video


class Counting:
    """A detector that finds one seeded person and counts how often it was asked."""

    name, version = "counting", "1"

    def __init__(self) -> None:
        self.asked = 0

    def image(self, image: np.ndarray) -> Detection:
        self.asked += 1
        rng = np.random.default_rng(5)
        return Detection((_pose(1),), (rng.random(image.shape[:2], np.float32),), ("a note",))

    def video(self, video: Video) -> Generator[int, None, Detection]:
        self.asked += 1
        done = 0
        for chunk in video.chunks():
            for _ in chunk:
                done += 1
                yield done
        return Detection((_pose(done), Pose.empty(done, 25.0, (96, 64))), (), ("two people",))


def _pose(frames: int) -> Pose:
    rng = np.random.default_rng(3)
    pose = Pose.empty(frames, 25.0, (96, 64))
    for points in (pose.body, pose.hands, pose.face):
        points.xy[:], points.score[:] = rng.random(points.xy.shape), rng.random(points.score.shape)
    return pose


def _same(a: Detection, b: Detection) -> bool:
    assert len(a.people) == len(b.people) and len(a.masks) == len(b.masks)
    for p, q in zip(a.people, b.people, strict=True):
        assert (p.fps, p.size) == (q.fps, q.size)
        for name in ("body", "hands", "face"):
            assert np.array_equal(getattr(p, name).xy, getattr(q, name).xy)
            assert np.array_equal(getattr(p, name).score, getattr(q, name).score)
    assert all(
        np.array_equal(m, n) and n.dtype == np.float32
        for m, n in zip(a.masks, b.masks, strict=True)
    )
    return a.notes == b.notes


def _run(generator: Generator[int, None, Detection]) -> tuple[list[int], Detection]:
    steps = []
    while True:
        try:
            steps.append(next(generator))
        except StopIteration as stop:
            return steps, stop.value


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "kept"))


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (80, 70, 3), np.uint8)


def test_a_second_look_at_a_picture_is_free_and_bit_identical(picture):
    detector = Counting()
    first, second = (cache.image(detector, picture) for _ in range(2))
    assert detector.asked == 1
    assert _same(first, second)


def test_masks_lose_no_more_than_half_a_level(picture):
    kept = cache.image(Counting(), picture).masks[0]
    assert np.abs(kept - Counting().image(picture).masks[0]).max() <= 0.5 / 255 + 1e-6


def test_another_picture_version_or_detector_is_looked_at_anew(picture):
    detector, newer, other = Counting(), Counting(), Counting()
    newer.version, other.name = "2", "other"
    changed = picture.copy()
    changed[0, 0, 0] ^= 1
    for d, p in ((detector, picture), (newer, picture), (other, picture), (detector, changed)):
        cache.image(d, p)
    assert (detector.asked, newer.asked, other.asked) == (2, 1, 1)


def test_a_picture_of_another_shape_with_the_same_bytes_is_another_picture(picture):
    detector = Counting()
    cache.image(detector, picture)
    cache.image(detector, picture.reshape(70, 80, 3))
    assert detector.asked == 2


def test_clips_are_kept_by_their_key():
    detector, frames = Counting(), np.zeros((5, 96, 64, 3), np.uint8)
    steps, first = _run(cache.video(detector, Video(frames, 25.0), "k"))
    again, second = _run(cache.video(detector, Video(frames, 25.0), "k"))
    _run(cache.video(detector, Video(frames, 25.0), "other"))
    assert steps == [1, 2, 3, 4, 5] and again == [5]
    assert detector.asked == 2
    assert _same(first, second)


def test_a_clip_without_key_is_not_kept(tmp_path):
    _run(cache.video(Counting(), Video(np.zeros((2, 8, 8, 3), np.uint8), 25.0), None))
    assert not (tmp_path / "kept").exists()


def test_a_closed_clip_leaves_nothing():
    generator = cache.video(Counting(), Video(np.zeros((4, 8, 8, 3), np.uint8), 25.0), "k")
    next(generator)
    generator.close()
    assert not cache.folder().exists()


@pytest.mark.parametrize("name", ["index.json", "0.npz", "0.png"])
@pytest.mark.parametrize("damage", ["cut", "gone", "rubbish"])
def test_a_damaged_entry_is_ignored_and_rewritten(picture, name, damage):
    detector = Counting()
    first = cache.image(detector, picture)
    (entry,) = cache.folder().iterdir()
    file = entry / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:20] if damage == "cut" else b"\x80\x04rubbish")
    assert _same(first, cache.image(detector, picture)) and detector.asked == 2
    cache.image(detector, picture)
    assert detector.asked == 2


def test_a_pickle_is_never_read(picture):
    detector = Counting()
    cache.image(detector, picture)
    (entry,) = cache.folder().iterdir()
    np.savez(open(entry / "0.npz", "wb"), body_xy=np.array([{"a": 1}], dtype=object))  # noqa: SIM115
    cache.image(detector, picture)
    assert detector.asked == 2


def test_the_oldest_go_first_when_the_folder_is_full(picture, monkeypatch):
    detector = Counting()
    pictures = [picture + np.uint8(i) for i in range(4)]
    for age, p in zip((40, 30, 20), pictures, strict=False):
        before = set(cache.folder().iterdir()) if cache.folder().exists() else set()
        cache.image(detector, p)
        (new,) = set(cache.folder().iterdir()) - before
        os.utime(new, (1e9 - age, 1e9 - age))
    size = sum(file.stat().st_size for file in new.iterdir())
    monkeypatch.setattr(cache, "MAX_BYTES", int(2.5 * size))
    cache.image(detector, pictures[3])
    assert len(list(cache.folder().iterdir())) == 2 and detector.asked == 4
    cache.image(detector, pictures[2])
    assert detector.asked == 4
    cache.image(detector, pictures[0])
    assert detector.asked == 5


def test_a_place_that_cannot_be_written_costs_only_time(picture, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "file"))
    detector = Counting()
    assert cache.image(detector, picture).notes == ("a note",)
    assert cache.image(detector, picture).notes == ("a note",)
    assert detector.asked == 2
