"""The rows of `evaluate motion` for pose-free motion: each can fail, and says what is there."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation import motion
from pipeline.evaluation.metrics import strokes
from pipeline.evaluation.motion import pose_free
from pipeline.evaluation.report import ASSETS, Row
from pipeline.media import read_audio
from pipeline.motion.gestures import beats
from pipeline.values import Keypoints, Pose
from tests.helpers.speakers import spoken
from tests.helpers.stick_person import speaker

SPEECH = spoken(12, pauses=((4.0, 4.8),))


@pytest.fixture(scope="module")
def case() -> strokes.SpeakingPerson:
    return strokes.gesture_to(speaker(), SPEECH, 0)


def with_body(pose: Pose, xy: np.ndarray) -> Pose:
    return replace(pose, body=Keypoints(xy, pose.body.score))


def test_a_motion_that_comes_late_or_not_at_all_is_not_on_time(case) -> None:
    pose, accents = case.motion.pose, SPEECH.accents[:, 0]
    assert (np.abs(strokes.offsets(pose, accents) + 0.03) < 0.05).mean() > 0.8
    late = strokes.offsets(pose[np.maximum(np.arange(len(pose)) - 4, 0)], accents)
    assert (late > pose_free.LATE_SECONDS).mean() > 0.8
    assert len(strokes.offsets(pose[np.zeros(len(pose), int)], accents)) == 0


def test_preparations_and_slow_waves_are_no_strokes() -> None:
    still = speaker()[np.zeros(100, int)]
    xy = still.body.xy.copy()
    xy[:, 4, 1] += 0.05 * np.sin(2 * np.pi * np.arange(100) / 25)  # half a second from end to end
    assert len(strokes.apexes(with_body(still, xy))) == 0
    xy[:, 4, 1] = still.body.xy[:, 4, 1] + 0.05 * np.sin(2 * np.pi * np.arange(100) / 12)
    assert len(strokes.apexes(with_body(still, xy))) > 10


def test_moving_in_pauses_is_seen(case) -> None:
    quiet, loud = strokes.pause_speeds(case.motion.pose, SPEECH)
    assert len(quiet) == 20 and quiet.mean() < 0.25 * loud.mean()
    shifted = case.motion.pose[np.roll(np.arange(300), 62)]  # what belongs to 1.5 s of speech
    assert strokes.pause_speeds(shifted, SPEECH)[0].mean() > 0.5 * loud.mean()


def test_a_stretched_bone_and_a_torn_hand_are_seen(case) -> None:
    pose = case.motion.pose
    assert strokes.bone_change(pose, speaker()) < 0.01
    xy = pose.body.xy.copy()
    xy[7, 3, 1] += 0.01
    assert strokes.bone_change(with_body(pose, xy), speaker()) > 0.03
    hands = pose.hands.xy.copy()
    hands[7, 30:] += 0.01
    torn = replace(pose, hands=Keypoints(hands, pose.hands.score))
    assert strokes.bone_change(torn, speaker()) > 0.03


def test_an_elbow_bent_backwards_is_counted(case) -> None:
    pose = case.motion.pose
    assert strokes.outside_limits(pose, speaker()) == 0
    xy = pose.body.xy.copy()
    xy[5, 4] = xy[5, 3] + [-0.08, 0.1]  # the forearm points away from the body
    assert strokes.outside_limits(with_body(pose, xy), speaker()) >= 1


def test_rows_fail_for_a_body_that_is_held(monkeypatch) -> None:
    sounds = {
        "welcome": read_audio(ASSETS / "speech" / "welcome.wav"),
        "lecture": read_audio(ASSETS / "speech" / "lecture.wav"),
    }
    good = {row.name: row for row in pose_free.rows([speaker()], sounds)}
    assert all(row.passed for row in good.values() if row.level is not None)
    assert len(good) == 16 and len([row for row in good.values() if row.level is not None]) == 8
    monkeypatch.setattr(beats, "add_gestures", lambda pose, *rest: pose)
    held = {row.name: row for row in pose_free.rows([speaker()], sounds)}
    assert not held["pose-free: strokes with their apex at the accent"].passed
    assert not held["pose-free: accents with a stroke"].passed


def test_people_without_arms_have_no_rows() -> None:
    nobody = Pose.empty(1, 25.0, (100, 100))
    assert pose_free.rows([nobody], {}) == []


def test_a_failing_row_fails_the_report(monkeypatch) -> None:
    monkeypatch.setattr(motion.table, "rows", lambda pairs: [Row("old", 0.0)])
    report = motion.evaluate([], [Row("pose-free: x", 2.0, 1.0)])
    assert [row.name for row in report.rows] == ["old", "pose-free: x"]
    assert not report.passed and motion.evaluate([]).passed


def test_a_joint_that_turns_past_a_half_turn_is_not_far_outside() -> None:
    start, now = np.exp(1j * np.radians([[170.0], [190.0]]))
    assert strokes._turned(start, now).tolist() == pytest.approx([170.0, 190.0])
