"""Figures of `evaluate reenact` on planted faults: noise, debris, a lost hand, a blurred face."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.analysis import detectors
from pipeline.evaluation.photos.sheet import SHEET_HEIGHT_PX
from pipeline.evaluation.reenact import figures, found_again, methods, sheet
from pipeline.motion.keypoints import LEFT_HAND
from pipeline.values import Keypoints, Pose
from tests.helpers import reenacted
from tests.helpers.reenacted import StickDetector
from tests.helpers.stick_person import figure
from tests.helpers.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def case():
    return reenacted.case()


@pytest.fixture
def stick_detector(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    monkeypatch.setattr(detectors, "load", lambda name="stick": StickDetector())


def test_the_truth_itself_has_no_fault(case, stick_detector):
    found = figures.measure(case, case.truth)
    named = found.named()
    assert all(named[f"PSNR {place}"] == 100 for place in figures.PLACES)
    assert all(named[f"SSIM {place}"] == pytest.approx(1) for place in figures.PLACES)
    assert all(named[f"GMSD {place}"] == pytest.approx(0, abs=1e-6) for place in figures.PLACES)
    assert all(named[f"sharpness {p}"] == pytest.approx(1) for p in figures.SHARP_PLACES)
    assert named["debris"] == 0 and named["silhouette IoU"] == 1 and named["faces"] == 1


def test_a_fault_is_seen_in_its_own_place_alone(case):
    face = case.regions["face"]
    spoiled = case.truth.copy()
    spoiled[face] = np.where(spoiled[face] > 127, spoiled[face] - 51, spoiled[face] + 51)
    found = figures.picture_figures(case, spoiled).psnr
    assert found["face"] == pytest.approx(-20 * np.log10(51 / 255), abs=0.01)
    assert found["hands"] == 100 and found["face"] < found["person"] < found["whole"]


def test_debris_counts_large_changes_of_still_background_alone(case):
    area = np.count_nonzero(case.regions["person"][0])
    corner = np.zeros(case.still.shape, bool)
    corner[:, :10, :10] = True
    assert case.still[corner].all()
    spoiled = case.truth.copy()
    spoiled[corner] += figures.DEBRIS_LEVELS
    assert figures.debris(case, spoiled) == 0
    spoiled[corner] += 1
    assert figures.debris(case, spoiled) == pytest.approx(1000 * 100 / area)
    spoiled[case.regions["person"]] //= 2  # a wrong person is no debris
    assert figures.debris(case, spoiled) == pytest.approx(1000 * 100 / area)


def test_a_blurred_face_is_less_sharp(case):
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in case.truth])
    assert figures.sharpness(case, blurred, "face") < 0.5


def test_what_is_missing_in_the_truth_is_not_measured(case):
    nothing = np.zeros_like(case.regions["hands"])
    without = replace(case, regions={**case.regions, "hands": nothing})
    assert np.isnan(figures.picture_figures(without, case.truth).psnr["hands"])
    assert np.isnan(figures.sharpness(without, case.truth, "hands"))


def test_overlap_of_silhouettes():
    one = np.zeros((4, 4), bool)
    one[:2] = True
    assert figures.overlap(one, np.roll(one, 1, 0)) == pytest.approx(1 / 3)
    assert figures.overlap(one, np.zeros((4, 4), bool)) == -1


def shifted(pose: Pose, pixels: float) -> Pose:
    """All points moved to the right."""

    def move(points: Keypoints) -> Keypoints:
        return Keypoints(points.xy + [pixels / pose.size[1], 0], points.score)

    return replace(pose, body=move(pose.body), hands=move(pose.hands), face=move(pose.face))


def test_points_have_no_reach_where_no_shoulders_are_seen():
    truth = figure(4)
    score = truth.body.score.copy()
    score[:, 2:8] = 0
    head = replace(truth, body=Keypoints(truth.body.xy, score))
    found = found_again.shares(head, head)
    assert np.isnan(found["body points"]) and np.isnan(found["hand points"])
    assert found["faces"] == 1


def test_points_are_found_again_within_their_reach():
    truth = figure(3, 12.5)
    width = found_again.shoulder_widths(truth)[0, 0]
    assert width == pytest.approx(0.28 * 96)
    assert found_again.shares(truth, truth) == dict.fromkeys(
        ("body points", "hands", "hand points", "faces"), 1.0
    )
    near = found_again.shares(truth, shifted(truth, 0.15 * width))
    assert near == {"body points": 1, "hands": 1, "hand points": 0, "faces": 1}
    assert found_again.shares(truth, shifted(truth, 0.25 * width))["body points"] == 0


def test_a_lost_hand_is_half_of_the_hands():
    truth = figure(2, 12.5)
    score = truth.hands.score.copy()
    score[:, LEFT_HAND] = 0
    lost = replace(truth, hands=Keypoints(truth.hands.xy, score))
    found = found_again.shares(truth, lost)
    assert found["hands"] == 0.5 and found["hand points"] == 0.5
    assert (
        found_again.shares(lost, truth)["hands"] == 1
    )  # what the truth does not show is not asked
    empty = Pose.empty(2, 12.5, truth.size)
    assert all(np.isnan(value) for value in found_again.shares(empty, truth).values())
    assert found_again.shares(truth, empty)["faces"] == 0


def test_every_method_makes_the_cases_frames(case):
    pipe = tiny_pipeline()
    made = {name: method(pipe, case) for name, method in methods.METHODS.items()}
    assert all(frames.shape == case.truth.shape for frames in made.values())
    assert all(frames.dtype == np.uint8 for frames in made.values())
    assert np.array_equal(made["warp"], case.truth)  # the truth of this case is the warp
    assert (made["copy"] == made["copy"][0]).all()
    assert not np.array_equal(made["network"], made["warp"])


def test_the_sheet_has_a_row_for_the_truth_and_each_method(case):
    made = sheet.clip_rows(case, {"copy": case.truth, "warp": case.truth})
    assert made.shape[0] // SHEET_HEIGHT_PX == 3
