"""A hand's outline is the drawn one; where points and colors disagree there is none."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.render.warp.anatomy import Arm
from pipeline.render.warp.hand_outline import outline_hand
from tests.helpers.open_hand import SIZE, UNIT, DrawnHand, drawn_hand


@pytest.fixture(scope="module")
def drawn() -> DrawnHand:
    return drawn_hand()


def outlined(picture: np.ndarray, arm: Arm, other: np.ndarray | None = None) -> np.ndarray:
    """(H,W) bool of the whole picture."""
    region = outline_hand(picture, arm, other, UNIT)
    assert region is not None
    return region


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    return float((found & true).sum() / (found | true).sum())


def test_fingers_and_the_gaps_between_them_are_found(drawn: DrawnHand) -> None:
    found = outlined(drawn.picture, drawn.arm)
    assert overlap(found, drawn.hand) > 0.95
    gap = drawn.hand[90:100].any(0).nonzero()[0]
    between = ~drawn.hand[95, gap[0] : gap[-1]]
    assert between.any()
    assert not found[95, gap[0] : gap[-1]][between].any()


def test_points_some_pixels_off_find_the_same_hand(drawn: DrawnHand) -> None:
    noise = np.random.default_rng(1).normal(0, 2.0, (21, 2)).astype(np.float32)
    arm = replace(drawn.arm, hand=drawn.arm.hand + noise)
    found = outlined(drawn.picture, arm)
    assert overlap(found, drawn.hand) > 0.9


def test_a_sleeve_is_not_the_hands(drawn: DrawnHand) -> None:
    found = outlined(drawn.picture, drawn.arm)
    assert not found[190:].any()


def test_the_same_picture_gives_the_same_outline(drawn: DrawnHand) -> None:
    first = outlined(drawn.picture, drawn.arm)
    np.random.default_rng().random()
    again = outlined(drawn.picture, drawn.arm)
    np.testing.assert_array_equal(first, again)


def test_points_on_a_pocket_find_no_hand(drawn: DrawnHand) -> None:
    cloth = np.empty_like(drawn.picture)
    cloth[:] = (0.3, 0.3, 0.4)
    noise = np.random.default_rng(2).normal(0, 0.02, cloth.shape)
    cloth = (cloth + noise).astype(np.float32)
    assert outline_hand(cloth, drawn.arm, None, UNIT) is None


def test_a_hand_without_points_or_of_a_few_pixels_has_no_outline(drawn: DrawnHand) -> None:
    assert outline_hand(drawn.picture, replace(drawn.arm, hand=None), None, UNIT) is None
    small = replace(drawn.arm, hand=drawn.arm.hand * 0.1)
    assert outline_hand(drawn.picture, small, None, UNIT / 10) is None


def test_a_hand_outside_the_picture_has_no_outline(drawn: DrawnHand) -> None:
    away = replace(drawn.arm, hand=drawn.arm.hand + 1000)
    assert outline_hand(drawn.picture, away, None, UNIT) is None


def test_hands_that_touch_are_parted_between_their_bones(drawn: DrawnHand) -> None:
    """The same hand stands mirrored beside itself, thumbs over each other."""
    shift = 96
    other_points = drawn.arm.hand * (-1, 1) + (240 - shift, 0)
    other = np.zeros(SIZE, bool)
    mirrored = drawn.hand[:, ::-1]
    other[:, : SIZE[1] - shift] = mirrored[:, shift:]
    picture = drawn.picture.copy()
    picture[other] = drawn.picture[drawn.hand][: other.sum()]
    other_hand = other_points.astype(np.float32)
    found = outlined(picture, drawn.arm, other_hand)
    alone = drawn.hand & ~other
    assert overlap(found & ~other, alone) > 0.85
    assert found[other & ~drawn.hand].mean() < 0.1
