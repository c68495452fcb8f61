"""What a mask held beside a hand goes to the background, the body, or stays with the hand."""

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.hand_cut import cut_hands
from tests.helpers.open_hand import SHIRT, SIZE, DrawnHand, drawn_hand, masked

SHELF_BESIDE = (slice(119, 131), slice(175, 215))  # what the mask holds of the shelf


def inner(region: np.ndarray) -> np.ndarray:
    """(H,W) bool: a region without its rim."""
    return cv2.erode(region.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def before_a_shirt() -> DrawnHand:
    return drawn_hand(wall=SHIRT, shelf=False)


def test_a_shelf_in_the_mask_is_background() -> None:
    drawn = drawn_hand()
    mask = drawn.hand.copy()
    mask[SHELF_BESIDE] = True
    mask[120:130, 150:176] = True  # the bridge to the hand
    cut = cut_hands(drawn.picture, masked(drawn, mask), drawn.anatomy)
    assert cut.alpha[SHELF_BESIDE].mean() < 0.05
    assert cut.alpha[inner(drawn.hand)].min() > 0.95
    assert cut.shares[Part.R_HAND][inner(drawn.hand)].min() > 0.95


def test_a_thumb_that_the_mask_lost_comes_back() -> None:
    drawn = drawn_hand()
    mask = drawn.hand.copy()
    mask[:, :75] = False  # the thumb's tip
    thumb = inner(drawn.hand) & ~mask
    assert thumb.sum() > 20
    cut = cut_hands(drawn.picture, masked(drawn, mask), drawn.anatomy)
    assert cut.alpha[thumb].min() > 0.9


def test_shirt_between_the_fingers_is_the_torsos() -> None:
    drawn = before_a_shirt()
    cutout = masked(drawn, np.ones(SIZE, bool), Part.TORSO)
    near = cv2.dilate(drawn.hand.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    cutout.shares[:, near] = 0
    cutout.shares[Part.R_HAND, near] = 1
    cut = cut_hands(drawn.picture, cutout, drawn.anatomy)
    beside = near & ~drawn.hand
    beside[180:] = False  # there is the sleeve
    far_from_rim = beside & (cv2.blur(drawn.hand.astype(np.float32), (5, 5)) == 0)
    assert cut.alpha[beside].min() > 0.85
    assert cut.shares[Part.TORSO][far_from_rim].mean() > 0.95
    np.testing.assert_allclose(cut.shares.sum(0), 1, atol=1e-4)


def test_edges_show_the_hands_color_alone() -> None:
    drawn = drawn_hand()
    soft = cv2.GaussianBlur(drawn.picture, (0, 0), 1.2)
    cut = cut_hands(soft, masked(drawn, drawn.hand), drawn.anatomy)
    rim = (cut.alpha > 0.3) & (cut.alpha < 0.8) & (cut.shares[Part.R_HAND] > 0.5)
    rim[180:] = False
    assert rim.sum() > 50
    skin = np.median(drawn.picture[inner(drawn.hand)], 0)
    mixed = np.abs(soft[rim] - skin).mean()
    assert np.abs(cut.color[rim] - skin).mean() < 0.5 * mixed


def test_without_points_of_hands_nothing_changes() -> None:
    drawn = drawn_hand()
    cutout = masked(drawn, drawn.hand)
    anatomy = drawn.anatomy
    none = type(anatomy)(**{**vars(anatomy), "arms": (None, None)})
    cut = cut_hands(drawn.picture, cutout, none)
    np.testing.assert_array_equal(cut.alpha, cutout.alpha)
    np.testing.assert_array_equal(cut.shares, cutout.shares)
