"""What arms hide of the trunk: where it ends, and with which colors it is filled."""

import numpy as np
import pytest
import torch

from pipeline.render import warp
from pipeline.render.warp.cutout import grow
from pipeline.render.warp.hidden_outline import harmonic
from pipeline.render.warp.tones import features
from pipeline.render.warp.trunk import _bare_skin, _outline_offset
from tests.helpers.clothed_person import BODY, CLOSE, SHIRT, SIZE, WALL, Clothed, close, clothed

# ---- the harmonic function


def test_between_two_sides_the_values_rise_evenly() -> None:
    known = np.zeros((12, 21), np.float32)
    known[:, -1] = 1
    unknown = np.zeros(known.shape, bool)
    unknown[:, 1:-1] = True
    even = np.broadcast_to(np.linspace(0, 1, 21), known.shape)
    np.testing.assert_allclose(harmonic(known, unknown), even, atol=1e-3)


def test_inside_a_hole_every_value_is_the_mean_of_its_neighbors() -> None:
    known = np.random.default_rng(1).random((15, 15)).astype(np.float32)
    unknown = np.zeros(known.shape, bool)
    unknown[4:11, 3:9] = True
    found = harmonic(known, unknown)
    means = (found[3:10, 3:9] + found[5:12, 3:9] + found[4:11, 2:8] + found[4:11, 4:10]) / 4
    np.testing.assert_allclose(found[4:11, 3:9], means, atol=1e-4)
    np.testing.assert_array_equal(found[~unknown], known[~unknown])


def test_nothing_unknown_stays_and_nothing_known_is_finite() -> None:
    known = np.random.default_rng(1).random((6, 5)).astype(np.float32)
    nothing = np.zeros(known.shape, bool)
    np.testing.assert_array_equal(harmonic(known, nothing), known)
    assert np.isfinite(harmonic(known, ~nothing)).all()


# ---- the completed body


@pytest.fixture(scope="module")
def crossed() -> Clothed:
    """The right forearm lies across the chest, the left arm hangs."""
    body = np.array(BODY, float)
    body[3] = (38, 70)
    body[4] = (62, 76)
    return clothed(body)


def picture_rows(plates: warp.Plates) -> torch.Tensor:
    """(5,H,W) the body without what goes on above and below the picture."""
    top = round(plates.room[0] * SIZE[0])
    return plates.body[0, :, top : top + SIZE[0]]


def test_what_an_arm_hides_is_filled_with_the_shirt(crossed: Clothed) -> None:
    body = picture_rows(crossed.layers())
    hidden = body[:, 71:79, 55:65]  # under forearm and hand
    assert hidden[3].min() > 0.95
    color = hidden[:3] / hidden[3]
    assert (color - torch.tensor(SHIRT)[:, None, None]).abs().max() < 0.1
    assert hidden[4, 3:6].max() < 0.1  # not the photo's own


def test_what_arms_hide_ends_where_the_person_ends() -> None:
    """Part shares go on outside the person; the hole once ballooned into the background."""
    drawn = clothed(close(), scale=CLOSE)
    body = picture_rows(drawn.layers())
    person = grow(drawn.mask[0, 0].numpy() > 0.05, 3)
    outside = torch.from_numpy(~person)
    assert body[3][outside].max() == 0


def test_an_arm_that_moves_away_leaves_no_bump_of_wall(crossed: Clothed) -> None:
    """The trunk behind a hanging arm is no wider than the shirt beside it."""
    body = picture_rows(clothed().layers())
    wide = (body[3] > 0.5).sum(1)[60:90]
    assert wide.min() >= 28
    assert wide.max() <= 46
    color = (body[:3] / body[3].clamp_min(1e-3))[:, 60:90]
    light = (color - torch.tensor(WALL)[:, None, None]).abs().amax(0) < 0.25
    assert not (light & (body[3, 60:90] > 0.5)).any()


def test_a_waist_that_is_slimmer_than_the_points_say_is_so_behind_an_arm() -> None:
    """The outline is seen above and below the arm, .1 head heights inside the points' shape."""
    alpha = np.zeros((128, 128), np.float32)
    alpha[:, :60] = 1
    hole = np.zeros_like(alpha)
    hole[50:70, 40:90] = 1
    alpha[50:70, 40:90] = 1
    columns = np.arange(128, dtype=np.float32) + 0.5
    distance = np.broadcast_to((columns - 64) / 40, alpha.shape)
    visible = alpha * (1 - hole)
    offset = _outline_offset(alpha, visible, hole, distance, 40.0)
    assert offset[60, 60] == pytest.approx(-0.1, abs=0.03)


def test_where_no_outline_is_seen_the_points_stand() -> None:
    alpha = np.ones((128, 128), np.float32)
    hole = np.zeros_like(alpha)
    distance = np.full_like(alpha, -0.2)
    np.testing.assert_array_equal(_outline_offset(alpha, alpha, hole, distance, 40.0), 0)


@pytest.mark.parametrize(("hole_from", "kept_from_cloth"), [(60, True), (12, False)])
def test_skin_is_copied_only_where_skin_lies_around_the_hole(
    hole_from: int, kept_from_cloth: bool
) -> None:
    """A neckline is not copied to the belly; a coat of the skin's color goes on in itself."""
    color = torch.zeros(1, 3, 100, 50)
    color[:] = torch.tensor((0.2, 0.45, 0.25))[:, None, None]
    skin_color = torch.tensor((0.7, 0.5, 0.4))
    color[:, :, :30] = skin_color[:, None, None]
    needed = torch.ones(1, 1, 100, 50, dtype=torch.bool)
    known = needed.clone()
    known[:, :, hole_from : hole_from + 10] = False
    bare = _bare_skin(color, known, needed, features(skin_color[None]))
    assert bool(bare[:, :, :10].all()) is kept_from_cloth
    assert not bare[:, :, 30:].any()


def test_without_a_face_no_skin_is_known() -> None:
    known = torch.ones(1, 1, 10, 10, dtype=torch.bool)
    nothing = torch.full((1, 3), torch.nan)
    assert not _bare_skin(torch.rand(1, 3, 10, 10), known, known, nothing).any()
