"""Edits of poses against planted answers."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.motion import keypoints, pose_edits, timing
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import figure

SIZE = (128, 96)


def clock(frames: int = 50, fps: float = 25.0) -> Pose:
    """Every point's x is its time in seconds, so that a resampled pose tells which moment it
    shows."""
    seconds = (np.arange(frames) + 0.5) / fps

    def points(count: int) -> Keypoints:
        return Keypoints(
            np.repeat(seconds[:, None, None], count, 1).repeat(2, 2), np.ones((frames, count))
        )

    return Pose(points(18), points(42), points(68), fps, SIZE)


def pixels(pose: Pose) -> np.ndarray:
    return pose.body.xy * np.array([pose.size[1], pose.size[0]])


def moved(
    pose: Pose, scale: float, degrees: float, shift: tuple[float, float], size: tuple[int, int]
) -> Pose:
    """The same person turned and scaled in pixels, filmed in another picture size."""
    turn, parts = scale * np.exp(1j * np.radians(degrees)), {}
    for name in ("body", "hands", "face"):
        part = getattr(pose, name)
        z = turn * (part.xy[..., 0] * pose.size[1] + 1j * part.xy[..., 1] * pose.size[0]) + complex(
            *shift
        )
        parts[name] = Keypoints(np.stack([z.real / size[1], z.imag / size[0]], 2), part.score)
    return replace(pose, size=size, **parts)


def test_trim_keeps_the_frames_between_two_times():
    pose = clock()
    assert np.array_equal(pose_edits.trim(pose, 0.4, 1.2).body.xy, pose.body.xy[10:30])
    assert (
        len(pose_edits.trim(pose, stop=1.0)) == 25 and len(pose_edits.trim(pose, start=1.0)) == 25
    )
    assert np.array_equal(pose_edits.trim(pose).body.xy, pose.body.xy)


@pytest.mark.parametrize(
    "times", [(1.0, 1.0), (1.5, 0.5), (-1.0, 1.0), (2.0, 3.0), (0.0, 9.0), (0.505, 0.515)]
)
def test_trim_refuses_what_the_clip_does_not_hold(times):
    with pytest.raises(ValueError, match="times"):
        pose_edits.trim(clock(), *times)


def test_mirror_swaps_sides_and_twice_is_the_same():
    pose = figure(5)
    seen = pose_edits.mirror(pose)
    assert np.allclose(
        seen.body.xy[:, 4, 0], 1 - pose.body.xy[:, 7, 0]
    )  # the right wrist was the left one
    assert np.allclose(seen.hands.xy[:, :21, 0], 1 - pose.hands.xy[:, 21:, 0])
    again = pose_edits.mirror(seen)
    for name in ("body", "hands", "face"):
        assert np.abs(getattr(again, name).xy - getattr(pose, name).xy).max() < 1e-15
        assert np.array_equal(getattr(again, name).score, getattr(pose, name).score)


def test_mirror_of_a_face_keeps_the_order_of_ibug():
    """On a symmetric face each point must land on its own place; a wrong pair would not."""
    half = {
        0: -8,
        17: -7,
        21: -2,
        31: -2,
        36: -6,
        37: -5,
        38: -4,
        39: -3,
        40: -4,
        41: -5,
        48: -4,
        50: -1,
    }
    half |= {
        49: -2.5,
        32: -1,
        60: -3,
        61: -1,
        67: -1,
        59: -2.5,
        58: -1,
        8: 0,
        27: 0,
        30: 0,
        51: 0,
        57: 0,
        62: 0,
        66: 0,
    }
    other = {
        0: 16,
        17: 26,
        21: 22,
        31: 35,
        36: 45,
        37: 44,
        38: 43,
        39: 42,
        40: 47,
        41: 46,
        48: 54,
        50: 52,
    }
    other |= {49: 53, 32: 34, 60: 64, 61: 63, 67: 65, 59: 55, 58: 56}
    pose = figure(1)
    xy = pose.face.xy.copy()
    for left, x in half.items():
        xy[0, left] = 0.5 + x / 100, left / 100
        if left in other:
            xy[0, other[left]] = 0.5 - x / 100, left / 100
    pose = replace(pose, face=Keypoints(xy, pose.face.score))
    seen = pose_edits.mirror(pose)
    for left in half:
        assert np.allclose(seen.face.xy[0, left], xy[0, left])
    assert (
        sorted(keypoints.MIRROR_FACE) == list(range(68))
        and (np.arange(68) != keypoints.MIRROR_FACE).sum() == 58
    )


def test_mirror_leaves_missing_points_missing():
    pose = figure(2)
    score = pose.body.score.copy()
    score[:, 4] = 0
    seen = pose_edits.mirror(replace(pose, body=Keypoints(pose.body.xy, score)))
    assert (seen.body.score[:, 7] == 0).all() and (seen.body.score[:, 4] > 0).all()


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7, 3.0])
def test_speed_is_correct_in_time(factor):
    pose = clock(100)
    fast = pose_edits.speed(pose, factor)
    assert fast.fps == 25 and abs(len(fast) - 100 / factor) <= 0.5
    shown = fast.body.xy[2:-2, 0, 0]
    wanted = factor * (np.arange(len(fast)) + 0.5)[2:-2] / 25
    assert np.abs(shown - wanted).max() < 1e-9


@pytest.mark.parametrize("factor", [0.0, -1.0, 11.0, float("nan")])
def test_speed_refuses_nonsense(factor):
    with pytest.raises(ValueError, match="speed"):
        pose_edits.speed(clock(), factor)


def test_loop_and_pingpong_have_no_jump():
    pose = figure(40)
    step = np.abs(np.diff(pose.body.xy, axis=0)).max()
    for made in (pose_edits.loop(pose, 130), pose_edits.pingpong(pose, 130)):
        assert len(made) == 130
        assert np.abs(np.diff(made.body.xy, axis=0)).max() < 2 * step
    ends = clock(40)
    assert (
        np.abs(np.diff(pose_edits.loop(ends, 130).body.xy[:, 0, 0])).max() < 0.5 * 40 / 25
    )  # no hard cut


def test_arms_of_the_same_person_filmed_otherwise_come_back():
    """The other clip is the person itself, turned, scaled and moved: its arms must fit to the
    pixel."""
    pose = figure(30)
    seen = pose.body.score.copy()
    seen[:, [8, 11]] = 1
    pose = replace(pose, body=Keypoints(pose.body.xy, seen))
    other = moved(pose, 2.5, 12.0, (70, -20), (300, 500))
    plain = replace(pose, body=Keypoints(pose.body.xy + 0, seen), hands=Keypoints.missing(30, 42))
    made = pose_edits.with_arms(plain, other)
    assert np.abs(pixels(made) - pixels(pose)).max() < 1e-6
    assert np.abs(made.hands.xy - pose.hands.xy).max() < 1e-8 and made.hands.score.min() == 1


def test_arms_move_and_the_rest_stays():
    pose, other = figure(30), figure(20)
    other = pose_edits.mirror(other)
    made = pose_edits.with_arms(pose, other)
    rest = [k for k in range(18) if k not in (3, 4, 6, 7)]
    assert np.array_equal(made.body.xy[:, rest], pose.body.xy[:, rest])
    assert np.array_equal(made.face.xy, pose.face.xy) and len(made) == 30
    assert np.ptp(made.body.xy[:, 7, 0]) > 0.05 and np.ptp(pose.body.xy[:, 7, 0]) == 0
    fitted = timing.fit_length(other, 30, "pingpong")
    for a, b in ((2, 3), (3, 4), (5, 6), (6, 7)):  # the bones keep their lengths
        length = [np.linalg.norm(pixels(p)[:, a] - pixels(p)[:, b], axis=1) for p in (made, fitted)]
        assert np.allclose(*length)


def test_arms_are_missing_where_the_shoulder_is():
    pose = figure(10)
    score = pose.body.score.copy()
    score[4:6, 2] = 0
    made = pose_edits.with_arms(replace(pose, body=Keypoints(pose.body.xy, score)), figure(10))
    assert (made.body.score[4:6, [3, 4]] == 0).all() and (made.hands.score[4:6, 21:] == 0).all()
    assert made.body.score[4:6, [6, 7]].min() == 1 and made.body.score[:4, [3, 4]].min() == 1


def test_arms_need_a_shared_trunk():
    nobody = Pose.empty(10, 25, SIZE)
    with pytest.raises(ValueError, match="shoulders"):
        pose_edits.with_arms(figure(10), nobody)
