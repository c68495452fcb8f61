"""Background that the mask calls person beside a hand is found; the hand and its shirt stay."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.render.warp.scraps import without_islands, without_scraps
from tests.helpers.cut_out_person import Drawn, drawn_person


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return drawn_person()


def test_wall_beside_a_hand_is_no_person(drawn: Drawn):
    wide = drawn.mask.copy()
    wide[125:156, 22:36] = 1
    scrap = (wide > 0) & (drawn.mask == 0)
    kept = without_scraps(drawn.picture, wide, drawn.anatomy)
    assert kept[scrap].mean() < 0.3
    np.testing.assert_array_equal(kept[drawn.parts == 4] > 0.9, True)
    assert kept[drawn.mask > 0].mean() > 0.98


def test_cloth_of_another_color_beside_the_hand_stays(drawn: Drawn):
    picture = drawn.picture.copy()
    wide = drawn.mask.copy()
    wide[125:156, 22:36] = 1
    picture[(wide > 0) & (drawn.mask == 0)] = (0.6, 0.1, 0.1)
    kept = without_scraps(picture, wide, drawn.anatomy)
    np.testing.assert_array_equal(kept, wide)


def test_without_points_of_hands_the_mask_comes_back(drawn: Drawn):
    left_fist = replace(drawn.anatomy, arms=(None, drawn.anatomy.arms[1]))
    wide = np.ones_like(drawn.mask)
    np.testing.assert_array_equal(without_scraps(drawn.picture, wide, left_fist), wide)


def test_small_pieces_apart_from_the_person_go():
    alpha = np.zeros((80, 80), np.float32)
    alpha[10:60, 20:50] = 1
    whole = alpha.copy()
    alpha[30:33, 70:73] = 0.9
    whole[65:78, 60:75] = 1
    alpha[65:78, 60:75] = 1
    np.testing.assert_array_equal(without_islands(alpha, 40.0), whole)
    np.testing.assert_array_equal(without_islands(alpha[26:36, 66:76], 40.0), alpha[26:36, 66:76])
