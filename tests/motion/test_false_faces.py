"""Which detected faces are believed: planted ones on a stick person."""

from dataclasses import replace

import numpy as np

from pipeline.motion.false_faces import believed, without_false_faces
from pipeline.motion.keypoints import RIGID_FACE
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import still_person

FRAMES = 60


def with_faces(frames: np.ndarray, scale: float = 1.0, shift: float = 0.0) -> Pose:
    """A person whose face is detected in some frames (T,) bool only, of another size or place."""
    pose = still_person(FRAMES)
    middle = pose.face.xy.mean(1, keepdims=True)
    xy = middle + scale * (pose.face.xy - middle)
    xy = xy + np.array([0.0, shift])
    score = np.where(frames[:, None], 1.0, 0.0) * pose.face.score
    return replace(pose, face=Keypoints(xy, score))


def rows(*frames: int) -> np.ndarray:
    return np.isin(np.arange(FRAMES), frames)


EVERY = np.ones(FRAMES, bool)


def test_a_plain_face_is_believed_and_the_pose_comes_back() -> None:
    pose = with_faces(EVERY)
    assert believed(pose).all() and without_false_faces(pose) is pose


def test_a_flash_between_long_gaps_is_no_face() -> None:
    assert not believed(with_faces(rows(14, 17))).any()
    often = rows(*range(0, FRAMES, 5))
    assert np.array_equal(believed(with_faces(often)), often)


def test_a_short_clip_is_no_flash() -> None:
    assert believed(with_faces(EVERY)[:2]).all()


def test_a_face_that_is_too_small_too_large_or_elsewhere_is_not_the_person() -> None:
    assert not believed(with_faces(EVERY, scale=0.1)).any()
    assert not believed(with_faces(EVERY, scale=6.0)).any()
    assert not believed(with_faces(EVERY, shift=0.7)).any()


def test_a_face_unlike_the_clips_other_faces_is_not_believed() -> None:
    usual = with_faces(EVERY)
    large = with_faces(EVERY, scale=2.2)
    some = rows(*range(20, 40))
    xy = np.where(some[:, None, None], large.face.xy, usual.face.xy)
    pose = replace(usual, face=Keypoints(xy, usual.face.score))
    assert np.array_equal(believed(pose), ~some)


def test_a_chin_at_the_pictures_edge_is_no_face() -> None:
    pose = with_faces(EVERY)
    score = pose.face.score.copy()
    score[:, RIGID_FACE[:30]] = 0
    cut = replace(pose, face=Keypoints(pose.face.xy, score))
    assert not believed(cut).any()
    assert not without_false_faces(cut).face.score.any()


def test_without_shoulders_a_face_is_believed() -> None:
    pose = with_faces(EVERY)
    body = Keypoints(pose.body.xy, np.zeros_like(pose.body.score))
    assert believed(replace(pose, body=body)).all()
