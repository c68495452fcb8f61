"""A driver who is missing for a while, or whose face is: planted answers on a stick person."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.motion import absence
from pipeline.motion.gestures.head import HeadMotion, talking_head
from pipeline.motion.keypoints import HEAD_POINTS, L_WRIST, NECK, RIGID_FACE, UPPER_ARMS
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import FPS, still_person

FRAMES = 100
LIPS = (62, 66)
HEAD = list(HEAD_POINTS)


def speaking(frames: int = FRAMES) -> Pose:
    """A resting person whose lower lip goes up and down."""
    reference = still_person(1)
    face = reference.face.xy.repeat(frames, 0)
    face[:, 60:68, 1] += 0.01 * (1 + np.sin(np.arange(frames)))[:, None]
    points = Keypoints(face, reference.face.score.repeat(frames, 0))
    still = np.zeros(frames)
    head = HeadMotion(np.zeros((frames, 3)), np.zeros((frames, 2)), still, still)
    return talking_head(reference, points, head, FPS)


def swaying(frames: int = FRAMES) -> Pose:
    """A driver beside the rest, who goes to and fro, raises an arm and speaks."""
    pose = speaking(frames)
    way = 0.08 + 0.02 * np.sin(np.arange(frames) / 6)
    step = np.stack([way, np.zeros(frames)], 1)[:, None]
    body = pose.body.xy + step
    body[:, L_WRIST, 1] -= 0.2
    return replace(
        pose,
        body=Keypoints(body, pose.body.score),
        hands=Keypoints(pose.hands.xy + step, pose.hands.score),
        face=Keypoints(pose.face.xy + step, pose.face.score),
    )


def without(pose: Pose, frames: np.ndarray, parts: tuple[str, ...]) -> Pose:
    """The pose with some of its parts missing in some frames, (T,) bool."""
    for name in parts:
        points = getattr(pose, name)
        gone = frames[:, None]
        xy = np.where(gone[..., None], 0.0, points.xy)
        score = np.where(gone, 0.0, points.score)
        pose = replace(pose, **{name: Keypoints(xy, score)})
    return pose


def between(first: int, last: int) -> np.ndarray:
    rows = np.arange(FRAMES)
    return (rows >= first) & (rows < last)


def steps(pose: Pose) -> np.ndarray:
    """The largest step of a body point from frame to frame, in pixels."""
    ways = np.diff(pose.body.xy * pose.pixel_scale, axis=0)
    return np.linalg.norm(ways, axis=2).max(1)


def opening(pose: Pose) -> np.ndarray:
    top, bottom = LIPS
    return pose.face.xy[:, bottom, 1] - pose.face.xy[:, top, 1]


EVERYTHING = ("body", "hands", "face")
GAPS = {
    "walks in late": between(0, 40),
    "leaves": between(30, FRAMES),
    "away for long": between(20, 80),
    "away for a moment": between(45, 55),
    "comes for the last third": between(0, 67),
}


@pytest.mark.parametrize("gone", GAPS.values(), ids=GAPS.keys())
def test_the_body_eases_to_and_from_rest_and_the_mouth_speaks_throughout(gone) -> None:
    rest = speaking()
    whole = swaying()
    out = absence.ease(without(whole, gone, EVERYTHING), rest)
    there = ~gone
    assert np.array_equal(out.body.xy[there], whole.body.xy[there])
    assert np.array_equal(out.face.xy[there], whole.face.xy[there])
    assert out.body.visible.all() and out.face.visible.all() and out.hands.visible.all()
    assert np.allclose(opening(out), opening(rest), atol=2e-3)
    way = np.linalg.norm((whole.body.xy - rest.body.xy) * whole.pixel_scale, axis=2).max()
    assert steps(out).max() < max(1.6 * way / (0.4 * FPS), 1.1 * steps(whole).max())
    farthest = np.flatnonzero(gone)[len(np.flatnonzero(gone)) // 2]
    if gone.sum() > 50:
        assert np.allclose(out.body.xy[farthest], rest.body.xy[farthest], atol=1e-9)
        assert np.allclose(out.face.xy[farthest], rest.face.xy[farthest], atol=1e-9)


def test_bones_keep_their_lengths_on_the_way_to_rest() -> None:
    out = absence.ease(without(swaying(), GAPS["leaves"], EVERYTHING), speaking())
    for start, stop in UPPER_ARMS:
        bone = (out.body.xy[:, stop] - out.body.xy[:, start]) * out.pixel_scale
        length = np.linalg.norm(bone, axis=1)
        assert np.ptp(length) < 0.05 * length.mean()


def test_without_a_face_the_head_hangs_on_the_neck_and_speaks() -> None:
    rest = speaking()
    whole = swaying()
    out = absence.ease(without(whole, np.ones(FRAMES, bool), ("face",)), rest)
    shift = (whole.body.xy - rest.body.xy)[:, [NECK]]
    assert np.allclose(out.face.xy, rest.face.xy + shift)
    assert np.allclose(out.body.xy[:, HEAD], rest.body.xy[:, HEAD] + shift)
    others = [k for k in range(18) if k not in HEAD]
    assert np.array_equal(out.body.xy[:, others], whole.body.xy[:, others])


def test_a_head_that_turns_away_comes_back_smoothly_and_speaks() -> None:
    rest = speaking()
    whole = swaying()
    xy = whole.face.xy.copy()
    xy[..., 0] += 0.03  # the driver's head leans to one side
    whole = replace(whole, face=Keypoints(xy, whole.face.score))
    gone = between(40, 70)
    out = absence.ease(without(whole, gone, ("face",)), rest)
    assert np.allclose(opening(out), opening(rest), atol=2e-3)
    place = out.face.xy[:, RIGID_FACE].mean(1) * out.pixel_scale
    jump = np.linalg.norm(np.diff(place, axis=0), axis=1).max()
    assert jump < 1.6 * 0.03 * out.size[1] / (0.4 * FPS) + steps(whole).max()


def test_a_driver_who_is_never_there_leaves_the_reference_as_it_rests() -> None:
    rest = speaking()
    out = absence.ease(without(swaying(), np.ones(FRAMES, bool), EVERYTHING), rest)
    assert np.array_equal(out.body.xy, rest.body.xy)
    assert np.array_equal(out.face.xy, rest.face.xy)


def test_a_driver_who_is_always_there_is_untouched() -> None:
    whole = swaying()
    assert absence.ease(whole, speaking()) is whole


def test_an_arm_that_the_nearest_frame_does_not_show_rests() -> None:
    rest = speaking()
    whole = swaying()
    whole.body.score[:, L_WRIST] = 0
    gone = between(50, FRAMES)
    out = absence.ease(without(whole, gone, EVERYTHING), rest)
    arm = out.body.xy[gone, L_WRIST] - out.body.xy[gone, 5]
    resting = rest.body.xy[gone, L_WRIST] - rest.body.xy[gone, 5]
    assert out.body.visible[gone, L_WRIST].all() and np.allclose(arm, resting)
