"""The slider read in frames, and small repairs enlarged: planted faults give the figures that they should."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.evaluation import mini
from pipeline.evaluation.mini import cases, resolution, slider
from pipeline.evaluation.mini.resolution import Enlarged
from pipeline.motion.keypoints import WRISTS
from pipeline.render import load
from pipeline.values import Keypoints, Pose
from tests.helpers.talks import tiny_talk
from tests.helpers.tiny import tiny_pipeline

FRAMES = 60
INTENSITY = np.clip(np.sin(np.arange(FRAMES) / 4), 0, 1)
EXCITATION = 2 * INTENSITY - 1


def swinging(size: np.ndarray, noise: float = 0.0, seed: int = 0) -> Pose:
    """A person with still shoulders whose wrists (T,) swing by `size` shoulder widths, read with noise."""
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
    """A skeleton that swings more where the speech is intense; frames show `gain` of the difference."""
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
        assert slider.kept([taken(gain)])[0] == pytest.approx(gain)
        noisy = slider.kept([taken(gain, 0.02), taken(gain, 0.02)])
        assert noisy[0] == pytest.approx(gain, abs=0.08) and noisy[1] < 0.99


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
    found = slider.person(np.full((3, 96, 64, 3), 90, np.uint8))
    assert len(found) == 3 and not found.body.visible.any()


def enlarging(seed: int = 0) -> Enlarged:
    """A textured truth that stands still; sources blurred and shifted; a gate that trusts the left half."""
    generator = torch.Generator().manual_seed(seed)
    truth = F.avg_pool2d(torch.rand((1, 3, 68, 68), generator=generator), 3, 1).expand(
        4, -1, -1, -1
    )
    plain = F.avg_pool2d(truth, 5, 1, 2, count_include_pad=False)
    warp = truth.roll(1, 3)
    gate = ((36 - torch.arange(66.0)) / 6).clamp(0, 1).expand(4, 1, 66, 66)
    face = torch.zeros(4, 1, 66, 66)
    face[:, :, 10:50, 10:50] = 1
    return Enlarged(truth, warp, plain, torch.lerp(plain, truth, gate), face, gate)


def with_result(one: Enlarged, result: torch.Tensor) -> set[str]:
    changed = Enlarged(one.truth, one.warp, one.plain, result, one.face, one.trust)
    rows = resolution.table([resolution.figures(changed)])
    return {row.name.removeprefix("enlarged: ") for row in rows if row.passed is False}


def test_detail_without_faults_passes_and_each_fault_fails_its_row():
    one = enlarging()
    assert with_result(one, one.result) == set()
    less = {"PSNR whole: result less plain", "PSNR face: result less plain"}
    assert less < with_result(one, one.plain)
    seam = one.result + 0.3 * (one.trust > 0.5)
    assert "gate's border, gradient's error over the sources'" in with_result(one, seam)
    assert "gate's border, contrast over the truth's: result" in with_result(one, seam)
    ring = one.result.clone()
    ring[..., 20, :] = 1.0
    assert "halo: result less its sources' larger" in with_result(one, ring)
    flash = one.result + 0.02 * (torch.arange(4) % 2).view(-1, 1, 1, 1)
    assert with_result(one, flash) == {"flicker, grey levels: result"}


def test_haloes_and_contrast_are_counted_as_planted():
    one = enlarging()
    assert resolution.halo(one.truth, one.truth) == 0
    spots = one.truth.clone()
    spots[:, 1, ::6, ::6] = 1.2
    assert resolution.halo(spots, one.truth) == pytest.approx((11 / 66) ** 2)
    assert resolution.contrast(one.truth, resolution.border(one)) == pytest.approx(1, abs=0.2)
    assert np.isnan(resolution.contrast(one.truth, torch.zeros(4, 1, 65, 65, dtype=torch.bool)))


def test_the_frames_that_are_measured_are_those_of_the_pipeline():
    talk, pipe = (
        tiny_talk(0, frames=10),
        tiny_pipeline(),
    )  # three windows of four with one frame in common
    given = cases.case(talk, talk)
    found = resolution.made(pipe, given)
    assert (
        found.result - cases.rendered(pipe, given, given.motion)
    ).abs().max() < 0.51 / 255 + 1e-6
    assert (found.warp - cases.warped(given, given.motion)).abs().mean() < 0.1 / 255
    assert (
        found.plain.shape == found.truth.shape and 0 <= found.trust.min() <= found.trust.max() <= 1
    )


@pytest.mark.slow
def test_the_shipped_model_keeps_the_gain_in_frames():
    pipe = load.load(str(mini.SHIPPED), device="cpu")
    rows = {row.name: row for row in slider.rows(pipe, 1)}
    assert rows["slider end to end: wrists' displacement kept, slope"].value > 0.7
    assert rows["slider end to end: wrists read in frames, of those drawn"].value > 0.8
    assert rows["slider end to end: speed-intensity r, share of the gain kept"].value > 0.7
