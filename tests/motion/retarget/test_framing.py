"""In the reference's framing the head's size and place are the reference face's: planted people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.alignment import planted
from pipeline.evaluation.alignment.planted import ADULT, CHILD, Person
from pipeline.motion import retarget
from pipeline.motion.keypoints import ANKLES, ELBOWS, HIPS, KNEES, NECK, NOSE_ROOT, SHOULDERS
from pipeline.motion.retarget.face_size import face_boxes
from pipeline.motion.retarget.head_room import FOREHEAD, hold_head
from pipeline.motion.retarget.nearness import nearness
from pipeline.values import Keypoints, Pose

LEGS = (*KNEES, *ANKLES)
FRAMES = 60
PORTRAIT = Person(ADULT, 2600, (256, 2500), (512, 512))
HALF_BODY = Person(ADULT, 1050, (256, 1200), (768, 512))
FULL_BODY = Person(ADULT, 560, (256, 720), (768, 512))
CLOSE_DRIVER = Person(CHILD, 2300, (640, 2500), (720, 1280))
HALF_BODY_DRIVER = Person(CHILD, 1100, (360, 1500), (1280, 720))


def still(person: Person) -> Pose:
    return planted.pose_of(person, planted.standing())


def dancer(person: Person, frames: int = FRAMES) -> Pose:
    return planted.pose_of(person, planted.dancing(frames, np.random.default_rng(0)))


def head_and_shoulders(person: Person = PORTRAIT) -> Pose:
    return planted.without_joints(still(person), LEGS, hands=False)


def half_body() -> Pose:
    return planted.without_joints(still(HALF_BODY), LEGS)


def with_guessed_hips(pose: Pose, share: float) -> Pose:
    """Put hips and elbows, which the picture does not show, at `share` of their true distance."""
    xy = pose.body.xy.copy()
    neck = xy[:, NECK, None]
    guessed = [*HIPS, *ELBOWS]
    below = xy[:, guessed] - neck
    xy[:, guessed] = neck + np.maximum(share * below, (-np.inf, 1.2 - neck[..., 1].max()))
    return replace(pose, body=Keypoints(xy, pose.body.score))


def zoomed(pose: Pose, factors: np.ndarray, center: tuple[float, float] = (0.5, 0.5)) -> Pose:
    """Scale each frame about a point of the picture, as a camera that comes closer does."""

    def scaled(points: Keypoints) -> Keypoints:
        around = points.xy - center
        return Keypoints(center + factors[:, None, None] * around, points.score)

    return replace(pose, body=scaled(pose.body), hands=scaled(pose.hands), face=scaled(pose.face))


def moved(pose: Pose, steps: np.ndarray) -> Pose:
    """Move each frame by a step (T,2) in fractions of the picture."""

    def shifted(points: Keypoints) -> Keypoints:
        return Keypoints(points.xy + steps[:, None], points.score)

    return replace(
        pose, body=shifted(pose.body), hands=shifted(pose.hands), face=shifted(pose.face)
    )


def stretched(pose: Pose, width: float, height: float) -> Pose:
    """Give the face another shape, about the root of the nose."""
    root = pose.face.xy[:, NOSE_ROOT, None]
    xy = root + (width, height) * (pose.face.xy - root)
    return replace(pose, face=Keypoints(xy, pose.face.score))


def heights(pose: Pose, reference: Pose) -> np.ndarray:
    """Heights (T,) of the face over the reference's."""
    return face_boxes(pose).height / face_boxes(reference).height[0]


def misplaced(pose: Pose, reference: Pose) -> float:
    """Distance of the face's usual place from the reference's, in heights of its box."""
    places = np.median(pose.face.xy[:, NOSE_ROOT], axis=0)
    step = (places - reference.face.xy[0, NOSE_ROOT]) * reference.pixel_scale
    return float(np.linalg.norm(step) / face_boxes(reference).height[0])


@pytest.mark.parametrize(
    "reference", [head_and_shoulders(), half_body(), still(FULL_BODY)], ids=str
)
@pytest.mark.parametrize("driver", [CLOSE_DRIVER, HALF_BODY_DRIVER, FULL_BODY])
def test_the_head_has_the_size_and_the_place_of_the_references_face(driver, reference) -> None:
    driving = dancer(driver)
    if driver is not FULL_BODY:
        driving = planted.without_joints(driving, LEGS)
    out, report = retarget.retarget([driving], reference)
    assert np.median(heights(out, reference)) == pytest.approx(1, abs=0.02)
    assert report.head_sizes == pytest.approx((1, 1), abs=0.02)
    standing = report.anchor == "ground"
    assert misplaced(out, reference) < (0.6 if standing else 0.02)
    if reference.size == (512, 512) and driver is HALF_BODY_DRIVER:
        assert not any("comes closer" in note for note in report.warnings)


@pytest.mark.parametrize("share", [0.1, 0.3, 3.0])
def test_what_the_picture_does_not_show_scales_nobody(share: float) -> None:
    driving = planted.without_joints(dancer(HALF_BODY_DRIVER), LEGS)
    plain = planted.without_joints(head_and_shoulders(), (*HIPS, *ELBOWS), hands=False)
    guessed = with_guessed_hips(head_and_shoulders(), share)
    expected, _ = retarget.retarget([driving], plain)
    out, report = retarget.retarget([driving], guessed)
    assert np.abs(out.face.xy - expected.face.xy).max() < 1e-9
    assert np.abs(out.body.xy - expected.body.xy).max() < 1e-9
    assert "torso" not in report.bone_ratios


def test_a_face_of_another_shape_becomes_the_references() -> None:
    reference = half_body()
    driving = stretched(planted.without_joints(dancer(CLOSE_DRIVER), LEGS), 1.2, 0.9)
    out, report = retarget.retarget([driving], reference)
    boxes, goal = face_boxes(out), face_boxes(reference)
    assert np.median(boxes.width) == pytest.approx(goal.width[0], rel=0.02)
    assert np.median(boxes.height) == pytest.approx(goal.height[0], rel=0.02)
    assert report.bone_ratios["face width"] < report.bone_ratios["face"]


@pytest.mark.parametrize("reference", [head_and_shoulders(), half_body(), still(FULL_BODY)])
def test_a_driver_who_walks_up_to_the_camera_is_told(reference: Pose) -> None:
    growth = np.linspace(0.4, 1.2, FRAMES)
    driving = zoomed(planted.without_joints(dancer(HALF_BODY_DRIVER), LEGS), growth, (0.5, 0.2))
    size = nearness(driving)
    assert np.abs(size[10:-10] / growth[10:-10] * np.median(growth) - 1).max() < 0.1
    out, report = retarget.retarget([driving], reference)
    over = heights(out, reference)
    assert np.median(over) == pytest.approx(1, abs=0.05)
    assert over[-1] > 1.2 and report.head_sizes[1] > 1.25
    told = " ".join(report.warnings)
    assert "comes closer or goes away" in told
    whole = reference.body.visible[0, list(ANKLES)].any()
    if whole:
        assert over[0] < 0.7 and report.head_sizes[0] < 0.75
    else:  # a smaller body would show where the picture cuts it off
        assert over[10:].min() > 0.85 and report.head_sizes[0] > 0.85
    assert ("cuts the body off" in told) == (not whole)


def test_a_small_body_under_a_large_head_stays_small() -> None:
    """A drawn child has a face four times as high as a real one."""
    lengths = ADULT | {"face": 0.3, "neck": 0.3}
    child = planted.without_joints(still(Person(lengths, 1000, (256, 1200), (768, 512))), LEGS)
    driving = planted.without_joints(dancer(HALF_BODY_DRIVER), LEGS)
    out, _ = retarget.retarget([driving], child)
    width = np.ptp(out.body.xy[:, list(SHOULDERS), 0], axis=1)
    shown = np.ptp(child.body.xy[0, list(SHOULDERS), 0])
    assert np.median(width) == pytest.approx(shown, rel=0.02)
    assert np.median(heights(out, child)) == pytest.approx(1, abs=0.02)


def test_a_standing_driver_leaves_the_head_of_somebody_who_sits_where_it_is() -> None:
    sits = replace(planted.standing(), knees=np.array([75.0]))
    seated = planted.pose_of(FULL_BODY, sits)
    out, report = retarget.retarget([dancer(FULL_BODY)], seated)
    assert report.anchor == "face" and misplaced(out, seated) < 0.02
    out, report = retarget.retarget([planted.pose_of(FULL_BODY, sits)], still(FULL_BODY))
    assert report.anchor == "ground"  # a driver who sits sits on the reference's ground


def test_bones_of_somebody_who_walks_are_compared_as_if_they_had_stayed() -> None:
    driving = planted.without_joints(dancer(HALF_BODY_DRIVER), LEGS)
    hips_in_half = driving.body.score.copy()
    hips_in_half[FRAMES // 2 :, list(HIPS)] = 0  # the torso is seen from afar only
    driving = replace(driving, body=Keypoints(driving.body.xy, hips_in_half))
    _, stays = retarget.retarget([driving], half_body())
    walker = zoomed(driving, np.linspace(0.5, 1.2, FRAMES), (0.5, 0.2))
    _, walks = retarget.retarget([walker], half_body())
    before = stays.bone_ratios["torso"] / stays.bone_ratios["face"]
    after = walks.bone_ratios["torso"] / walks.bone_ratios["face"]
    assert after == pytest.approx(before, rel=0.1)


def test_somebody_who_stays_is_as_near_all_the_time() -> None:
    assert np.all(nearness(dancer(FULL_BODY)) == 1)
    assert np.all(nearness(Pose.empty(5, 25, (64, 64))) == 1)


def test_a_head_that_would_leave_the_picture_is_held_and_told() -> None:
    reference = head_and_shoulders()
    way = np.zeros((FRAMES, 2))
    way[:, 0] = np.linspace(-0.5, 0.5, FRAMES)
    driving = moved(planted.without_joints(dancer(HALF_BODY_DRIVER), LEGS), way)
    out, report = retarget.retarget([driving], reference)
    assert out.face.xy.min() >= 0 and out.face.xy.max() <= 1
    assert any("would leave the picture" in note for note in report.warnings)
    steps = np.abs(np.diff(out.face.xy[:, NOSE_ROOT, 0]))
    plain = np.abs(np.diff(driving.face.xy[:, NOSE_ROOT, 0])) * report.scale * 3
    assert steps.max() < plain.max() and steps.max() < 0.1


def test_a_head_that_has_room_is_not_touched() -> None:
    pose = dancer(FULL_BODY)
    same, held = hold_head(pose, still(FULL_BODY))
    assert same is pose and not held.any()
    empty = Pose.empty(3, 25, (64, 64))
    assert hold_head(empty, still(FULL_BODY))[0] is empty


def test_a_head_larger_than_the_picture_becomes_as_large_as_it() -> None:
    reference = head_and_shoulders()
    factors = np.r_[np.ones(30), np.full(30, 6.0)]
    large = zoomed(dancer(PORTRAIT), factors, (0.5, 0.3))
    out, held = hold_head(large, reference)
    low = out.face.xy.min(1)
    high = out.face.xy.max(1)
    forehead = FOREHEAD * (high[:, 1] - low[:, 1])
    assert (low[:, 1] - forehead).min() > -0.02 and low[:, 0].min() >= 0 and high.max() <= 1
    assert held[30:].all() and not held[:10].any()


def test_gaps_in_the_face_do_not_make_the_body_jump() -> None:
    reference = head_and_shoulders()
    way = np.zeros((FRAMES, 2))
    way[:, 0] = 0.45
    pose = moved(still(PORTRAIT)[np.zeros(FRAMES, int)], way)
    pose.face.score[20:30] = 0
    out, _ = hold_head(pose, reference)
    assert np.abs(np.diff(out.body.xy[:, NECK], axis=0)).max() < 0.01
    assert out.face.xy[:20].max() <= 1


def test_shoulders_are_where_the_picture_shows_them() -> None:
    reference = head_and_shoulders()
    out, _ = retarget.retarget([dancer(HALF_BODY_DRIVER)], reference)
    place = np.median(out.body.xy[:, list(SHOULDERS)], axis=0)
    assert np.abs(place - reference.body.xy[0, list(SHOULDERS)]).max() < 0.03
