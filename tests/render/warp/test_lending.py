"""Upper arms lend pixels to a forearm that points at the camera, if it is short and alike."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pipeline.motion.keypoints import R_ELBOW, R_WRIST
from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.arms import FADE_IN, FADE_OUT
from pipeline.render.warp.cutout import Cutout
from pipeline.render.warp.pieces import PieceMaps
from pipeline.render.warp.skinning import Piece
from pipeline.render.warp.sleeves import FORE, HAND, LENT, UPPER, lent_pixels
from pipeline.render.warp.splatting import move_piece
from tests.helpers import drawn_arm
from tests.helpers.clothed_person import BODY, SIZE, SKIN, SLEEVE, clothed

UNIT = 40.0
SHOULDER, ELBOW = (10.0, 30.0), (60.0, 30.0)
DARKER = tuple(0.9 * value for value in SLEEVE)
UPPER_PLACE = (slice(24, 36), slice(4, 60))


def lent(
    color: tuple[float, ...],
    length_px: int = 16,
    hand_from_px: int = 80,
    bare_from_px: int = 60,
    shade: float = 0.0,
    lit: float = 0.0,
) -> tuple[PieceMaps, np.ndarray] | None:
    """What a level sleeve lends to a forearm of a color that goes on from it.

    Args:
        color: of the forearm.
        length_px: of its bone; as much of it is seen.
        hand_from_px: column from which on the hand lies over it.
        bare_from_px: column at which the sleeve ends; the arm is skin from there to the elbow.
        shade: share of its light that the sleeve loses evenly down to the elbow.
        lit: share of its light that the bare arm loses evenly from its upper to its lower side.
    """
    picture = np.full((60, 140, 3), 0.9, np.float32)
    own = np.zeros(picture.shape[:2], bool)
    owner = np.full(own.shape, FORE)
    owner[UPPER_PLACE] = UPPER
    fore_place = (slice(24, 36), slice(60, 60 + length_px))
    for place, cloth in ((UPPER_PLACE, SLEEVE), (fore_place, color)):
        picture[place] = cloth
        own[place] = True
    picture[24:36, 4:60] *= np.linspace(1, 1 - shade, 56, dtype=np.float32)[:, None]
    picture[24:36, bare_from_px:60] = SKIN
    picture[24:36, bare_from_px:60] *= np.linspace(1, 1 - lit, 12, dtype=np.float32)[:, None, None]
    shares = np.zeros((len(Part), *own.shape), np.float32)
    shares[Part.R_UPPER_ARM] = 1
    owner[:, hand_from_px:] = HAND
    picture[24:36, hand_from_px : hand_from_px + 10] = SKIN
    own[24:36, hand_from_px : hand_from_px + 10] = True
    window = Cutout(picture, own.astype(np.float32), shares)
    hand = np.zeros(own.shape, bool)
    hand[:, hand_from_px:] = True
    joints = np.array([SHOULDER, ELBOW, (ELBOW[0] + length_px, ELBOW[1])])
    return lent_pixels(window, owner, own, joints, hand, UNIT)


def test_a_short_forearm_of_the_same_cloth_borrows() -> None:
    assert lent(DARKER) is not None


@pytest.mark.parametrize(("color", "length_px"), [(SKIN, 16), (DARKER, 40)])
def test_a_bare_or_a_long_forearm_does_not(color: tuple[float, ...], length_px: int) -> None:
    assert lent(color, length_px) is None


def test_a_forearm_behind_its_hand_has_no_color_of_its_own() -> None:
    assert lent(SKIN, hand_from_px=62) is not None


def test_below_a_short_sleeve_the_elbow_lends_its_skin() -> None:
    maps, _ = lent(SKIN, hand_from_px=62, bare_from_px=42)
    color = maps.color[maps.alpha > 0.5]
    np.testing.assert_allclose(color, np.broadcast_to(SKIN, color.shape), atol=1e-2)


def test_skin_below_a_short_sleeve_is_drawn_slimmer_towards_the_wrist() -> None:
    maps, (elbow, wrist) = lent(SKIN, hand_from_px=80, bare_from_px=42)
    widths = (maps.alpha > 0.5).sum(0)
    near_elbow = widths[round(elbow[0]) - 3]
    near_wrist = widths[round(wrist[0]) + 3]
    assert 0.6 < near_wrist / near_elbow < 0.85


def test_light_falls_across_a_drawn_forearm_as_across_the_upper_arm() -> None:
    maps, (elbow, wrist) = lent(SKIN, bare_from_px=42, lit=0.5)
    middle = round((elbow[0] + wrist[0]) / 2)
    light = maps.color[:, middle].sum(-1)
    inside = np.flatnonzero(maps.alpha[:, middle] > 0.9)
    assert light[inside[-2]] < 0.7 * light[inside[1]]


def test_a_shaded_sleeve_lends_all_its_colors() -> None:
    maps, _ = lent(DARKER, shade=0.5)
    light = maps.color[30].sum(-1)
    assert light[20] > 1.2 * light[42]


def test_what_is_lent_lies_along_the_upper_arm_and_has_its_color() -> None:
    maps, bone = lent(DARKER)
    start, end = bone
    way = np.array(SHOULDER) - ELBOW
    np.testing.assert_allclose(start, ELBOW + LENT[0] * way)
    np.testing.assert_allclose(end, ELBOW + LENT[1] * way)
    is_lent = maps.alpha > 0.5
    assert is_lent[30, 25:40].all()
    assert not is_lent[:, 60:].any()
    color = maps.color[is_lent]
    np.testing.assert_allclose(color, np.broadcast_to(SLEEVE, color.shape), atol=1e-3)


def right_arm(wrist: tuple[float, float]) -> tuple[Piece, ...]:
    """The pieces of a right arm in one cloth whose elbow is at (42, 72)."""
    body = np.array(BODY, float)
    body[R_WRIST] = wrist
    layers = clothed(body, fore=SLEEVE).layers()
    return next(limb.pieces for limb in layers.limbs[0] if limb.row == 0)


def alpha_at(piece: Piece, place: np.ndarray) -> float:
    """The alpha of a piece at a place (2,) in pixels of the picture."""
    top, left, _, _ = piece.window
    column, row = np.floor(place - np.array([left, top]) * SIZE[0] + 1e-3).astype(int)
    return float(piece.texture[0, 3, row, column])


def test_a_lending_upper_arm_goes_down_to_its_elbow() -> None:
    upper, fore, *_ = right_arm((43, 78))
    assert fore.source is not None
    assert alpha_at(upper, np.array(BODY[R_ELBOW]) + (0, 1)) > 0.9
    assert (upper.after == 0).all()  # a forearm at another angle takes none of it along


def test_a_forearm_at_length_borrows_nothing() -> None:
    _, fore, _ = right_arm((38, 94))
    assert fore.source is None


def test_a_forearm_shows_its_own_pixels_until_it_is_stretched() -> None:
    _, borrowed, own, _ = right_arm((43, 84))
    assert own.source is None
    assert borrowed.source is not None
    assert own.fade == FADE_OUT
    assert borrowed.fade == FADE_IN
    assert FADE_IN[1] <= FADE_OUT[1]  # at every stretch one of both is there


def faded(stretch: float) -> np.ndarray:
    """The alpha (H, W) of a drawn forearm's two layers, as `cut_arm` orders them, at a stretch."""
    _, fore, _ = drawn_arm.pieces()
    bone = torch.tensor([drawn_arm.ELBOW, drawn_arm.WRIST])
    layers = (replace(fore, source=bone, fade=FADE_IN), replace(fore, fade=FADE_OUT))
    wrist = bone[0] + stretch * (bone[1] - bone[0])
    joints = (drawn_arm.SHOULDER, drawn_arm.ELBOW, tuple(wrist.tolist()))
    moves = drawn_arm.motion(drawn_arm.posed(joints))
    height, width = drawn_arm.SIZE
    canvas = torch.ones(1, 4, height, width)
    for piece in layers:
        dark = replace(piece, texture=piece.texture * torch.tensor([0, 0, 0, 1, 0])[:, None, None])
        opacity = moves.opacity(piece)
        moved = move_piece(dark, moves.place(piece), opacity, drawn_arm.SIZE, width / height)
        if moved is not None:
            moved.draw(canvas, slice(0, 1))
    return 1 - canvas[0, 0].numpy()


@pytest.mark.parametrize("stretch", [1.0, 1.22, 1.3, 1.38, 1.42, 1.46, 1.5, 1.54, 1.58, 1.7])
def test_nothing_shows_through_a_forearm_whose_layers_change(stretch: float) -> None:
    """A layer is at most a little transparent but for its edge, which is as soft at any stretch."""
    alpha = faded(stretch)
    shown = (alpha > 0.1).astype(np.uint8)
    inside = cv2.erode(shown, np.ones((5, 5), np.uint8)) > 0
    elbow = round(drawn_arm.ELBOW[1] * drawn_arm.SIZE[0])
    wrist = round(drawn_arm.WRIST[1] * drawn_arm.SIZE[0])
    between = slice(elbow + 8, wrist - 8)  # beyond them lie upper arm and hand
    assert inside[between].any()
    assert alpha[between][inside[between]].min() > 0.85
