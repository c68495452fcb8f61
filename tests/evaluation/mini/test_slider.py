"""The slider read in frames: planted faults give the figures that they should."""

import numpy as np
import pytest

from pipeline.evaluation import mini
from pipeline.evaluation.mini import slider
from pipeline.motion.keypoints import WRISTS
from pipeline.render import load
from pipeline.values import Keypoints, Pose

FRAMES = 60
INTENSITY = np.clip(np.sin(np.arange(FRAMES) / 4), 0, 1)
EXCITATION = 2 * INTENSITY - 1


def swinging(size: np.ndarray, noise: float = 0.0, seed: int = 0) -> Pose:
    """A person with still shoulders whose wrists (T,) swing by `size` shoulder widths, read with
    noise."""
    xy = np.full((FRAMES, 18, 2), 0.5)
    xy[:, 1], xy[:, 2], xy[:, 5] = (0.5, 0.3), (0.4, 0.3), (0.6, 0.3)
    swing = 0.2 * size * np.sin(1.7 * np.arange(FRAMES))
    xy[:, 4], xy[:, 7] = (0.3, 0.6), (0.7, 0.6)
    xy[:, [4, 7], 0] += swing[:, None]
    xy[:, WRISTS] += noise * np.random.default_rng(seed).standard_normal((FRAMES, 2, 2))
    body = Keypoints(xy, np.ones((FRAMES, 18)))
    return Pose(
        body, Keypoints.missing(FRAMES, 42), Keypoints.missing(FRAMES, 68), slider.FPS, slider.SIZE
    )


def taken(gain: float, noise: float = 0.0) -> slider.Take:
    """A skeleton that swings more where the speech is intense; frames show `gain` of the
    difference."""
    even, more = np.ones(FRAMES), 0.2 + 2 * INTENSITY
    drawn = swinging(even), swinging(more)
    read = swinging(even, noise, 1), swinging(even + gain * (more - even), noise, 2)
    return slider.Take(drawn, read, INTENSITY, EXCITATION)


def unseen(take: slider.Take, frames: int) -> slider.Take:
    """The take with wrists that are read in none of the first frames."""
    poses = []
    for pose in take.read:
        score = pose.body.score.copy()
        score[:frames] = 0
        poses.append(
            Pose(Keypoints(pose.body.xy, score), pose.hands, pose.face, pose.fps, pose.size)
        )
    return slider.Take(take.drawn, tuple(poses), take.intensity, take.excitation)


def test_the_slope_is_the_share_of_the_gain_that_frames_show():
    for gain in (0.0, 0.5, 1.0):
        assert slider.kept_share([taken(gain)]).slope == pytest.approx(gain)
        noisy = slider.kept_share([taken(gain, 0.02), taken(gain, 0.02)])
        assert noisy.slope == pytest.approx(gain, abs=0.08) and noisy.r < 0.99


def test_takes_that_lose_the_gain_or_the_wrists_fail():
    def failed(*takes: slider.Take) -> set[str]:
        return {row.name.split(": ")[1] for row in slider.table(takes) if row.passed is False}

    assert failed(taken(1.0, 0.005)) == set()
    assert "wrists' displacement kept, slope" in failed(taken(0.3))
    assert f"{slider.MEASURES[0]}, share of the gain kept" in failed(taken(0.0))
    assert "wrists read in frames, of those drawn" in failed(unseen(taken(1.0), 40))
    assert "wrists read in frames, of those drawn" not in failed(unseen(taken(1.0), 10))
    nobody = Pose.empty(FRAMES, slider.FPS, slider.SIZE)
    lost = slider.Take(taken(1.0).drawn, (nobody, nobody), INTENSITY, EXCITATION)
    assert failed(lost) == {
        "wrists read in frames, of those drawn",
        "wrists' displacement kept, slope",
    }
    assert all(row.passed is None and row.why == slider.LEFT_OUT for row in slider.table([]))


def test_a_picture_without_anybody_is_read_as_nobody():
    found = slider.detect_person(np.full((3, 96, 64, 3), 90, np.uint8))
    assert len(found) == 3 and not found.body.visible.any()


@pytest.mark.slow
def test_the_shipped_model_keeps_the_gain_in_frames():
    pipe = load.load(str(mini.SHIPPED), device="cpu")
    rows = {row.name: row for row in slider.rows(pipe, 1)}
    assert rows["slider end to end: wrists' displacement kept, slope"].value > 0.7
    assert rows["slider end to end: wrists read in frames, of those drawn"].value > 0.8
    assert rows["slider end to end: speed-intensity r, share of the gain kept"].value > 0.7
