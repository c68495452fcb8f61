"""Cases of `evaluate reenact`: which frame is the reference, what drives, what counts as still."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.analysis import detectors
from pipeline.evaluation.reenact import cases, regions
from pipeline.models.model_settings import ModelSettings
from pipeline.values import Detection, InputError, Keypoints
from tests.helpers.media_files import save_clip
from tests.helpers.reenacted import SIZE, StickDetector, clip, mask
from tests.helpers.stick_person import figure

SETTINGS = ModelSettings(area=SIZE[0] * SIZE[1])


@pytest.fixture
def stick_detector(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detectors, "load", lambda name="stick": StickDetector())


def test_the_clip_drives_itself_without_its_reference_frame(stick_detector, tmp_path):
    case = cases.prepare(clip(tmp_path / "drawn.mp4"), SETTINGS, 0.8)
    assert case.name == "drawn" and case.size == SIZE and case.image.shape == (*SIZE, 3)
    assert len(case) == 9 == len(case.motion) == len(case.seen)  # every second of 20, less one
    assert set(case.regions) == {"person", "face", "hands"}
    assert all(region.shape == (9, *SIZE) for region in case.regions.values())
    driven = figure(20, 25.0, SIZE).body.xy[2::2]
    assert np.allclose(case.motion.pose.body.xy, driven)  # as detected, the first frame left out
    assert not case.motion.intensity.any() and case.motion.pose.fps == cases.FPS
    assert np.array_equal(case.regions["person"][0], mask() > 0.5)


def test_only_some_seconds_are_read(stick_detector, tmp_path):
    assert len(cases.prepare(clip(tmp_path / "drawn.mp4"), SETTINGS, 0.4)) == 4


def test_clips_without_a_person_or_too_short_are_one_sentence(stick_detector, tmp_path):
    black = tmp_path / "black.mp4"
    save_clip(black, np.zeros((20, *SIZE, 3), np.uint8))
    with pytest.raises(InputError, match="nobody with a face"):
        cases.prepare(black, SETTINGS)
    with pytest.raises(InputError, match="too short"):
        cases.prepare(clip(tmp_path / "short.mp4", 4), SETTINGS)


def seen(hands: float = 1.0, face: float = 1.0) -> Detection:
    person = figure(1, 1.0, SIZE)
    person = replace(
        person,
        hands=Keypoints(person.hands.xy, np.full((1, 42), hands)),
        face=Keypoints(person.face.xy, np.full((1, 68), face)),
    )
    return Detection((person,), (mask(),))


def test_the_reference_is_the_frame_of_the_first_second_that_shows_most():
    assert cases.choose_reference([seen(0), None, seen(), seen()]) == 2
    assert cases.choose_reference([seen(face=0), seen(hands=0.2)]) == 1  # no face, no reference
    assert cases.choose_reference([None, seen(face=0)]) is None
    late = [seen(0.5), *[seen(0.4)] * 20, seen()]
    assert cases.choose_reference(late) == 0  # the last frame is beyond the first second


def test_background_is_still_where_nobody_was_and_nothing_changed():
    truth = np.full((2, 100, 100, 3), 100, np.uint8)
    truth[1, :50, :20] += regions.UNCHANGED_LEVELS
    truth[1, 50:, :20] += regions.UNCHANGED_LEVELS + 1
    masks = np.zeros((2, 100, 100), bool)
    masks[0, :, 40:50] = True  # the person walks to the right
    masks[1, :, 60:70] = True
    still = regions.still_background(truth, masks, 0)
    assert still[1, :50, :20].all() and not still[1, 50:, :20].any()
    assert not still[1, :, 39:51].any() and not still[1, :, 59:71].any()
    assert still[1, :, 52:58].all() and still[1, :, 72:].all()
    assert still[0, :, :38].all() and still[0, :, 52:].all()
