"""DWPose against the published code's numbers, and what the program makes of it, with stand-in
sessions."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis import detectors
from pipeline.analysis.detectors import cache, dwpose, onnx
from pipeline.analysis.detectors.detection import NO_FACE
from pipeline.analysis.progress import finish
from pipeline.render.draft import draft
from pipeline.values import VISIBLE, Detection, InputError, Video
from tests.helpers.dwpose_people import FILES, Runtime, folder_of_files, found_by_yolox, grey, simcc
from tests.helpers.tiny import speech, tiny_pipeline


@pytest.fixture
def record(data) -> np.lib.npyio.NpzFile:
    return np.load(data / "dwpose_post.npz", allow_pickle=False)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    return folder_of_files(tmp_path, monkeypatch)


@pytest.fixture
def stand_in(folder, monkeypatch):
    def install(find, pose=lambda crop: simcc(), **options) -> Runtime:
        runtime = Runtime(find, pose, **options)
        for name in FILES.values():
            (folder / name).write_bytes(b"any")
        monkeypatch.setattr(onnx, "runtime", lambda: runtime)
        return runtime

    return install


def same(a: Detection, b: Detection) -> bool:
    parts = [
        np.array_equal(getattr(getattr(p, part), kind), getattr(getattr(q, part), kind))
        for p, q in zip(a.people, b.people, strict=True)
        for part in ("body", "hands", "face")
        for kind in ("xy", "score")
    ]
    return bool(parts) and all(parts) and a.notes == b.notes


# ---- against the published code's numbers


def test_the_detectors_picture_and_boxes_are_the_published(record) -> None:
    assert np.array_equal(dwpose.letterbox(record["image"]), record["det_input"][0])
    found = dwpose.boxes(record["yolox_raw"][0], record["image"])
    assert found.shape == (3, 4) and np.abs(found - record["boxes"]).max() < 1e-3


def test_crops_are_the_published(record) -> None:
    crops = np.stack([dwpose.crop(record["image"], box) for box in record["boxes"]])
    assert np.abs(crops[0] - record["pose_input0"]).max() < 0.02
    assert np.abs(crops.mean((2, 3)) - record["pose_input_mean"]).max() < 1e-3
    assert np.abs(crops.std((2, 3)) - record["pose_input_std"]).max() < 1e-3


def test_key_points_are_the_published_to_the_bit(record) -> None:
    for k in range(3):
        decoded = dwpose.decode(record["simcc_x"][k], record["simcc_y"][k], record["boxes"][k])
        points, scores = dwpose.with_neck(*decoded)
        assert np.array_equal(points, record["keypoints134"][k])
        assert np.array_equal(scores, record["scores134"][k])
        body, hands, face = dwpose.split(points, scores, record["image"].shape[:2])
        assert np.array_equal(body[:, :2], record["body_candidate"][18 * k : 18 * k + 18])
        assert np.array_equal(body[:, 2], record["body_score"][k])
        subset = np.where(body[:, 2] > VISIBLE, np.arange(18) + 18 * k, -1)
        assert np.array_equal(subset, record["body_subset"][k])
        assert np.array_equal(hands[:, :2], record["hands"][[k, 3 + k]].reshape(42, 2))
        assert np.array_equal(hands[:, 2], record["hands_score"][[k, 3 + k]].ravel())
        assert np.array_equal(face[:, :2], record["faces"][k])
        assert np.array_equal(face[:, 2], record["faces_score"][k])


def test_without_a_box_the_whole_picture_is_one(record, stand_in) -> None:
    seen = []
    answer = record["simcc_x"][0], record["simcc_y"][0]
    stand_in(lambda picture: (found_by_yolox(),), lambda crop: seen.append(crop) or answer)
    (person,) = dwpose.DWPose()._people([record["image"]])[0]
    points = record["empty_keypoints134"][0] / (400, 300)
    assert np.array_equal(person.body[:, :2], points[:18])
    inside = ((points >= 0) & (points <= 1)).all(1)
    assert np.array_equal(
        person.face[:, 2], (record["empty_scores134"][0].clip(0, 1) * inside)[24:92]
    )
    assert np.array_equal(seen[0], dwpose.crop(record["image"], np.array([0, 0, 400, 300])))


def test_the_recorded_sessions_give_the_recorded_people(record, stand_in) -> None:
    """All three in one call of the pose network; scores are cut to 0..1 and points outside are
    missing."""
    waiting = list(zip(record["simcc_x"], record["simcc_y"], strict=True))
    crops = []
    runtime = stand_in(
        lambda picture: (record["yolox_raw"][0],), lambda crop: crops.append(crop) or waiting.pop(0)
    )
    people = dwpose.DWPose()._people([record["image"]])[0]
    shoulders = record["body_score"][:, [2, 5]].max(1) > VISIBLE
    expected = [k for k in range(3) if shoulders[k]]
    assert len(people) == len(expected) and runtime.calls[-1] == ("dw-ll_ucoco_384.onnx", 3)
    assert np.abs(crops[0] - record["pose_input0"]).max() < 0.02
    for person, k in zip(people, expected, strict=True):
        xy, score = record["faces"][k], record["faces_score"][k].clip(0, 1)
        inside = ((xy >= 0) & (xy <= 1)).all(1)
        assert np.abs(person.face[:, :2] - xy).max() < 1e-6  # the boxes differ by 3e-5 pixels
        assert np.array_equal(person.face[:, 2], score * inside)


def test_boxes_of_others_and_weaker_doubles_are_dropped() -> None:
    raw = found_by_yolox(
        (160, 240, 128, 256, 0.9), (164, 244, 128, 256, 0.8), (480, 300, 100, 200, 0.31)
    )
    raw[8399, 4:7] = 1, 0, 1  # surely of another class
    raw[8398, 4:6] = 0.299, 1
    found = dwpose.boxes(raw, np.zeros((640, 640, 3), np.uint8))
    assert np.allclose(found, [[96, 112, 224, 368], [430, 200, 530, 400]], atol=1e-3)


# ---- what the program makes of it, with stand-in sessions


def test_two_people_the_larger_first_with_the_sentence_and_without_masks(stand_in) -> None:
    stand_in(
        lambda picture: (found_by_yolox((100, 200, 60, 120, 0.95), (400, 300, 150, 300, 0.6)),)
    )
    found = detectors.load("dwpose").image(grey(90)[0])
    assert found.masks == () and found.notes == (
        "2 people found in the picture; the largest is used",
    )
    first, second = (person.body.xy[0, 1, 0] for person in found.people)
    assert first > 0.5 > second and found.people[0].size == (320, 320)
    assert np.allclose(found.people[0].body.score, [[0.9] + [1.0] + [0.9] * 16])


def test_one_person_in_two_boxes_counts_once(stand_in) -> None:
    boxes = (300, 300, 240, 320, 0.9), (300, 300, 100, 320, 0.8)
    stand_in(lambda picture: (found_by_yolox(*boxes),))
    assert dwpose.boxes(found_by_yolox(*boxes), grey(90)[0]).shape == (2, 4)
    assert len(detectors.load("dwpose").image(grey(90)[0]).people) == 1


def test_a_person_seen_from_behind_has_no_face_and_the_sentence_says_so(stand_in) -> None:
    turned = simcc()
    for peaks in turned:
        peaks[23:91] *= 0.2
    stand_in(lambda picture: (found_by_yolox((320, 320, 370, 500, 0.9)),), lambda crop: turned)
    found = detectors.load("dwpose").image(grey(90)[0])
    assert found.notes == (NO_FACE,) and found.people[0].body.visible.all()


@pytest.mark.parametrize("score", [0.2, 0.0, -1.0, np.nan])
def test_nobody_is_the_same_sentence_as_everywhere(stand_in, score) -> None:
    stand_in(lambda picture: (found_by_yolox(),), lambda crop: simcc(score))
    detector = detectors.load("dwpose")
    with pytest.raises(ValueError, match="no person found in the picture"):
        detector.image(grey(90)[0])
    found = finish(detector.video(Video(grey(90, 91), 25.0)))
    assert found.people == () and "no person found in the clip" in found.notes[0]


def test_drawn_skeletons_and_empty_clips_are_said(stand_in) -> None:
    runtime = stand_in(lambda picture: (found_by_yolox(),))
    drawn = np.zeros((160, 160, 3), np.uint8)
    for i, color in enumerate(np.eye(3, dtype=np.uint8)[[0, 1, 2]] * 255):
        drawn[20 + 20 * i : 24 + 20 * i, 20:140] = color
        drawn[90 + 20 * i : 94 + 20 * i, 20:140] = np.roll(color, 1) // 2 + color
    detector = detectors.load("dwpose")
    with pytest.raises(ValueError, match="already drawn skeleton"):
        detector.image(drawn)
    assert "already drawn" in finish(detector.video(Video(drawn[None], 25.0))).notes[0]
    with pytest.raises(ValueError, match="no frames"):
        finish(detector.video(Video(iter([]), 25.0)))
    assert runtime.calls == []


def crossing(level: float) -> tuple[np.ndarray]:
    """Two people of one size who walk through each other; who is better seen changes meanwhile."""
    t = level - 50
    first, second = (0.9, 0.8) if t < 11 else (0.7, 0.8)
    return (
        found_by_yolox((100 + 22 * t, 320, 120, 200, first), (549 - 22 * t, 320, 120, 200, second)),
    )


def test_two_who_cross_keep_their_own_histories(stand_in) -> None:
    """In frames 10 and 11 their boxes are one: the detector gives the first's, then the
    second's."""
    stand_in(lambda picture: crossing(picture[0, 0, 0]))
    found = finish(detectors.load("dwpose").video(Video(grey(*range(50, 71)), 25.0)))
    assert len(found.people) == 2 and found.notes == (
        "2 people found in the clip; the largest is used",
    )
    people = sorted(found.people, key=lambda person: person.body.xy[0, 1, 0])
    t = np.arange(21)
    for person, walk, hidden in zip(
        people, (100 + 22 * t, 549 - 22 * t), ((11,), (10,)), strict=True
    ):
        seen = person.body.visible[:, 1]
        assert np.flatnonzero(~seen).tolist() == list(hidden)
        assert np.abs(person.body.xy[seen, 1, 0] - walk[seen] / 640).max() < 2e-3


def test_batches_give_what_single_frames_give(stand_in, monkeypatch) -> None:
    def find(picture):
        return crossing(picture[0, 0, 0])

    clip = grey(*range(50, 61))
    runs, calls = [], []
    for at_once, batch in ((1, "batch"), (4, "batch"), (16, "batch"), (1, 1), (4, 3)):
        monkeypatch.setitem(onnx.AT_ONCE, onnx.CPU, at_once)
        runtime = stand_in(find, lambda crop: simcc(0.8 + 0.1 * crop[0, 192, 144]), batch=batch)
        chunks = Video(iter([clip[:5], clip[5:]]), 25.0)
        runs.append(finish(detectors.load("dwpose").video(chunks)))
        calls.append([count for name, count in runtime.calls if name == FILES["pose"]])
    assert all(same(runs[0], run) for run in runs[1:])
    assert set(calls[0]) == set(calls[3]) == {1} and max(calls[1]) == 4
    assert calls[2] == [10, 11] and set(calls[4]) == {3}
    assert len(runs[0].people[0].body.score[:, 0]) == 11
    assert len(np.unique(runs[0].people[0].body.score[:, 0])) > 5  # each crop has its own answer


def test_progress_and_closing(stand_in) -> None:
    stand_in(lambda picture: (found_by_yolox((320, 320, 90, 200, 0.9)),))
    steps = detectors.load("dwpose").video(Video(grey(*range(10)), 25.0))
    assert [next(steps), next(steps)] == [onnx.AT_ONCE[onnx.CPU], 8]
    steps.close()
    assert list(detectors.load("dwpose").video(Video(grey(*range(10)), 25.0))) == [4, 8, 10]


def test_files_are_opened_late_with_the_asked_threads_and_cuda_where_it_is(
    stand_in, monkeypatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    runtime = stand_in(lambda picture: (found_by_yolox(),), available=available)
    detector = detectors.load("dwpose")
    assert runtime.opened == []
    detector.image(grey(90)[0])
    detector.image(grey(91)[0])
    assert [name for name, _, _ in runtime.opened] == list(FILES.values())
    asked = [(onnx.CUDA, onnx.CUDA_OPTIONS), onnx.CPU]
    assert all(o.intra_op_num_threads == 3 and p == asked for _, o, p in runtime.opened)
    for _, options, _ in runtime.opened:
        assert options.entries["session.intra_op.allow_spinning"] == "0"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert onnx.threads() == 0


def test_kept_answers_are_asked_for_anew_when_a_file_changes(stand_in, folder) -> None:
    runtime = stand_in(lambda picture: (found_by_yolox((320, 320, 90, 200, 0.9)),))
    for _ in range(2):
        first = cache.image(detectors.load("dwpose"), grey(90)[0])
    assert len(runtime.calls) == 2 and first.masks == ()
    os.utime(folder / FILES["pose"], (1, 1))
    assert (
        same(cache.image(detectors.load("dwpose"), grey(90)[0]), first) and len(runtime.calls) == 4
    )


def test_a_reference_without_mask_reaches_the_draft(stand_in) -> None:
    stand_in(lambda picture: (found_by_yolox((320, 320, 370, 500, 0.9)),))
    picture = np.random.default_rng(0).integers(60, 200, (320, 320, 3)).astype(np.uint8)
    motion = tiny_pipeline().prepare_motion(picture, speech(0.4), detector="dwpose")
    assert motion.mask is None and motion.reference.face.visible.all()
    frames = np.concatenate(list(draft(picture, motion, (64, 64))))
    assert frames.shape == (10, 64, 64, 3) and frames.std() > 5


def test_a_file_that_gives_other_shapes_than_it_declares_is_said(stand_in) -> None:
    stand_in(lambda picture: (found_by_yolox(),), lambda crop: (simcc()[0][:, :9], simcc()[1]))
    with pytest.raises(
        InputError, match=r"of shape \(1, 133, 9\) instead of \(N, 133, 576\); delete it"
    ):
        detectors.load("dwpose").image(grey(90)[0])
