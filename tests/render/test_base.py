"""What all backbones share: sizes, cropping, analysis with every kind of driving, progress and
cancelling."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from pipeline import media
from pipeline.analysis.analyse import Analysis
from pipeline.analysis.driving import open_driving
from pipeline.analysis.framing import (
    crop_around_person,
    crop_window,
    detect_reference,
    output_size,
)
from pipeline.analysis.progress import Work, finish
from pipeline.motion.refocus import refocus
from pipeline.render.draft import draft
from pipeline.values import Motion, Progress, Video
from tests.helpers.stick_person import figure
from tests.helpers.tiny import motion, portrait, speech, tiny_pipeline


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tiny_pipeline()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.astronaut()


@given(st.integers(64, 4000), st.integers(64, 4000))
def test_default_sizes_are_multiples_near_the_area_and_the_aspect(height: int, width: int) -> None:
    h, w = output_size((height, width), 512 * 768, 16)
    assert h % 16 == w % 16 == 0 and min(h, w) >= 64 and max(h, w) <= 2048
    if 0.25 < height / width < 4:
        assert (
            abs(np.log(h * w / (512 * 768))) < 0.1 and abs(np.log((h / w) / (height / width))) < 0.1
        )


def test_one_given_side_keeps_the_aspect() -> None:
    assert output_size((300, 200), 512 * 768, 16, height=480) == (480, 320)
    with pytest.raises(ValueError, match="width is 100"):
        output_size((300, 200), 512 * 768, 16, width=100)


def cropped(picture: np.ndarray, *where: object) -> np.ndarray:
    window = crop_window(picture, *where)
    return picture[window.rows, window.columns]


def test_a_crop_keeps_the_face_and_is_central_where_it_may() -> None:
    picture = np.arange(100 * 80 * 3, dtype=np.uint32).reshape(100, 80, 3)
    face, body = np.array([[0.4, 0.1], [0.6, 0.25]]), np.array([[0.3, 0.1], [0.7, 0.9]])
    assert np.array_equal(cropped(picture, (80, 80), body[:1], body), picture[10:90])
    assert np.array_equal(cropped(picture, (80, 80), face, body), picture[5:85])
    assert np.array_equal(cropped(picture, (40, 80), face, body), picture[5:45])
    assert np.array_equal(cropped(picture, (200, 80), face, body), picture[:, 20:60])
    aside = face + [0.35, 0]
    assert np.array_equal(cropped(picture, (200, 80), aside, body), picture[:, 40:])
    assert cropped(picture, (10, 80), face, body).shape == (
        10,
        80,
        3,
    )  # smaller than the face


def test_framing_looks_for_the_person_only_where_something_is_cut_off(pipe, photo) -> None:
    assert crop_around_person(photo, photo.shape[:2], "holistic") is photo
    wide = np.pad(photo, ((0, 0), (0, 2 * photo.shape[1]), (0, 0)), mode="edge")
    nose = detect_reference(photo, "holistic").people[0].body.xy[0, 0, 0] * photo.shape[1]
    part = crop_around_person(wide, photo.shape[:2], "holistic")
    assert part.shape == photo.shape
    found = detect_reference(part, "holistic").people[0].body.xy[0, 0, 0] * photo.shape[1]
    assert abs(found - nose) < 0.35 * photo.shape[1] and 0 < found < photo.shape[1]


def test_a_longer_speech_on_the_same_clip_detects_nothing_anew(
    pipe, photo, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    clip = tmp_path / "clip.mp4"
    media.write_video(clip, Video(np.repeat(photo[None], 8, 0), 25.0))
    first = finish(open_driving(clip).people(25.0, 20, "holistic"))
    monkeypatch.setattr("pipeline.analysis.detectors.load", lambda name: Unused)
    again = finish(open_driving(clip).people(25.0, 200, "holistic"))
    assert len(again.people[0]) == 8 and np.array_equal(
        again.people[0].face.xy, first.people[0].face.xy
    )


class Unused:
    """A detector of the holistic one's name that must not be asked."""

    from pipeline.analysis.detectors.holistic import Holistic as _own

    name, version = _own.name, _own.version


def test_a_driving_pose_gives_its_body_and_the_spoken_face(pipe, photo) -> None:
    work = Work(pipe.analyse(photo, speech(1.0), figure(20)))
    steps = list(work)
    found = work.result
    assert isinstance(found, Analysis) and isinstance(found.motion, Motion)
    assert len(found.motion) == 25 == len(found.motion.intensity) == len(found.motion.audio_tokens)
    assert {step.stage for step in steps} >= {"detect reference image", "audio2pose"}
    assert found.report.people == 1 and found.motion.mask.shape == photo.shape[:2]
    assert np.all(found.motion.control_strength == 1)


def test_frames_of_another_rate_are_brought_to_the_output_rate(pipe, photo) -> None:
    """Fifteen frames at 12.5 fps last as long as thirty at 25; the person moves steadily to the
    right."""
    moving = np.stack([np.roll(photo, 6 * t, axis=1) for t in range(15)])
    tracked = finish(open_driving(Video(moving, 12.5)).people(25.0, 30, "holistic"))
    (person,) = tracked.people
    nose = person.body.xy[:, 0, 0] * photo.shape[1]
    assert person.fps == 25.0 and len(person) == 30
    assert abs((nose[22] - nose[8]) - 6 * 7) < 6


def test_without_driving_the_head_moves_and_the_seed_decides_how(pipe, photo) -> None:
    one, same, other = (pipe.prepare_motion(photo, speech(2.0), seed=seed) for seed in (1, 1, 2))
    nose = one.pose.body.xy[:, 0]
    assert np.ptp(nose, axis=0).max() > 0
    assert (
        np.abs(nose - same.pose.body.xy[:, 0]).max()
        < 1e-12
        < np.ptp(nose - other.pose.body.xy[:, 0])
    )


def test_a_still_body_only_speaks_and_a_head_leaves_the_arms(pipe, photo) -> None:
    still, head = (
        pipe.prepare_motion(photo, speech(2.0), gestures=mode) for mode in ("still", "head")
    )
    assert np.ptp(still.pose.body.xy, axis=0).max() == 0 < np.ptp(still.pose.face.xy, axis=0).max()
    assert (
        np.ptp(head.pose.body.xy[:, 0], axis=0).max()
        > 0
        == np.ptp(head.pose.hands.xy, axis=0).max()
    )


def test_a_driving_clip_without_a_person_lets_the_reference_rest_and_says_so(pipe, photo) -> None:
    empty = Video(np.full((6, 96, 128, 3), 90, np.uint8), 25.0)
    found = finish(pipe.analyse(photo, speech(0.5), empty))
    pose = found.motion.pose
    assert pose.face.visible.all() and found.report is None
    hips_up = [1, 3, 6]  # neck and elbows
    assert np.allclose(
        pose.body.xy[:, hips_up], found.motion.reference.body.xy[:, hips_up], atol=0.01
    )
    assert any(
        "no person" in sentence.lower() or "nobody" in sentence.lower()
        for sentence in found.warnings
    )


def test_analysis_can_be_closed_at_any_step(pipe, photo) -> None:
    work = pipe.analyse(photo, speech(1.0), Video(np.repeat(photo[None], 30, 0), 25.0))
    for step in work:
        assert isinstance(step, Progress)
        if step.stage == "detect driving video":
            break
    work.close()
    with pytest.raises(StopIteration):
        next(work)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"fps": 0.5}, "fps"), ({"detector": "eyes"}, "eyes"), ({"gestures": "wild"}, "wild")],
)
def test_bad_choices_name_themselves(pipe, photo, options: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        finish(pipe.analyse(photo, speech(0.5), **options))


def test_draft_of_the_reference_pose_is_the_reference(pipe) -> None:
    still = motion(3)
    still = refocus(Motion(figure(3)[np.zeros(3, int)], *[getattr(still, n) for n in (
        "reference", "mask", "mesh", "intensity", "excitation", "control_strength",
        "audio_tokens")]), 0.0)  # fmt: skip
    frames = np.concatenate(list(draft(portrait(), still, (128, 96))))
    error = np.mean((frames.astype(float) - portrait()) ** 2)
    assert frames.shape == (3, 128, 96, 3) and 10 * np.log10(255**2 / error) > 30
