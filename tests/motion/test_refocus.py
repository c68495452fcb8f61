"""Refocusing: planted skeletons, safety in every frame, and the effect on real poses and speech."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from pipeline.evaluation.metrics import gestures, pairing, refocus_effect
from pipeline.evaluation.metrics.correlation import intensity_correlation
from pipeline.motion.prosody import EXCITATION_SECONDS
from pipeline.motion.refocus import TUNING, refocus
from pipeline.values import Keypoints, Motion, Pose
from tests.helpers.motions import as_motion, beat
from tests.helpers.processor_time import units
from tests.helpers.stick_person import FPS, planted
from tests.helpers.stick_person import PLANTED_SIZE as SIZE


def pixels(pose: Pose) -> np.ndarray:
    return pose.body.xy * np.array([pose.size[1], pose.size[0]])


def bone_angle(pose: Pose, a: int, b: int) -> np.ndarray:
    v = pixels(pose)[:, b] - pixels(pose)[:, a]
    return np.unwrap(np.arctan2(v[:, 1], v[:, 0]))


def test_nothing_changes_at_zero():
    before = as_motion(planted())
    after = refocus(before, 0.0, 0.0, "both")
    for part in ("body", "hands", "face"):
        assert np.array_equal(getattr(after.pose, part).xy, getattr(before.pose, part).xy)
        assert np.array_equal(getattr(after.pose, part).score, getattr(before.pose, part).score)
    assert np.array_equal(after.control_strength, before.control_strength)


def test_usual_level_changes_nothing():
    """Excitation 0 is the speaker's own level: gain 1 and the same bits at any strength."""
    before = as_motion(planted(), np.zeros(250))
    assert np.array_equal(refocus(before, 2.0).pose.body.xy, before.pose.body.xy)


def test_constant_accent_scales_a_planted_stroke():
    """One arm beats at 1.25 Hz by 0.2 rad; at e = 0.5, s = 1 its swing must grow by LOUD^(0.5
    a)."""
    pose = planted(swing=0.0)
    z = pixels(pose)[..., 0] + 1j * pixels(pose)[..., 1]
    turn = np.exp(0.2j * np.sin(2 * np.pi * 1.25 * np.arange(250) / FPS))
    z[:, 3:5] = z[:, 2:3] + (z[:, 3:5] - z[:, 2:3]) * turn[:, None]
    body = Keypoints(np.stack([z.real / SIZE[1], z.imag / SIZE[0]], 2), pose.body.score)
    after = refocus(as_motion(replace(pose, body=body), np.full(250, 0.5)), 1.0)
    middle = slice(50, 200)
    grown = np.ptp(bone_angle(after.pose, 2, 3)[middle]) / 0.4
    assert grown == pytest.approx(TUNING.loud ** (0.5 * TUNING.exponents[2]), rel=0.06)
    calm = refocus(as_motion(replace(pose, body=body), np.full(250, -0.5)), 1.0)
    expected = TUNING.quiet ** (0.5 * TUNING.exponents[2])
    assert np.ptp(bone_angle(calm.pose, 2, 3)[middle]) / 0.4 == pytest.approx(expected, rel=0.15)


def test_accents_grow_and_pauses_calm_without_lag():
    before = as_motion(planted())
    after = refocus(before, 1.0)
    home = gestures.rest(before.pose, before.excitation)
    old, new = gestures.figures(before, home), gestures.figures(after, home)
    assert new.ratio >= 1.3 * old.ratio and new.correlation >= old.correlation + 0.1
    assert (
        abs(
            int(np.argmax(refocus_effect.lag_curve(before.pose, after.pose, before.excitation)))
            - refocus_effect.LAG_REACH_FRAMES
        )
        <= 1
    )


def test_monotone_in_the_slider():
    """A bone's angle moves on in one direction as the slider rises.

    Not where stroke and posture pull apart, and above 1 not where the gain of a slow gesture is
    slowed more.
    """
    pose = planted(scale=110.0)
    motion = as_motion(pose, np.clip(beat(), -1, 0.6))
    for top, share in ((1, 0.02), (2, 0.15)):
        angles = np.stack(
            [bone_angle(refocus(motion, s).pose, 2, 3) for s in np.linspace(0, top, 9)]
        )
        steps = np.diff(angles, axis=0)
        opposed = (steps.max(0) > 1e-4) & (steps.min(0) < -1e-4)
        assert opposed.mean() <= share
    ratios = [
        gestures.figures(refocus(motion, s), gestures.rest(pose, motion.excitation)).ratio
        for s in (0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(ratios) > 0).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0, 2),
    st.floats(-0.5, 0.5),
    st.floats(60, 330),
    st.floats(-0.1, 1.1),
    st.floats(0.0, 0.9),
    st.floats(0, 1),
)
def test_safety_rows(seed, strength, size, scale, x, y, missing):
    """Limbs, torso, feet, lips, frame and missing joints, for people of any size at any place."""
    pose = planted(60, seed, 0.9, scale=scale, place=(x, y))
    rng = np.random.default_rng(seed)
    gone = (rng.random((60, 18)) < 0.3) & (missing > 0.6)
    body = Keypoints(
        np.where(gone[..., None], 0.0, pose.body.xy), np.where(gone, 0.0, pose.body.score)
    )
    before = as_motion(replace(pose, body=body), rng.uniform(-1, 1, 60))
    after = refocus(before, strength, size).pose
    limbs, torso = refocus_effect.drift(before.pose, after)
    assert limbs <= 1e-5 and torso <= 0.05
    assert refocus_effect.lower_body_shift(before.pose, after) == 0
    assert refocus_effect.newly_outside(before.pose, after) == 0
    assert refocus_effect.lip_shift(before.pose, after) <= 1e-6
    assert np.array_equal(after.body.xy[gone], body.xy[gone]) and np.array_equal(
        after.body.score, body.score
    )
    assert all(np.isfinite(p.xy).all() for p in (after.body, after.hands, after.face))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.sampled_from(["random", "one place", "missing", "nan"]),
)
def test_degenerate_poses_stay_finite_where_they_were(seed, frames, kind):
    rng = np.random.default_rng(seed)
    parts = []
    for count in (18, 42, 68):
        xy = (
            rng.uniform(-0.5, 1.5, (frames, count, 2))
            if kind != "one place"
            else np.full((frames, count, 2), 0.5)
        )
        score = np.zeros((frames, count)) if kind == "missing" else rng.random((frames, count))
        if kind == "nan":
            xy[score < 0.3] = np.nan
        parts.append(Keypoints(xy, score))
    before = as_motion(Pose(*parts, FPS, SIZE), rng.uniform(-1, 1, frames))
    after = refocus(before, 2.0, 0.5, "both")
    for old, new in zip(parts, (after.pose.body, after.pose.hands, after.pose.face), strict=True):
        assert np.isfinite(new.xy[old.visible]).all()
        assert np.array_equal(new.xy[~old.visible], old.xy[~old.visible], equal_nan=True)
    assert refocus_effect.newly_outside(before.pose, after.pose) == 0


def test_head_and_face_turn_as_one_rigid_body():
    before = as_motion(planted())
    after = refocus(before, 2.0)

    def shape(pose: Pose) -> np.ndarray:
        points = np.concatenate([pose.face.xy, pose.body.xy[:, [0, 14, 15, 16, 17]]], 1)
        z = points @ np.array([pose.size[1], 1j * pose.size[0]])
        return np.abs(z[:, :, None] - z[:, None, :])

    assert np.abs(shape(after.pose) - shape(before.pose)).max() < 1e-9
    assert np.abs(after.pose.face.xy - before.pose.face.xy).max() > 1e-3


def test_hand_stays_on_its_wrist_and_keeps_its_shape():
    before, after = planted(), refocus(as_motion(planted()), 2.0).pose
    for wrist, first in ((4, 21), (7, 0)):

        def reach(pose, wrist=wrist, first=first):
            hand = pose.hands.xy[:, first : first + 21] * np.array([pose.size[1], pose.size[0]])
            return np.linalg.norm(hand - pixels(pose)[:, wrist, None], axis=2)

        assert np.abs(reach(after) - reach(before)).max() < 1e-9
    assert np.abs(after.hands.xy - before.hands.xy).max() > 0.01


def test_missing_elbow_does_not_tear_the_arm():
    """An elbow that is away for 8 frames: the wrist's largest step is at most twice the usual
    one."""
    pose = planted(swing=0.3)
    score = pose.body.score.copy()
    score[100:108, 3] = 0
    whole = refocus(as_motion(pose), 1.0).pose
    holed = refocus(as_motion(replace(pose, body=Keypoints(pose.body.xy, score))), 1.0).pose
    step = np.linalg.norm(np.diff(pixels(holed)[:, 4], axis=0), axis=1)
    usual = np.linalg.norm(np.diff(pixels(whole)[:, 4], axis=0), axis=1).max()
    assert step[90:120].max() <= 2 * usual


def slow_arms(frames: int = 375) -> Pose:
    """Both arms turn as slowly and smoothly as drawn ones: 0.35 Hz by 0.3 rad, nothing else
    moves."""
    pose = planted(frames, swing=0.0)
    z = pixels(pose)[..., 0] + 1j * pixels(pose)[..., 1]
    turn = np.exp(0.3j * np.sin(2 * np.pi * 0.35 * np.arange(frames) / FPS))[:, None]
    for shoulder in (2, 5):
        arm = [shoulder + 1, shoulder + 2]
        z[:, arm] = z[:, [shoulder]] + (z[:, arm] - z[:, [shoulder]]) * turn
    return replace(
        pose, body=Keypoints(np.stack([z.real / SIZE[1], z.imag / SIZE[0]], 2), pose.body.score)
    )


def accents(frames: int) -> np.ndarray:
    """Excitation of speech: accents of random strength, as smooth as `prosody` makes them."""
    rng = np.random.default_rng(3)
    steps = np.repeat(rng.uniform(-1, 1, frames), 8)[:frames]
    return gaussian_filter1d(steps, EXCITATION_SECONDS * FPS)


@pytest.mark.parametrize("away", [0, 3, 40])
def test_a_slow_smooth_gesture_gets_no_jerk(away):
    """Also where a wrist is away for some frames, as behind the picture's edge."""
    pose = slow_arms()
    score = pose.body.score.copy()
    score[200 : 200 + away, 4] = 0
    before = as_motion(replace(pose, body=Keypoints(pose.body.xy, score)), accents(len(pose)))
    after, free = refocus(before, 1.0), refocus(before, 1.0, tuning=replace(TUNING, pace=0.0))
    old, new, without = (gestures.jerk(motion.pose) for motion in (before, after, free))
    assert new.mean() <= 1.5 * old.mean() and np.quantile(new, 0.99) <= 2.5 * np.quantile(old, 0.99)
    assert without.mean() > 5 * new.mean()
    assert np.abs(after.pose.body.xy - before.pose.body.xy)[:, [3, 6]].max() > 0.01  # it still acts


def test_the_pace_of_detected_motion_changes_nothing():
    """With a detector's tremble the gain follows the speech as it is: slowing is for smooth motion
    only."""
    rng = np.random.default_rng(0)
    pose = slow_arms()
    body = Keypoints(pose.body.xy + rng.normal(0, 0.002, pose.body.xy.shape), pose.body.score)
    motion = as_motion(replace(pose, body=body), accents(len(pose)))
    free = refocus(motion, 1.0, tuning=replace(TUNING, pace=0.0))
    assert np.array_equal(refocus(motion, 1.0).pose.body.xy, free.pose.body.xy)


def test_guard_holds_a_low_hand_and_frees_the_other():
    """The right hand touches the lower edge; the left arm must still gain."""
    pose = planted(scale=150.0)
    lowest = pose.hands.xy[:, 21:, 1].max()
    lift = 0.999 - lowest
    parts = [
        Keypoints(p.xy + np.array([0, lift]), p.score) for p in (pose.body, pose.hands, pose.face)
    ]
    moved = replace(pose, body=parts[0], hands=parts[1], face=parts[2])
    before = as_motion(moved)
    after = refocus(before, 2.0).pose
    assert refocus_effect.newly_outside(moved, after) == 0
    travel = np.abs(after.body.xy - moved.body.xy).max((0, 2))
    assert travel[7] > 0.02


def test_gate_moves_only_the_guidance():
    before = as_motion(planted())
    gate, both = refocus(before, 2.0, mode="gate"), refocus(before, 2.0, mode="both")
    assert gate.pose is before.pose
    assert gate.control_strength.min() == pytest.approx(0.8) and gate.control_strength.max() <= 1.2
    assert np.allclose(gate.control_strength, np.clip(1 + 0.2 * before.excitation, 0.8, 1.2))
    assert np.array_equal(both.control_strength, gate.control_strength)
    assert np.array_equal(both.pose.body.xy, refocus(before, 2.0).pose.body.xy)
    assert np.array_equal(refocus(before, 2.0).control_strength, before.control_strength)


def test_size_scales_all_gestures_alike():
    before = as_motion(planted(), np.zeros(250))
    spread = [np.std(bone_angle(refocus(before, 0.0, b).pose, 2, 3)) for b in (-0.5, 0.0, 0.5)]
    assert spread[0] < 0.85 * spread[1] and spread[2] > 1.15 * spread[1]


def test_no_bone_turns_further_than_its_limit():
    """A lasting pause would pull a raised arm to its rest; the limit keeps it near the driving
    video."""
    pose = planted(swing=2.5)

    def turned(after: Pose, a: int, b: int) -> np.ndarray:
        return np.degrees(
            (bone_angle(after, a, b) - bone_angle(pose, a, b) + np.pi) % (2 * np.pi) - np.pi
        )

    for e in (-1.0, 1.0):
        after = refocus(as_motion(pose, np.full(250, e)), 2.0).pose
        own = np.abs(turned(after, 2, 3) - turned(after, 2, 5))  # the shoulders turn with the torso
        assert 20 < own.max() <= TUNING.limits[2] + 1e-6


@pytest.mark.parametrize(
    "strength, size", [(-0.1, 0), (2.1, 0), (np.nan, 0), (1, 0.6), (1, np.inf)]
)
def test_numbers_out_of_range_are_refused(strength, size):
    with pytest.raises(ValueError, match="must lie between"):
        refocus(as_motion(planted(10)), strength, size)


def test_unknown_mode_and_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="mode"):
        refocus(as_motion(planted(10)), 1.0, mode="louder")
    with pytest.raises(ValueError, match="frames"):
        refocus(as_motion(planted(10), beat(9)), 1.0)


def test_speed():
    """250 frames take .7 units, 1500 take 3.7."""
    for frames, limit in ((250, 2), (1500, 10)):
        motion = as_motion(planted(frames))
        assert units(lambda motion=motion: refocus(motion, 1.0)) <= limit


@pytest.fixture(scope="module")
def real_pairs(shared) -> list[Motion]:
    from pipeline.media import read_audio

    folder = shared / "media"
    sounds = [
        read_audio(p)
        for p in sorted(folder.glob("speech/a0[12456]*")) + sorted(folder.glob("speech/a12*"))
    ]
    poses = [pairing.read_pose(p) for p in sorted(folder.glob("pose/echomimic*.npz"))]
    assert len(sounds) == 6 and len(poses) == 3
    return [
        pairing.paired(pose, sound, (53 * k + turn * len(pose)) % (2 * len(pose) - 2))
        for pose in poses
        for k, sound in enumerate(sounds)
        for turn in range(2)
    ]


@pytest.mark.slow
def test_a_person_sees_it_on_real_poses(real_pairs):
    """The levels of issue A, pooled over 36 pairs of at least ten seconds."""
    assert len(real_pairs) >= 20 and min(len(m) for m in real_pairs) >= 250
    one, two = (
        refocus_effect.pooled_effect(real_pairs, 1.0),
        refocus_effect.pooled_effect(real_pairs, 2.0),
    )
    assert one.rise >= 0.10 and two.rise >= 0.18
    assert one.ratio >= 1.3 and two.ratio > one.ratio
    assert one.jerk <= 1.5 and one.jerk99 <= 1.5 and abs(one.lag) <= 1
    for row in (one, two):
        assert row.drift <= 1e-5 and row.torso <= 0.05 and row.lips <= 1e-6
        assert row.outside == 0 and row.feet == 0


@pytest.mark.slow
def test_another_speech_gives_no_rise(real_pairs):
    """Refocused by another moment's excitation, the body does not follow this speech better."""
    rises = []
    for motion in real_pairs:
        shifted = replace(motion, excitation=np.roll(motion.excitation, len(motion) // 2))
        after = refocus(shifted, 1.0)
        r = [
            intensity_correlation(gestures.speed(m.pose), motion.intensity, FPS)[0]
            for m in (motion, after)
        ]
        rises.append(r[1] - r[0])
    assert abs(np.mean(rises)) <= 0.05
