import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.alignment import planted
from pipeline.evaluation.alignment.planted import ADULT, Person
from pipeline.motion import retarget
from pipeline.motion.retarget import measures, similarity
from pipeline.motion.retarget.report import lips_quality
from pipeline.studio import charts
from pipeline.values import Keypoints, Pose

SIZE = (768, 512)


def adult(frames: int = 20, stature: float = 560, foot=(256, 720)) -> Pose:
    calm = planted.Dance(*(v[:1].repeat(frames, 0) for v in vars(planted.standing()).values()))
    return planted.pose_of(Person(ADULT, stature, foot, SIZE), calm)


def from_behind(pose: Pose, rows: slice) -> Pose:
    """The pose with its back turned in some frames: sides of the body cross, no face."""
    xy, score = pose.body.xy.copy(), pose.body.score.copy()
    middle = xy[rows, 1:2, :1]
    xy[rows, :, :1] = 2 * middle - xy[rows, :, :1]
    score[rows, :1] = score[rows, 14:16] = 0
    face = pose.face.score.copy()
    face[rows] = 0
    return replace(pose, body=Keypoints(xy, score), face=Keypoints(pose.face.xy, face))


def turned(pose: Pose, degrees: float) -> Pose:
    """The pose with its shoulders as narrow as after a turn, and its nose aside."""
    angle = np.radians(degrees)
    xy, face = pose.body.xy.copy(), pose.face.xy.copy()
    xy[:, [2, 5]] = xy[:, 1:2] + np.cos(angle) * (xy[:, [2, 5]] - xy[:, 1:2])
    middle = face[:, 27:28, 0]
    half = (face[:, 16, 0] - face[:, 0, 0])[:, None] / 2
    face[..., 0] = middle + np.cos(angle) * (face[..., 0] - middle)
    face[:, 30, 0] += (measures.NOSE_DEPTH * np.sin(angle) * half)[:, 0]
    return replace(pose, body=Keypoints(xy, pose.body.score), face=Keypoints(face, pose.face.score))


def test_a_back_is_told_with_its_seconds() -> None:
    driving = from_behind(adult(50), slice(10, 20))
    _, report = retarget.retarget([driving], adult(1))
    assert report.turned == pytest.approx(0.2) and report.turned_seconds == ((0.4, 0.8),)
    assert report.faceless == pytest.approx(0.2)
    assert any("turns away in 20% of the frames (0.4-0.8 s)" in note for note in report.warnings)
    assert np.nanmax(measures.body_facing(driving)) > 120
    _, report = retarget.retarget([adult()], adult(1))
    assert report.turned == 0 and not report.turned_seconds


@pytest.mark.parametrize("degrees", [-50, -20, 0, 20, 50])
def test_head_yaw_is_measured(degrees: float) -> None:
    assert np.allclose(measures.head_yaw(turned(adult(2), degrees)), degrees, atol=0.5)


def test_heads_and_bodies_that_look_elsewhere_are_told() -> None:
    _, report = retarget.retarget([turned(adult(), 60)], adult(1))
    text = " ".join(report.warnings)
    assert "heads look 60 degrees apart" in text and "bodies are turned" in text
    _, report = retarget.retarget([turned(adult(), 10)], adult(1))
    assert "apart" not in " ".join(report.warnings)


def test_swapped_sides_are_told() -> None:
    driving = adult()
    order = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15, 16, 17]
    driving = replace(
        driving, body=Keypoints(driving.body.xy[:, order], driving.body.score[:, order])
    )
    _, report = retarget.retarget([driving], adult(1))
    assert any("seem swapped" in note for note in report.warnings)


def test_lips_are_judged_by_the_height_of_the_face() -> None:
    heights = (0, 10, 30, 59, 60, 119, 120, 400)
    words = ("none", "none", "poor", "poor", "fair", "fair", "good", "good")
    assert tuple(lips_quality(h) for h in heights) == words
    near, far = adult(1, 2400, (256, 2700)), adult(1, 300, (256, 700))
    assert retarget.retarget([adult()], near)[1].lips == "good"
    report = retarget.retarget([adult()], far)[1]
    assert report.lips == "none" and any("visible lips" in note for note in report.warnings)


def test_a_person_is_chosen_by_number_or_by_a_point() -> None:
    left, right = adult(foot=(130, 700), stature=300), adult(foot=(380, 720))
    people, reference = [right, left], adult(1)
    assert retarget.retarget(people, reference)[1].chosen == 0
    out, report = retarget.retarget(people, reference, person=2)
    assert report.chosen == 1 and "number 2" in report.why and report.people == 2
    for point, index in (((0.25, 0.6), 1), ((0.75, 0.6), 0), ((0.0, 0.9), 1), ((1.0, 0.0), 0)):
        _, report = retarget.retarget(people, reference, person=point)
        assert report.chosen == index and "nearest to the point" in report.why, point
    with pytest.raises(ValueError, match="choose 1 to 2"):
        retarget.retarget(people, reference, person=3)


def test_a_point_counts_where_somebody_is_first_seen() -> None:
    early, late = adult(foot=(380, 720)), adult(foot=(130, 700), stature=300)
    late.body.score[:5] = 0
    _, report = retarget.retarget([early, late], adult(1), person=(0.25, 0.6))
    assert report.chosen == 0


@pytest.mark.parametrize(
    "text, person", [("1", 1), ("12", 12), ("0.3,0.5", (0.3, 0.5)), ("0,1", (0.0, 1.0))]
)
def test_a_person_is_read_from_the_command_line(text, person) -> None:
    assert retarget.parse_person(text) == person


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "left", "0.1,0.2,0.3", "2,0.5", "nan,0.5", "0.5,", "9" * 5000]
)
def test_a_person_that_cannot_be_read_is_refused(text) -> None:
    with pytest.raises(ValueError, match="number from 1"):
        retarget.parse_person(text)


def test_the_published_line_is_the_published_line() -> None:
    driving, reference = adult(stature=300, foot=(200, 500)), adult(1)
    a, b = similarity.published_fit([driving], reference)
    out, report = retarget.retarget([driving], reference, "published")
    wanted = similarity.apply_fit(driving, a, b, reference.size)
    assert np.array_equal(out.body.xy, wanted.body.xy) and np.array_equal(
        out.face.xy, wanted.face.xy
    )
    assert report.scale == a[1] and report.method == "published"
    with pytest.raises(ValueError, match="unknown way"):
        retarget.retarget([driving], reference, "magic")


def test_the_report_is_told_in_words_and_numbers() -> None:
    _, report = retarget.retarget([adult(stature=300, foot=(200, 500))], adult(1))
    text = " ".join(report.summary())
    for part in (
        "Person 1 of 1",
        "bones",
        "anchored on ground",
        "thighs 1.87",
        "without feet 0%",
        "lips",
    ):
        assert part in text, part
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["summary"] == list(report.summary()) and values["offset"] == list(report.offset)
    assert values["lips"] in ("good", "fair", "poor", "none") and values["yaw"] == [0.0, 0.0]


def test_spans_are_runs_in_seconds() -> None:
    flags = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1], bool)
    assert measures.spans(flags, 10) == ((0.0, 0.2), (0.4, 0.5), (0.6, 0.9))
    assert measures.spans(np.zeros(3, bool), 10) == ()


def test_the_overlay_clip_shows_the_skeleton_over_the_dimmed_picture() -> None:
    pose, picture = adult(3), np.full((96, 64, 3), 200, np.uint8)
    frames = [frame.copy() for frame in charts.overlay_clip(picture, pose, (192, 128))]
    assert len(frames) == 3 and frames[0].shape == (192, 128, 3)
    assert np.array_equal(frames[1], charts.overlay(picture, pose, 1, (192, 128)))
    assert (frames[0][0, 0] == 100).all() and (frames[0] != 100).any()
