"""A head alone has no body, whatever a detector guesses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.analysis import framing, picture_people
from pipeline.analysis.close_portraits import (
    HEAD_ALONE,
    leave_out_guessed_bodies,
    leave_out_people_in_faces,
    notes,
)
from pipeline.analysis.detectors.detection import largest_note
from pipeline.evaluation.alignment import planted
from pipeline.evaluation.alignment.planted import ADULT, Person
from pipeline.motion.keypoints import CORE_POINTS, HEAD_POINTS, HIPS, NOSE_ROOT, SHOULDERS
from pipeline.values import Detection, Keypoints, Pose


def portrait() -> Pose:
    person = Person(ADULT, 2600, (256, 2500), (512, 512))
    return planted.pose_of(person, planted.standing())


def with_points_at(pose: Pose, points: tuple[int, ...], place: np.ndarray) -> Pose:
    """Move some body points to one place, as a detector does that finds a body in a face."""
    xy = pose.body.xy.copy()
    xy[:, list(points)] = place
    return replace(pose, body=Keypoints(xy, pose.body.score))


def turned(pose: Pose, degrees: float) -> Pose:
    """Turn a pose in its square picture about the middle."""
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def around(points: Keypoints) -> Keypoints:
        return Keypoints((points.xy - 0.5) @ matrix + 0.5, points.score)

    return replace(pose, body=around(pose.body), hands=around(pose.hands), face=around(pose.face))


@pytest.mark.parametrize("degrees", [0, 40, -60])
@pytest.mark.parametrize("points", [CORE_POINTS, SHOULDERS, HIPS])
def test_a_trunk_in_the_face_is_left_out_with_a_note(points, degrees) -> None:
    pose = portrait()
    guessed = turned(with_points_at(pose, points, pose.face.xy[0, NOSE_ROOT]), degrees)
    found = leave_out_guessed_bodies(Detection((guessed,), notes=("kept",)))
    (person,) = found.people
    assert found.notes == ("kept",) and notes(person) == [HEAD_ALONE] and notes(guessed) == []
    assert np.flatnonzero(person.body.score[0]).tolist() == sorted(HEAD_POINTS)
    assert not person.hands.score.any() and np.array_equal(person.face.xy, guessed.face.xy)


@pytest.mark.parametrize("degrees", [0, 40, -60])
def test_a_body_below_its_face_is_kept(degrees) -> None:
    detection = Detection((turned(portrait(), degrees),))
    assert leave_out_guessed_bodies(detection).people[0] is detection.people[0]


def test_joints_that_are_not_seen_and_faces_that_are_not_seen_tell_nothing() -> None:
    pose = portrait()
    guessed = with_points_at(pose, HIPS, pose.face.xy[0, NOSE_ROOT])
    guessed.body.score[:, list(HIPS)] = 0
    faceless = replace(
        with_points_at(pose, HIPS, pose.face.xy[0, NOSE_ROOT]), face=Keypoints.missing(1, 68)
    )
    for person in (guessed, faceless):
        assert leave_out_guessed_bodies(Detection((person,))).people[0] is person


def scaled(pose: Pose, factor: float, step: tuple[float, float]) -> Pose:
    """Make a person smaller about the root of their nose, and move them."""
    root = pose.face.xy[0, NOSE_ROOT]

    def smaller(points: Keypoints) -> Keypoints:
        return Keypoints(root + step + factor * (points.xy - root), points.score)

    return replace(
        pose, body=smaller(pose.body), hands=smaller(pose.hands), face=smaller(pose.face)
    )


def test_a_face_in_a_face_and_a_body_in_hair_are_nobody() -> None:
    pose = portrait()
    in_face = scaled(pose, 0.3, (0.0, 0.1))
    in_hair = replace(scaled(pose, 0.05, (0.05, -0.12)), face=Keypoints.missing(1, 68))
    masks = tuple(np.full((8, 8), k, np.float32) for k in range(3))
    notes = (largest_note(3), "kept")
    found = leave_out_people_in_faces(Detection((in_face, pose, in_hair), masks, notes))
    assert found.people == (pose,) and found.masks == (masks[1],) and found.notes == ("kept",)


def test_people_beside_and_behind_each_other_stay() -> None:
    pose = portrait()
    behind = scaled(pose, 0.6, (0.3, -0.15))
    faceless = replace(scaled(pose, 0.8, (0.4, 0.0)), face=Keypoints.missing(1, 68))
    detection = Detection((pose, behind, faceless), notes=(largest_note(3),))
    assert leave_out_people_in_faces(detection) is detection
    twice = Detection((pose, scaled(pose, 0.3, (0.0, 0.1)), behind), notes=(largest_note(3),))
    assert leave_out_people_in_faces(twice).notes == (largest_note(2),)


def test_a_picture_is_looked_at_so_before_anybody_is_chosen(monkeypatch) -> None:
    pose = portrait()
    guessed = with_points_at(pose, HIPS, pose.face.xy[0, NOSE_ROOT])
    monkeypatch.setattr(picture_people.cache, "image", lambda *_: Detection((pose, guessed)))
    found = framing.detect_reference(np.zeros((64, 64, 3), np.uint8), "holistic")
    assert found.people[0] is pose and not found.people[1].hands.score.any()
    monkeypatch.setattr(
        picture_people.cache, "image", lambda *_: Detection((scaled(pose, 0.3, (0.0, 0.1)), pose))
    )
    found = framing.detect_reference(np.zeros((64, 64, 3), np.uint8), "holistic")
    assert found.people == (pose,)
