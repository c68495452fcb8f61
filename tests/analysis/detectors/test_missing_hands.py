"""Closer looks for hands: which hands are searched, and which finds are taken."""

from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.analysis.detectors import missing_hands
from pipeline.analysis.detectors.detection import Sighting
from pipeline.analysis.detectors.missing_hands import add_missing_hands
from pipeline.analysis.detectors.regions import Region
from pipeline.motion.keypoints import LEFT_HAND, R_WRIST, RIGHT_HAND
from tests.helpers.stick_person import figure

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
    regions: list[Region] = field(default_factory=list)

    def see(self, image: np.ndarray, region: Region) -> Sighting | None:
        self.regions.append(region)
        return self.answers[len(self.regions) - 1]


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
    assert len(follower.regions) == 2
    small, large = follower.regions
    height, width = PICTURE.shape[:2]
    x, y = lacking.body[R_WRIST, :2] * (width, height)
    for region in (small, large):
        assert abs(region.x - x) < region.side / 2
        assert abs(region.y - y) < region.side / 2
    assert large.side > small.side


def test_hands_that_are_seen_or_have_no_arm_are_not_searched(monkeypatch) -> None:
    whole = sighting()
    lacking = without_right_hand(whole)
    lacking.body[R_WRIST, 2] = 0
    for person in (whole, lacking):
        found, follower = search(monkeypatch, person, [])
        assert found is person and not follower.regions


def test_another_hand_is_not_taken(monkeypatch) -> None:
    whole = sighting()
    lacking = without_right_hand(whole)
    far = replace(whole, hands=whole.hands + (0.2, 0, 0))
    found, follower = search(monkeypatch, lacking, [far, lacking])
    assert not found.hands[RIGHT_HAND].any()
    at_left = sighting()
    at_left.body[R_WRIST] = at_left.body[7]  # the wrists cross
    at_left = without_right_hand(at_left)
    twice = replace(whole, hands=np.tile(whole.hands[LEFT_HAND], (2, 1)))
    found, _ = search(monkeypatch, at_left, [twice, twice])
    assert not found.hands[RIGHT_HAND].any()
