"""Look closer for hands that the first look at a picture missed.

Hands are searched where the body's points lead to. A look at the arm alone places these a little
differently, and often finds a hand that is in plain sight; one in a pocket stays unfound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.analysis.detectors.detection import Sighting, picture_size, pose
from pipeline.analysis.detectors.people import FollowedPerson, Follower
from pipeline.analysis.detectors.regions import Region
from pipeline.motion.keypoints import ARMS, NECK, NOSE, ArmRows, complex_pixels, head_height
from pipeline.values import VISIBLE

ROOM_HEADS = 1.0  # about head and arm, on each side of the region that is looked at
LOOKS = (1.0, 1.3)  # sizes of the region
NEAR_HEADS = 0.35  # a hand that begins further from the first look's wrist is another one
SAME_HEADS = 0.2  # two hands whose middles are nearer than that are one


def add_missing_hands(image: np.ndarray, person: FollowedPerson) -> FollowedPerson:
    """Return the person of a picture (H,W,3) with hands that closer looks find added."""
    hands = person.hands.copy()
    missing = [arm for arm in ARMS.values() if _lacks_hand(person, arm)]
    if not missing:
        return person
    follower = Follower()
    for arm in missing:
        found = _look(follower, image, person, arm)
        if found is not None:
            hands[arm.hand] = found
    return replace(person, hands=hands)


def _lacks_hand(person: Sighting, arm: ArmRows) -> bool:
    """Tell whether an arm's joints are seen and its hand is not."""
    joints_seen = person.body[list(arm.joints), 2] > VISIBLE
    return bool(joints_seen.all()) and not _is_seen(person.hands[arm.hand])


def _look(
    follower: Follower, image: np.ndarray, person: Sighting, arm: ArmRows
) -> np.ndarray | None:
    """Return the hand (21,3) at the end of an arm, None where no look finds it there."""
    size = picture_size(image)
    unit = float(head_height(pose([person], 1.0, size))[0])
    wrist = complex_pixels(person.body[arm.joints[-1], :2], size)
    for region in _regions(person, arm, unit, size):
        seen = follower.see(image, region)
        if seen is None:
            continue
        hand = seen.hands[arm.hand]
        root = complex_pixels(hand[0, :2], size)
        is_at_wrist = abs(root - wrist) < NEAR_HEADS * unit
        if _is_seen(hand) and is_at_wrist and not _is_known(hand, person, unit, size):
            return hand
    return None


def _is_seen(hand: np.ndarray) -> bool:
    """Tell whether any point of a hand (21,3) is seen."""
    return bool((hand[:, 2] > VISIBLE).any())


def _is_known(hand: np.ndarray, person: Sighting, unit: float, size: tuple[int, int]) -> bool:
    """Tell whether a hand (21,3) is one that the person has already, of the other side."""
    middle = _middle(hand, size)
    for arm in ARMS.values():
        known = person.hands[arm.hand]
        if not _is_seen(known):
            continue
        distance = abs(_middle(known, size) - middle)
        if distance < SAME_HEADS * unit:
            return True
    return False


def _middle(hand: np.ndarray, size: tuple[int, int]) -> complex:
    """Return the middle of a hand (21,3) in pixels x + iy of a picture of `size` (H,W)."""
    points = complex_pixels(hand[:, :2], size)
    return complex(points.mean())


def _regions(
    person: Sighting, arm: ArmRows, unit: float, size: tuple[int, int]
) -> Iterator[Region]:
    """Yield squares about head and arm, `unit` pixels being a head's height."""
    rows = [NOSE, NECK, *arm.joints]
    height, width = size
    points = person.body[rows, :2] * np.array([width, height])
    low = points.min(0)
    high = points.max(0)
    extent = (high - low).max()
    side = extent + 2 * ROOM_HEADS * unit
    x, y = (low + high) / 2
    for scale in LOOKS:
        yield Region(x, y, scale * side)
