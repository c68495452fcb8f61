"""The layers of a reference image: they add up to it, at any size, and for strange people, too."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.evaluation.photos.swing import shifted
from pipeline.render import warp
from pipeline.render.warp.cutout import shrink
from pipeline.render.warp.skinning import Piece
from tests.helpers.clothed_person import (
    BODY,
    CLOSE,
    SIZE,
    Clothed,
    close,
    clothed,
    posed,
)

KINDS = ("body", "hands", "face")
STEP_PX = 16
HALF = (SIZE[0] // 2, SIZE[1] // 2)


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * float(torch.log10((a - b).square().mean() + 1e-12))


def waving() -> warp.Points:
    """The person a step aside, with a raised right forearm."""
    body = np.array(BODY, float) + (4, -3)
    body[4] = body[3] + (-18, -12)
    return warp.Points.of(posed(body))


@pytest.mark.parametrize("name", ["whole", "close"])
def test_layers_at_rest_add_up_to_the_photo(drawn: Clothed, name: str) -> None:
    given = drawn if name == "whole" else clothed(close(), scale=CLOSE)
    aside = warp.Points.of(shifted(given.pose, STEP_PX / SIZE[1]))
    out = warp.warp(given.layers(), aside)  # in place the photo itself is shown
    picture = out.image[0, 0, :, :, STEP_PX:]
    photo = given.image[0, :, :, :-STEP_PX]
    assert psnr(picture, photo) > 30
    person = given.mask[0, 0, :, :-STEP_PX].numpy() > 0.5
    inside = torch.from_numpy(shrink(person, 2))
    assert psnr(picture[:, inside], photo[:, inside]) > 34
    is_other = (picture - photo).abs().amax(0) > 0.2
    is_lost = out.validity[0, 0, 0, :, STEP_PX:] < 0.5
    assert (is_other | is_lost)[inside].float().mean() < 0.025


def test_two_people_get_the_layers_that_each_gets_alone(drawn: Clothed) -> None:
    other = clothed(close(), scale=CLOSE)
    points = [warp.Points.of(given.pose) for given in (drawn, other)]
    both = warp.plates(
        torch.cat([drawn.image, other.image]),
        warp.Points(*(torch.cat([getattr(p, name) for p in points]) for name in KINDS)),
        torch.cat([drawn.mask, other.mask]),
    )
    for row, given in enumerate((drawn, other)):
        alone = given.layers()
        for name in ("background", "body", "shares", "near", "lips", "unit", "stability"):
            assert torch.allclose(getattr(both, name)[row], getattr(alone, name)[0], atol=1e-5), (
                name
            )
        assert [limb.row for limb in both.limbs[row]] == [limb.row for limb in alone.limbs[0]]
        for found, expected in zip(both.limbs[row], alone.limbs[0], strict=True):
            assert torch.allclose(found.spot, expected.spot, atol=1e-5)
            for pair in zip(found.pieces, expected.pieces, strict=True):
                assert_alike(*pair)


def assert_alike(piece: Piece, other: Piece) -> None:
    for field in fields(Piece):
        value = getattr(piece, field.name)
        expected = getattr(other, field.name)
        if torch.is_tensor(value):
            assert torch.allclose(value, expected, atol=1e-5), field.name
        else:
            assert value == expected, field.name


# ---- sizes


def test_shrunk_layers_show_the_same_at_half_the_size(plates: warp.Plates) -> None:
    small = warp.warp(plates.shrunk(HALF), waving(), HALF)
    whole = warp.warp(plates, waving())
    assert psnr(small.image[0], F.interpolate(whole.image[0], HALF, mode="area")) > 30
    smaller = F.interpolate(whole.validity[0], HALF, mode="area")
    assert (small.validity[0] - smaller).abs().mean() < 0.02


def test_shrinking_keeps_every_piece_in_its_place(plates: warp.Plates) -> None:
    small = plates.shrunk(HALF)
    assert small.size == HALF
    assert small.body.shape[2] == pytest.approx(plates.body.shape[2] / 2, abs=1)
    for limb, shrunk in zip(plates.limbs[0], small.limbs[0], strict=True):
        for piece, shrunk_piece in zip(limb.pieces, shrunk.pieces, strict=True):
            apart = middle(piece) - middle(shrunk_piece)
            assert apart.norm() < 0.25 / SIZE[0]


def middle(piece: Piece) -> Tensor:
    """The middle (2,) of what a piece covers, metric y and x."""
    top, left, bottom, right = piece.window
    alpha = piece.texture[0, 3]
    y = (torch.arange(alpha.shape[0]) + 0.5) / alpha.shape[0]
    x = (torch.arange(alpha.shape[1]) + 0.5) / alpha.shape[1]
    weight = alpha / alpha.sum()
    down = (weight.sum(1) * y).sum() * (bottom - top)
    across = (weight.sum(0) * x).sum() * (right - left)
    return torch.stack([down + top, across + left])


def test_arms_of_small_pictures_and_without_a_mask_count_as_stable(drawn: Clothed) -> None:
    assert torch.equal(drawn.layers().stability, torch.ones(1, 2))
    large = enlarged(drawn)
    unmasked = warp.plates(large.image, warp.Points.of(large.pose))
    assert torch.equal(unmasked.stability, torch.ones(1, 2))


def test_clear_arms_of_a_photo_are_fairly_stable(drawn: Clothed) -> None:
    stability = enlarged(drawn).layers().stability
    assert (stability > 0.5).all()
    assert (stability < 1).all()


def enlarged(given: Clothed) -> Clothed:
    """The same picture in 288 rows."""
    size = (SIZE[0] * 3 // 2, SIZE[1] * 3 // 2)
    image, mask = (F.interpolate(maps, size, mode="bilinear") for maps in (given.image, given.mask))
    return Clothed(image, mask, given.pose)


# ---- strange people


def strange(name: str) -> Clothed:
    body = np.array(BODY, float)
    middle_of_picture = np.array((SIZE[1], SIZE[0]), float) / 2
    if name == "tiny":
        small = (body - middle_of_picture) * 0.38 + middle_of_picture
        return clothed(small, scale=0.38)  # a head of 10 pixels
    if name == "at all borders":
        return clothed((body - (64, 96)) * (3.0, 1.4) + (64, 96), scale=1.4)
    if name == "mostly outside":
        return clothed(body * 3 + (-20, -30), scale=3.0)
    given = clothed()
    empty = torch.zeros_like(given.mask)
    if name == "empty mask":
        return replace(given, mask=empty)
    if name == "full mask":
        return replace(given, mask=empty + 1)
    return replace(given, pose=posed(np.tile(middle_of_picture, (18, 1))))  # joints in one place


@pytest.mark.parametrize(
    "name",
    ["tiny", "at all borders", "mostly outside", "empty mask", "full mask", "joints in one place"],
)
def test_strange_people_give_pictures(name: str) -> None:
    given = strange(name)
    layers = given.layers()
    for target in (waving(), warp.Points.of(given.pose)):
        out = warp.warp(layers, target)
        for maps in (out.image, out.validity, out.still):
            assert torch.isfinite(maps).all()
            assert maps.min() >= 0
            assert maps.max() <= 1
