"""Beat gestures without a driving video: on time, calm in pauses, within a body's limits and the
frame."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.metrics import gestures, strokes
from pipeline.evaluation.motion.pose_free import ROUNDING
from pipeline.motion.gestures import beats
from pipeline.motion.gestures.arm_ik import find_arms
from pipeline.motion.gestures.head import draw_head_motion
from pipeline.motion.gestures.strokes import plan_strokes
from pipeline.motion.prosody import Prosody
from pipeline.motion.refocus import refocus
from pipeline.studio.cli.parser import build_parser
from pipeline.studio.request import Request
from pipeline.values import Keypoints, Pose
from tests.helpers.processor_time import units
from tests.helpers.speakers import mirrored, motion, spoken, without
from tests.helpers.stick_person import speaker

WRISTS = [4, 7]


def made(reference: Pose, speech: Prosody, seed: int = 0, mode: str | None = None) -> Pose:
    frames = len(speech)
    face = Keypoints(
        np.repeat(reference.face.xy, frames, 0), np.repeat(reference.face.score, frames, 0)
    )
    head = draw_head_motion(speech, frames, speech.fps, np.random.default_rng(seed))
    return beats.pose_free(reference, face, head, speech, np.random.default_rng((seed, 1)), mode)


def moved(pose: Pose, joint: int) -> float:
    """Largest distance of a body joint from where it starts, in pixels."""
    away = (pose.body.xy[:, joint] - pose.body.xy[0, joint]) * pose.size[::-1]
    return float(np.linalg.norm(away, axis=1).max())


def placed(reference: Pose, joints: dict[int, tuple[float, float]]) -> Pose:
    """The reference with joints elsewhere, hands carried along with their wrists."""
    body, hands = reference.body.xy.copy(), reference.hands.xy.copy()
    for wrist, first in ((4, 21), (7, 0)):
        if wrist in joints:
            hands[:, first : first + 21] += np.array(joints[wrist]) - body[:, wrist]
    for joint, xy in joints.items():
        body[:, joint] = xy
    return replace(
        reference,
        body=Keypoints(body, reference.body.score),
        hands=Keypoints(hands, reference.hands.score),
    )


def raised() -> Pose:
    """The right hand beside the face, palm up; the left hangs straight."""
    return placed(speaker(), {3: (0.22, 0.70), 4: (0.20, 0.53), 6: (0.70, 0.73), 7: (0.71, 0.88)})


def near_edge() -> Pose:
    """Elbows and wrists at the frame's edges."""
    return placed(speaker(), {3: (0.01, 0.70), 4: (0.02, 0.86), 6: (0.99, 0.70), 7: (0.985, 0.95)})


def pointing() -> Pose:
    """Both forearms point at the camera: they are short in the picture."""
    return placed(speaker(), {4: (0.27, 0.76), 7: (0.73, 0.76)})


PEOPLE = {
    "plain": speaker, "mirrored": lambda: mirrored(speaker()), "raised": raised, "edge": near_edge,
    "pointing": pointing, "mirrored raised": lambda: mirrored(raised()),
    "no hands": lambda: without(speaker(), hands=slice(0, 42)), "one arm": lambda: without(speaker(), (7,)),
    "no hips": lambda: without(speaker(), (8, 11)),
}  # fmt: skip


@pytest.mark.parametrize("fps", [25.0, 30.0, 50.0, 60.0])
def test_apexes_lie_at_the_accents(fps: float) -> None:
    speech = spoken(12, fps)
    found = [
        strokes.offsets(made(speaker(fps), speech, seed), speech.accents[:, 0]) for seed in range(4)
    ]
    found = np.concatenate(found)
    assert len(found) > 20
    assert ((found >= -0.08) & (found <= 0.04)).mean() >= 0.9
    assert -0.06 < np.median(found) < 0, "the hand stops shortly before the accent"


def test_a_gesture_can_be_seen_and_grows_with_the_slider() -> None:
    speech, sizes = spoken(12), []
    pose = made(speaker(), speech)
    for strength in (0.0, 1.0, 2.0):
        after = refocus(motion(pose, speaker(), speech), strength).pose
        sizes.append(max(moved(after, joint) for joint in WRISTS) / 180)  # in shoulder widths
    assert 0.2 < sizes[0] < 0.7
    assert sizes[0] * 1.1 < sizes[1] < sizes[2]


def test_hands_hold_still_in_pauses() -> None:
    speech = spoken(
        16, every=0.7, pauses=((3.0, 3.9), (6.0, 7.4), (10.0, 13.0))
    )  # accents near their ends
    quiet, loud = zip(
        *(strokes.pause_speeds(made(speaker(), speech, s), speech) for s in range(4)), strict=True
    )
    assert np.concatenate(quiet).mean() < 0.25 * np.concatenate(loud).mean()


def test_hands_go_back_to_rest_in_a_long_pause() -> None:
    speech = spoken(9, pauses=((4.0, 9.0),))
    pose = made(speaker(), speech)
    away = np.linalg.norm(
        (pose.body.xy[200:] - speaker().body.xy)[:, WRISTS] * pose.size[::-1], axis=2
    )
    assert away.max() < 15 < max(moved(pose, joint) for joint in WRISTS) / 2


@pytest.mark.parametrize("name", PEOPLE)
def test_bones_joints_and_frame_hold(name: str) -> None:
    reference = PEOPLE[name]()
    speech = spoken(10, every=0.8)
    for seed in range(2):
        pose = made(reference, speech, seed)
        assert strokes.bone_change(pose, reference) < 0.01
        assert strokes.outside_limits(pose, reference) == 0
        for part in ("body", "hands"):
            new, old = getattr(pose, part), getattr(reference, part)
            assert (new.score == old.score).all(), "nothing appears and nothing goes"
            inside = (old.score[0] > 0) & ((old.xy[0] >= 0) & (old.xy[0] <= 1)).all(1)
            assert ((new.xy >= 0) & (new.xy <= 1))[:, inside].all()
        assert all(np.isfinite(getattr(pose, part).xy).all() for part in ("body", "hands", "face"))


@pytest.mark.parametrize(
    "name", ["plain", "mirrored", "raised", "edge", "pointing", "one arm", "no hips"]
)
def test_whoever_shows_a_hand_gestures(name: str) -> None:
    pose = made(PEOPLE[name](), spoken(10))
    assert max(moved(pose, joint) for joint in WRISTS) > 18, "a tenth of the shoulders' width"


def test_a_raised_hand_stays_off_the_face() -> None:
    for seed in range(6):
        pose = made(raised(), spoken(10), seed)
        low, high = pose.face.xy.min(1)[:, None], pose.face.xy.max(1)[:, None]
        assert not ((pose.hands.xy > low) & (pose.hands.xy < high)).all(2).any()


def test_an_arm_without_its_hand_hardly_moves() -> None:
    speech = spoken(10)
    whole, hidden = made(speaker(), speech), made(without(speaker(), hands=slice(21, 42)), speech)
    assert moved(hidden, 4) < 0.5 * moved(whole, 4)
    assert not hidden.hands.visible[:, 21:].any()


def test_a_wrist_below_the_picture_stays_there() -> None:
    low = placed(speaker(), {4: (0.35, 1.05), 7: (0.65, 1.05)})
    assert find_arms(low) == [] and beats.default_mode(low) == "head"
    pose = made(low, spoken(6), mode="full")
    assert (pose.body.xy[:, WRISTS, 1] > 1).all()


def test_without_arms_only_the_head_moves_by_default() -> None:
    bust = without(speaker(), (3, 4, 6, 7))
    head, full = made(bust, spoken(6)), made(bust, spoken(6), mode="full")
    assert beats.default_mode(bust) == "head"
    assert moved(head, 0) > 2 > moved(head, 1)
    assert moved(full, 1) > 2, "the torso sways"
    assert made(without(bust, (2, 5)), spoken(6), mode="full").body.visible[0].sum() == 8


def test_modes() -> None:
    speech = spoken(6)
    still, head, full = (made(speaker(), speech, mode=mode) for mode in beats.MODES)
    assert np.ptp(still.body.xy, axis=0).max() == 0
    assert moved(head, 0) > 2 > moved(head, 4)
    assert np.allclose(full.body.xy, made(speaker(), speech).body.xy, atol=1e-12), (
        "full is the default"
    )
    with pytest.raises(ValueError, match="wild"):
        made(speaker(), speech, mode="wild")


def test_the_command_line_and_the_request_know_the_modes() -> None:
    words = ["preview", "--reference", "a.png", "--audio", "a.wav", "--output", "o.mp4"]
    assert Request.of(vars(build_parser().parse_args(words))).gestures is None
    for mode in beats.MODES:
        args = build_parser().parse_args([*words, "--gestures", mode])
        assert Request.of(vars(args)).gestures == mode
    with pytest.raises(ValueError, match="`gestures` is 'wild'"):
        Request("a.png", "a.wav", gestures="wild")


def test_the_seed_decides() -> None:
    one, same, other = (made(speaker(), spoken(6), seed) for seed in (3, 3, 4))
    for part in ("body", "hands"):
        apart = [np.abs(getattr(one, part).xy - getattr(p, part).xy).max() for p in (same, other)]
        assert apart[0] <= ROUNDING < 0.01 < apart[1]


def test_without_accents_there_is_no_stroke() -> None:
    for speech in (spoken(8, every=0), spoken(8, every=0, pauses=((-1, 9),))):
        pose = made(speaker(), speech)
        assert len(strokes.apexes(pose)) == 0
        assert max(moved(pose, joint) for joint in WRISTS) < 25
    assert gestures.speed(pose).mean() < 0.012, "silence is calm"


@pytest.mark.parametrize("fps", [10.0, 12.5, 24.0, 60.0])
@pytest.mark.parametrize("seconds", [0.04, 0.1, 0.5, 1.4, 3.0])
def test_short_clips_and_any_rate(seconds: float, fps: float) -> None:
    speech = spoken(seconds, fps, every=0.6)
    pose = made(speaker(fps), speech)
    assert len(pose) == len(speech) and pose.fps == fps and np.isfinite(pose.body.xy).all()
    assert strokes.outside_limits(pose, speaker(fps)) == 0
    assert np.abs(pose.body.xy[0] - speaker().body.xy[0])[[4, 7]].max() < 0.03, (
        "it starts from the picture"
    )


def test_accents_that_are_weak_too_near_or_out_of_reach_are_left_out() -> None:
    speech = replace(
        spoken(4), accents=np.array([[0.05, 1.0], [0.3, 0.1], [2.0, 0.9], [2.2, 1.0], [9.0, 1.0]])
    )
    plan = plan_strokes(speech, find_arms(speaker()), np.random.default_rng(0), 4.0)
    assert len(plan) == 1 and plan[0].accent in (2.0, 2.2)


def test_a_mirrored_person_mirrors() -> None:
    for arm, other in zip(find_arms(speaker()), find_arms(mirrored(speaker()))[::-1], strict=True):
        assert np.allclose(arm.low, -other.high) and np.allclose(arm.high, -other.low)
        targets = np.array([[0.1, 0.2], [-0.1, 0.1]])
        assert np.allclose(arm.reach(targets), -other.reach(targets))


def test_a_reachable_place_is_reached() -> None:
    (arm, _) = find_arms(speaker())
    targets = np.array([[0.0, 0.2], [0.1, 0.1], [-0.1, 0.25]])
    wrist = arm.place(np.full(3, arm.points[0]), np.c_[arm.reach(targets), np.zeros(3)])[:, 1]
    away = (wrist - arm.points[2]) / arm.unit
    assert np.abs(-away.imag - targets[:, 1]).max() < 0.05
    assert np.abs(-away.real - targets[:, 0]).max() < 0.12, "out is to the left for the right arm"


def test_limits_are_those_of_the_table() -> None:
    hanging = placed(speaker(), {3: (0.35, 0.73), 4: (0.35, 0.88)})
    arm = find_arms(hanging)[0]
    assert np.allclose([arm.low[0], arm.high[0]], [-30, 120]), "out is clockwise for the right arm"
    assert np.allclose([arm.low[1], arm.high[1]], [-150, 0]), (
        "it bends before the body, never backwards"
    )
    assert np.allclose([arm.low[2], arm.high[2]], [-20, 20])
    bent = find_arms(placed(hanging, {4: (0.6, 0.73)}))[0]
    assert np.allclose([bent.low[1], bent.high[1]], [-60, 90])


def test_it_costs_milliseconds() -> None:
    for seconds, most in ((10, 5), (60, 32)):
        speech = spoken(seconds)
        linkages = speaker()
        assert units(lambda linkages=linkages, speech=speech: made(linkages, speech)) < most
