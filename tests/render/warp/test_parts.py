"""A person is cut into parts, whatever the points say."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.limb_widths import half_widths
from pipeline.render.warp.part_map import cut_parts
from pipeline.render.warp.part_priors import expect
from pipeline.render.warp.part_shapes import (
    bones_of,
    hand_distance,
    polygon_distance,
    segment_distance,
)
from pipeline.render.warp.part_stability import part_stability, upper_arms_shown
from tests.helpers.cut_out_person import TROUSERS, Drawn, drawn_person, moved


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return drawn_person()


def test_every_part_is_found_where_it_was_drawn(drawn: Drawn):
    shares = cut_parts(drawn.picture, drawn.mask, drawn.anatomy)
    assert shares.shape == (len(Part), *drawn.mask.shape)
    assert shares.dtype == np.float32
    found = shares.argmax(0)
    for part in Part:
        truth = drawn.parts == part
        result = (found == part) & (drawn.mask > 0)
        overlap = (truth & result).sum() / (truth | result).sum()
        assert overlap > 0.6, (part, overlap)
    limbs = np.isin(drawn.parts, range(Part.R_UPPER_ARM, Part.R_THIGH))
    found_limbs = np.isin(found, range(Part.R_UPPER_ARM, Part.R_THIGH)) & (drawn.mask > 0)
    assert (limbs & found_limbs).sum() / (limbs | found_limbs).sum() > 0.8


def test_shares_sum_to_one_and_reach_outside(drawn: Drawn):
    shares = cut_parts(drawn.picture, drawn.mask, drawn.anatomy)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    assert shares.min() >= 0
    assert shares[:, 40, 90].argmax() == Part.HEAD
    assert shares[Part.HEAD, 5, 80] > 0.9  # above the head, outside


def test_a_limb_is_as_wide_as_the_picture_shows(drawn: Drawn):
    lab = drawn.picture
    arm = drawn.anatomy.arms[0]
    forearm = next(bone for bone in bones_of(drawn.anatomy) if bone.part == arm.first + 1)
    widths = half_widths(lab, drawn.mask, forearm, drawn.anatomy.unit)
    np.testing.assert_allclose(widths * drawn.anatomy.unit, 6, atol=1.5)


def test_what_only_a_hand_holds_goes_with_it(drawn: Drawn):
    picture = drawn.picture.copy()
    mask = drawn.mask.copy()
    held = (slice(152, 164), slice(8, 30))  # a thing beyond the fingers of the right hand
    picture[held] = (0.1, 0.6, 0.2)
    mask[held] = 1
    shares = cut_parts(picture, mask, drawn.anatomy)
    arm = shares[Part.R_UPPER_ARM : Part.R_HAND + 1].sum(0)
    assert arm[held].mean() > 0.9
    skirt = (slice(140, 170), slice(40, 120))  # one that the torso holds as well stays
    mask[skirt] = 1
    picture[skirt] = TROUSERS
    shares = cut_parts(picture, mask, drawn.anatomy)
    assert shares[Part.R_UPPER_ARM : Part.R_THIGH, 145:165, 75:85].max() < 0.1


def test_a_bone_behind_a_hand_claims_no_fingers(drawn: Drawn):
    arm = drawn.anatomy.arms[0]
    before_elbow = arm.hand + (arm.elbow - arm.hand.mean(0))  # the hand lies over the elbow
    over = replace(arm, hand=before_elbow.astype(np.float32))
    anatomy = replace(drawn.anatomy, arms=(over, drawn.anatomy.arms[1]))
    seeds = expect(drawn.picture, drawn.mask, anatomy).seeds
    height, width = drawn.mask.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack([x, y], -1) + 0.5
    by_fingers = hand_distance(places, over.hand) < 0.1 * anatomy.unit
    assert seeds[arm.first].any()
    assert not seeds[arm.first][by_fingers].any()


def test_a_pixel_is_the_seed_of_one_part_at_most(drawn: Drawn):
    priors = expect(drawn.picture, drawn.mask, drawn.anatomy)
    assert priors.seeds.sum(0).max() == 1
    assert priors.seeds.any((1, 2)).all()
    assert not priors.seeds[:, drawn.mask == 0].any()


def test_distances_to_segments_and_polygons():
    places = np.array([[0.0, 3.0], [5.0, 2.0], [14.0, 3.0]])
    distance, share = segment_distance(places, np.array([0.0, 0.0]), np.array([10.0, 0.0]))
    np.testing.assert_allclose(distance, [3, 2, 5])
    np.testing.assert_allclose(share, [0, 0.5, 1])
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    signed = polygon_distance(np.array([[5.0, 4.0], [13.0, 5.0], [14.0, 13.0]]), square)
    np.testing.assert_allclose(signed, [-4, 3, 5])


STRANGE = {
    "outside the picture": ((900.0, -700.0), 1.0),
    "partly outside": ((70.0, 90.0), 1.0),
    "tiny": ((60.0, 60.0), 0.25),
    "huge": ((-300.0, -200.0), 6.0),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("mask", ["own", "empty", "full"])
def test_strange_people_give_shares(drawn: Drawn, name: str, mask: str):
    anatomy = moved(drawn.anatomy, *STRANGE[name])
    alpha = {
        "own": drawn.mask,
        "empty": np.zeros_like(drawn.mask),
        "full": np.ones_like(drawn.mask),
    }[mask]
    shares = cut_parts(drawn.picture, alpha, anatomy)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)


def test_joints_in_one_place_and_missing_limbs_give_shares(drawn: Drawn):
    one_place = moved(drawn.anatomy, (80.0, 60.0), 0.0)
    one_place = replace(one_place, unit=drawn.anatomy.unit)
    bare = replace(drawn.anatomy, arms=(None, None), legs=(None, None))
    for anatomy in (one_place, bare):
        shares = cut_parts(drawn.picture, drawn.mask, anatomy)
        np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    assert not shares[Part.R_UPPER_ARM :].any()


def test_a_clear_limb_is_stable_and_an_absent_one_is_not(drawn: Drawn):
    clear = part_stability(drawn.picture, drawn.mask, drawn.anatomy, seed=0)
    assert clear.shape == (4,)
    assert (clear > 0.7).all()
    np.testing.assert_array_equal(
        part_stability(drawn.picture, drawn.mask, drawn.anatomy, seed=0), clear
    )
    absent = replace(drawn.anatomy, arms=(None, drawn.anatomy.arms[1]))
    assert part_stability(drawn.picture, drawn.mask, absent)[0] == 0


def test_an_upper_arm_behind_a_thing_is_not_shown(drawn: Drawn):
    shares = cut_parts(drawn.picture, drawn.mask, drawn.anatomy)
    assert upper_arms_shown(shares, drawn.anatomy).min() > 0.9
    arm = drawn.anatomy.arms[0]
    middle = (arm.shoulder + arm.elbow) / 2
    top = round(middle[1] - 0.35 * abs(arm.elbow[1] - arm.shoulder[1]))
    bottom = round(middle[1] + 0.35 * abs(arm.elbow[1] - arm.shoulder[1]))
    shares[:, top:bottom] = 0
    shares[Part.TORSO, top:bottom] = 1
    right, left = upper_arms_shown(shares, drawn.anatomy)
    assert right < 0.2
    gone = replace(drawn.anatomy, arms=(None, drawn.anatomy.arms[1]))
    assert upper_arms_shown(shares, gone)[0] == 1
