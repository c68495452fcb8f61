"""Closer looks for hands: which hands are searched, and which finds are taken."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from pipeline.analysis.detectors import missing_hands
from pipeline.analysis.detectors.detection import Sighting
from pipeline.analysis.detectors.missing_hands import add_missing_hands
from pipeline.motion.keypoints import LEFT_HAND, R_WRIST, RIGHT_HAND
from tests.helpers.stick_person import figure

pytest.importorskip("mediapipe", reason="mediapipe 0.10.21 has no wheel for this Python")
PICTURE = np.zeros((128, 96, 3), np.uint8)


def sighting() -> Sighting:
    """The stick person, all of whose arms and hands are seen."""
    pose = figure(1)
    parts = (pose.body, pose.hands, pose.face)
    return Sighting(*(np.concatenate([p.xy[0], p.score[0][:, None]], 1) for p in parts))


def without_right_hand(person: Sighting) -> Sighting:
    hands = person.hands.copy()
    hands[RIGHT_HAND] = 0
    return replace(person, hands=hands)


@dataclass
class Follower:
    """Sees what it is told to see, and counts its looks."""

    answers: list[Sighting | None]
    rects: list[Any] = field(default_factory=list)
    closed: bool = False

    def see(self, image: np.ndarray, rect: Any) -> Sighting | None:
        self.rects.append(rect)
        return self.answers[len(self.rects) - 1]

    def close(self) -> None:
        self.closed = True


def search(monkeypatch, person: Sighting, answers: list[Sighting | None]) -> tuple:
    """Return the person after the search, and the follower."""
    follower = Follower(answers)
    monkeypatch.setattr(missing_hands, "Follower", lambda: follower)
    return add_missing_hands(PICTURE, person), follower


def test_a_missing_hand_at_its_wrist_is_added(monkeypatch) -> None:
    whole = sighting()
    lacking = without_right_hand(whole)
    found, follower = search(monkeypatch, lacking, [None, whole])
    assert np.array_equal(found.hands, whole.hands) and found.body is lacking.body
    assert not lacking.hands[RIGHT_HAND].any()
    assert follower.closed and len(follower.rects) == 2
    small, large = follower.rects
    wrist = lacking.body[R_WRIST]
    for rect in (small, large):
        assert abs(rect.x_center - wrist[0]) < rect.width / 2
        assert abs(rect.y_center - wrist[1]) < rect.height / 2
    assert large.width > small.width


def test_hands_that_are_seen_or_have_no_arm_are_not_searched(monkeypatch) -> None:
    whole = sighting()
    lacking = without_right_hand(whole)
    lacking.body[R_WRIST, 2] = 0
    for person in (whole, lacking):
        found, follower = search(monkeypatch, person, [])
        assert found is person and not follower.rects


def test_another_hand_is_not_taken(monkeypatch) -> None:
    whole = sighting()
    lacking = without_right_hand(whole)
    far = replace(whole, hands=whole.hands + (0.2, 0, 0))
    found, follower = search(monkeypatch, lacking, [far, lacking])
    assert not found.hands[RIGHT_HAND].any() and follower.closed
    at_left = sighting()
    at_left.body[R_WRIST] = at_left.body[7]  # the wrists cross
    at_left = without_right_hand(at_left)
    twice = replace(whole, hands=np.tile(whole.hands[LEFT_HAND], (2, 1)))
    found, _ = search(monkeypatch, at_left, [twice, twice])
    assert not found.hands[RIGHT_HAND].any()
