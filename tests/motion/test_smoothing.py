"""Stilling tremble: what is left at rest, what strokes lose, and what must stay as it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.motion import smoothing
from pipeline.values import BODY, FACE, HANDS, Keypoints, Pose

FPS, SIZE, WIDTH, NOISE = 25.0, (768, 512), 120.0, 0.006
FRAMES = 200
REST = slice(10, 90)


def beating(milliseconds: float, size: float) -> tuple[Pose, np.ndarray, list[int]]:
    """A wrist that rests for four seconds and then beats; its place in shoulder widths, and the
    apexes."""
    frames = np.arange(FRAMES)
    reach = milliseconds / 1000 * FPS
    apexes = [round(a) for a in np.arange(112, 190, max(15, 1.7 * reach))]
    x = sum(
        np.where(
            np.abs(frames - a) < reach, size * (1 + np.cos(np.pi * (frames - a) / reach)) / 2, 0.0
        )
        for a in apexes
    )
    body = np.zeros((FRAMES, BODY, 2))
    body[:, 2], body[:, 5], body[:, 4] = (196, 200), (196 + WIDTH, 200), (226, 400)
    body[:, 4, 0] += x * WIDTH
    pose = Pose.empty(FRAMES, FPS, SIZE)
    points = Keypoints(body / (SIZE[1], SIZE[0]), np.ones((FRAMES, BODY)))
    return replace(pose, body=points), x, apexes


def trembling(pose: Pose, seed: int) -> Pose:
    noise = np.random.default_rng(seed).normal(0, NOISE * WIDTH, pose.body.xy.shape) / (
        SIZE[1],
        SIZE[0],
    )
    return replace(pose, body=Keypoints(pose.body.xy + noise, pose.body.score))


def wrist(pose: Pose) -> np.ndarray:
    return (pose.body.xy[:, 4, 0] * SIZE[1] - 226) / WIDTH


@pytest.mark.parametrize(
    "milliseconds, size", [(120, 0.3), (160, 0.3), (160, 0.1), (240, 0.3), (400, 0.3)]
)
def test_rest_is_stilled_and_strokes_keep_peak_and_speed(milliseconds, size):
    """At most 40 % of the tremble is left; peak and fastest move of the strokes lose at most 5
    %."""
    rest, peaks, speeds = [], [], []
    for seed in range(6):
        pose, x, apexes = beating(milliseconds, size)
        noisy = trembling(pose, seed)
        before, after = wrist(noisy), wrist(smoothing.still(noisy))
        rest.append(np.std(after[REST]) / np.std(before[REST]))
        peaks.append(np.mean(after[apexes]) / size)
        speeds.append(
            np.mean([np.abs(np.diff(after[a - 8 : a + 8])).max() for a in apexes])
            / np.abs(np.diff(x)).max()
        )
    assert np.mean(rest) <= 0.4 and np.mean(peaks) >= 0.95 and np.mean(speeds) >= 0.95


def test_there_is_no_lag():
    """Zero phase: a mirrored clip gives the mirrored result."""
    noisy = trembling(beating(300, 0.2)[0], 0)
    again = smoothing.still(noisy[np.arange(FRAMES)[::-1]])
    assert np.abs(again.body.xy[::-1] - smoothing.still(noisy).body.xy).max() < 1e-12


def test_gaps_are_left_and_nothing_is_drawn_into_them():
    pose = trembling(beating(160, 0.3)[0], 1)
    score, xy = pose.body.score.copy(), pose.body.xy.copy()
    for gap in (slice(0, 4), slice(40, 43), slice(100, 130), slice(196, 200)):
        score[gap, 4] = 0
        xy[gap, 4] = (9, 9)
    out = smoothing.still(replace(pose, body=Keypoints(xy, score))).body
    assert np.array_equal(out.score, score) and (out.xy[score[:, 4] == 0, 4] == 9).all()
    seen = score[:, 4] > 0
    assert np.abs(wrist(replace(pose, body=out)) - wrist(pose))[seen].max() < 5 * NOISE


def test_a_jump_cut_stays_a_jump():
    pose, *_ = beating(160, 0.0)
    xy = pose.body.xy.copy()
    xy[100:, 4] += 0.3
    out = smoothing.still(trembling(replace(pose, body=Keypoints(xy, pose.body.score)), 0)).body.xy[
        :, 4, 0
    ]
    step = np.diff(out)[99]
    assert step > 0.95 * 0.3


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.floats(0, 1))
def test_any_pose_stays_finite_with_its_scores(seed, frames, share):
    rng = np.random.default_rng(seed)
    kinds = []
    for k in (BODY, HANDS, FACE):
        score = rng.random((frames, k)) * (rng.random((frames, k)) < share)
        kinds.append(Keypoints(rng.normal(0.5, 10 ** rng.uniform(-6, 1), (frames, k, 2)), score))
    pose = Pose(*kinds, FPS, SIZE)
    out = smoothing.still(pose)
    for name in ("body", "hands", "face"):
        old, new = getattr(pose, name), getattr(out, name)
        assert np.isfinite(new.xy).all() and np.array_equal(new.score, old.score)
        assert np.array_equal(new.xy[old.score == 0], old.xy[old.score == 0])
