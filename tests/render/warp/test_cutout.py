"""A cut-out person: windows of it, whose each pixel is, and which limb a scrap hangs on."""

import numpy as np
import pytest

from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.cutout import (
    LEGS,
    RIGHT_ARM,
    TRUNK,
    Cutout,
    bones_of_hand,
    box_of_region,
    fill_from,
    grow,
    shrink,
    smooth_within,
    soft_cut,
)
from pipeline.render.warp.islands import join_islands
from pipeline.render.warp.part_shapes import segment_distance

SIZE = (60, 40)


def shares_of(owners: np.ndarray) -> np.ndarray:
    """(12,H,W): 1 for the part that owns each pixel."""
    return (np.arange(len(Part))[:, None, None] == owners).astype(np.float32)


@pytest.fixture
def owners() -> np.ndarray:
    """A torso, a right arm at its left side, two legs below it."""
    found = np.full(SIZE, int(Part.TORSO))
    found[10:35, :8] = Part.R_UPPER_ARM
    found[35:, :20] = Part.R_THIGH
    found[35:, 20:] = Part.L_THIGH
    return found


@pytest.fixture
def cutout(owners: np.ndarray) -> Cutout:
    color = np.random.default_rng(0).random((*SIZE, 3), np.float32)
    return Cutout(color, np.ones(SIZE, np.float32), shares_of(owners))


# ---- windows


def test_a_window_of_a_window_knows_its_places_in_the_picture(cutout: Cutout) -> None:
    inner = cutout.window((10, 50, 5, 35)).window((4, 20, 3, 13))
    assert inner.size == (16, 10)
    assert inner.corner == (8, 14)
    places = inner.places()
    np.testing.assert_array_equal(places[0, 0], (8.5, 14.5))
    np.testing.assert_array_equal(places[-1, -1], (17.5, 29.5))
    np.testing.assert_array_equal(inner.color, cutout.color[14:30, 8:18])
    np.testing.assert_array_equal(inner.shares, cutout.shares[:, 14:30, 8:18])


def test_owners_add_up_the_parts_that_move_together(cutout: Cutout) -> None:
    assert cutout.owners[20, 30] == TRUNK
    assert cutout.owners[20, 2] == RIGHT_ARM
    assert (cutout.owners[35:] == LEGS).all()
    both = cutout.shares.copy()
    both[:, 5, 30] = 0
    both[[Part.TORSO, Part.R_THIGH, Part.L_THIGH], 5, 30] = (0.4, 0.3, 0.3)
    split = Cutout(cutout.color, cutout.alpha, both)
    assert split.owners[5, 30] == LEGS  # neither leg alone has more than the torso


def test_outlines_meet_at_one_half_and_add_up_to_one(cutout: Cutout) -> None:
    outlines = np.stack([cutout.outline(group) for group in range(4)])
    np.testing.assert_allclose(outlines.sum(0), 1, atol=1e-5)
    edge = outlines[RIGHT_ARM][20, 4:12]
    assert (np.diff(edge) <= 0).all()
    np.testing.assert_allclose(edge[3] + edge[4], 1, atol=1e-5)
    assert ((edge > 0.01) & (edge < 0.99)).sum() <= 4


def test_a_box_has_a_margin_but_stays_in_the_picture() -> None:
    region = np.zeros(SIZE, bool)
    assert box_of_region(region, 3) is None
    region[1, 20] = True
    region[30, 38] = True
    assert box_of_region(region, 3) == (0, 34, 17, 40)


def test_growing_and_shrinking_undo_each_other_on_a_box() -> None:
    region = np.zeros(SIZE, bool)
    region[10:20, 10:25] = True
    wide = grow(region, 2)
    assert wide.sum() == 14 * 19
    np.testing.assert_array_equal(shrink(wide, 2), region)


def test_a_cut_is_hard_where_shares_tremble_beside_one_half() -> None:
    shares = np.full(SIZE, 0.4, np.float32)
    shares[:, 20:] = 0.6
    cut = soft_cut(shares)
    assert cut[:, :17].max() < 1e-3
    assert cut[:, 23:].min() > 0.999


def test_distances_to_a_bone_without_length_are_those_to_a_place() -> None:
    places = np.array([[[3.0, 4.0]]])
    distance, along = segment_distance(places, np.zeros(2), np.zeros(2))
    np.testing.assert_allclose(distance, 5)
    assert np.isfinite(along).all()


def test_smoothing_sees_its_region_alone_and_goes_on_beyond_it() -> None:
    values = np.zeros(SIZE, np.float32)
    region = np.zeros(SIZE, bool)
    region[20:40, 10:20] = True
    values[region] = 0.7
    smooth = smooth_within(values, region, 2.0)
    np.testing.assert_allclose(smooth[18:42, 8:22], 0.7, atol=1e-3)


def test_filled_colors_keep_what_is_known(cutout: Cutout) -> None:
    known = np.ones(SIZE, bool)
    known[20:30, 10:20] = False
    filled = fill_from(cutout.color, known)
    np.testing.assert_allclose(filled[known], cutout.color[known], atol=1e-5)
    flat = fill_from(np.full((*SIZE, 3), 0.3, np.float32), known)
    np.testing.assert_allclose(flat, 0.3, atol=1e-5)


def test_a_hand_out_of_the_picture_draws_nothing_in_it() -> None:
    fingers = np.stack([np.linspace(10, 30, 21), np.linspace(20, 40, 21)], 1)
    assert bones_of_hand(SIZE, fingers, 30.0).any()
    assert not bones_of_hand(SIZE, fingers + 1e9, 30.0).any()


# ---- islands

TORSO = np.array([[8, 8], [32, 8], [32, 30], [8, 30]], np.float32)


def test_a_scrap_of_trunk_joins_the_limb_that_it_touches(owners: np.ndarray) -> None:
    owners[45:, :20] = Part.R_SHIN
    owners[55:, 2:9] = Part.TORSO  # a boot's toe below the right shin
    shares = shares_of(owners)
    joined = join_islands(shares, np.ones(SIZE, np.float32), TORSO)
    assert (joined.argmax(0)[55:, 2:9] == Part.R_SHIN).all()
    np.testing.assert_allclose(joined.sum(0), 1)
    kept = np.ones(SIZE, bool)
    kept[55:, 2:9] = False
    np.testing.assert_array_equal(joined[:, kept], shares[:, kept])


def test_a_scrap_that_touches_no_limb_stays(owners: np.ndarray) -> None:
    owners[:2] = Part.HEAD
    alpha = np.ones(SIZE, np.float32)
    alpha[2:8] = 0  # nothing of the person between hat and torso
    shares = shares_of(owners)
    np.testing.assert_array_equal(join_islands(shares, alpha, TORSO), shares)


def test_a_scrap_outside_the_person_is_no_scrap(owners: np.ndarray) -> None:
    owners[55:, 2:9] = Part.TORSO
    alpha = np.ones(SIZE, np.float32)
    alpha[50:] = 0
    shares = shares_of(owners)
    np.testing.assert_array_equal(join_islands(shares, alpha, TORSO), shares)


def test_a_person_in_one_piece_is_left_alone(owners: np.ndarray) -> None:
    shares = shares_of(owners)
    assert join_islands(shares, np.ones(SIZE, np.float32), TORSO) is shares


def test_arms_that_cross_the_torso_take_nothing_of_it(owners: np.ndarray) -> None:
    owners[:] = Part.TORSO
    owners[20:26] = Part.R_FOREARM
    owners[40:, :20] = Part.R_THIGH
    shares = shares_of(owners)
    joined = join_islands(shares, np.ones(SIZE, np.float32), TORSO)
    np.testing.assert_array_equal(joined, shares)
