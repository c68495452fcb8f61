"""The outline follows the picture, the colors hold no background, hands stay whole."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.render.warp.alpha import refine_alpha, trimap
from tests.helpers.cut_out_person import Drawn, drawn_person, moved


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return drawn_person()


def test_a_blurred_mask_comes_back_to_the_edge(drawn: Drawn):
    soft = cv2.GaussianBlur(drawn.mask, (0, 0), 1.5)
    alpha, color = refine_alpha(drawn.picture, soft, drawn.anatomy)
    assert alpha.dtype == color.dtype == np.float32
    assert np.abs(alpha - drawn.mask).mean() < 0.2 * np.abs(soft - drawn.mask).mean()


def test_outline_and_colors_of_a_soft_edge_are_found(drawn: Drawn):
    truth = np.tile(np.clip((np.arange(160) - 78) / 4, 0, 1).astype(np.float32), (240, 1))
    share = truth[..., None]
    red = np.array((0.8, 0.1, 0.1), np.float32)
    blue = np.array((0.1, 0.2, 0.9), np.float32)
    picture = share * red + (1 - share) * blue
    nobody = replace(drawn.anatomy, arms=(None, None))
    alpha, color = refine_alpha(picture, truth, nobody)
    mixed = (truth > 0) & (truth < 1)
    np.testing.assert_allclose(alpha[mixed], truth[mixed], atol=0.1)
    assert np.abs(color - red)[mixed].mean() < 0.1 * np.abs(picture - red)[mixed].mean()
    np.testing.assert_array_equal(color[alpha == 1], picture[alpha == 1])


def test_points_beside_the_hand_never_make_it_sure(drawn: Drawn):
    arm = drawn.anatomy.arms[0]
    beside = replace(arm, hand=arm.hand - 14)
    anatomy = replace(drawn.anatomy, arms=(beside, None))
    sure, unknown = trimap(drawn.mask, anatomy, 1)
    assert not (sure & (drawn.mask < 0.5)).any()
    alpha, _ = refine_alpha(drawn.picture, drawn.mask, anatomy)
    assert alpha[drawn.mask == 0].mean() < 0.02


def test_a_hand_that_the_edges_would_take_is_kept(drawn: Drawn):
    alike = drawn.picture.copy()
    alike[125:160, :60] = 0.5  # hand and wall have one color
    noisy = alike + np.random.default_rng(0).normal(0, 0.02, alike.shape).astype(np.float32)
    alpha, _ = refine_alpha(noisy, drawn.mask, drawn.anatomy)
    hand = drawn.parts == drawn.anatomy.arms[0].first + 2
    assert alpha[hand].mean() > 0.85


@pytest.mark.parametrize("mask", ["empty", "full", "own"])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (5e4, -5e4)])
def test_strange_people_give_an_outline(drawn: Drawn, mask: str, offset: tuple[float, float]):
    masks = {
        "own": drawn.mask,
        "empty": np.zeros_like(drawn.mask),
        "full": np.ones_like(drawn.mask),
    }
    alpha, color = refine_alpha(drawn.picture, masks[mask], moved(drawn.anatomy, offset))
    assert np.isfinite(alpha).all()
    assert np.isfinite(color).all()
    if mask != "own":
        np.testing.assert_allclose(alpha, masks[mask], atol=1e-6)
