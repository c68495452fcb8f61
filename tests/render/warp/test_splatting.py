"""Pieces drawn where they went: no holes, no streaks, the texture's own pixels at rest."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.render.warp.skinning import HAND, Piece
from pipeline.render.warp.splatting import draw_piece
from tests.helpers.drawn_arm import (
    ASPECT,
    ELBOW,
    SHOULDER,
    WRIST,
    drawn,
    motion,
    painted,
    pieces,
    pixel_places,
    posed,
    turned,
)

REST = (SHOULDER, ELBOW, WRIST)


def _connected(alpha: Tensor) -> int:
    """Connected components of more than three pixels."""
    areas = cv2.connectedComponentsWithStats((alpha > 0.5).numpy().astype(np.uint8))[2][1:, 4]
    return int((areas > 3).sum())


def test_at_rest_the_texture_comes_back() -> None:
    arm = painted()
    for piece in pieces():
        picture = drawn(posed(REST), [piece])[0]
        error = (picture - piece.texture[0, [0, 1, 2, 4]]).square().mean()
        assert -10 * error.log10() > 60
    whole = drawn(posed(REST), pieces())[0]
    assert -10 * (whole[:3] - arm[:3] * arm[3]).square().mean().log10() > 45


def test_frames_do_not_depend_on_each_other() -> None:
    down = [SHOULDER[1] + 0.3 * (y - SHOULDER[1]) for y in (ELBOW[1], WRIST[1])]
    short = (SHOULDER, (SHOULDER[0], down[0]), (SHOULDER[0], down[1]))
    poses = [REST, turned(0.5, -1.0), turned(-0.4, 2.0), short]
    together = drawn(posed(*poses), pieces())
    for frame, pose in enumerate(poses):
        alone = drawn(posed(pose), pieces())[0]
        assert (alone - together[frame]).abs().max() < 1e-3


@pytest.mark.parametrize("upper", [-0.9, 0.0, 0.7])
def test_an_arm_swung_through_twelve_angles_stays_one_piece(upper: float) -> None:
    poses = [turned(upper, -2.75 + 0.5 * k) for k in range(12)]
    area = painted()[3].sum()
    for picture in drawn(posed(*poses), pieces()):
        assert _connected(picture[3]) == 1
        assert 0.7 < picture[3].sum() / area < 1.4


def test_a_stretched_arm_has_no_holes_and_a_short_one_keeps_its_width() -> None:
    for length in (2.0, 0.3):
        down = [SHOULDER[1] + length * (y - SHOULDER[1]) for y in (ELBOW[1], WRIST[1])]
        pose = (SHOULDER, (SHOULDER[0], down[0]), (SHOULDER[0], down[1]))
        alpha = drawn(posed(pose), pieces())[0, 3]
        rest = painted()[3]
        widths = alpha[int(384 * SHOULDER[1]) : int(384 * min(down[1], 0.98))].sum(1)
        assert (widths / rest[int(384 * ELBOW[1]) + 30].sum() - 1).abs().max() < 0.12


def test_a_stretched_arm_shows_its_texture_stretched() -> None:
    down = [SHOULDER[1] + 1.5 * (y - SHOULDER[1]) for y in (ELBOW[1], WRIST[1])]
    picture = drawn(posed((SHOULDER, (SHOULDER[0], down[0]), (SHOULDER[0], down[1]))), pieces())
    arm = painted()
    column = int(384 * SHOULDER[0])
    for y in (0.34, 0.4, 0.44):
        goal = SHOULDER[1] + 1.5 * (y - SHOULDER[1])
        found = picture[0, :3, round(384 * goal - 0.5), column]
        assert (found - arm[:3, round(384 * y - 0.5), column]).abs().max() < 0.08


def test_nothing_is_drawn_far_from_a_folded_arm() -> None:
    """Texture that is stretched between places that are not neighbors would appear there."""
    places = pixel_places()
    for bend in (-2.7, -1.5, 1.5, 2.7):
        pose = turned(0.2, bend)
        alpha = drawn(posed(pose), pieces())[0, 3]
        axis = torch.tensor(pose[2]) - torch.tensor(pose[1])
        tip = torch.tensor(pose[2]) + axis / axis.norm() * 0.09
        chain = [torch.tensor(pose[0]), torch.tensor(pose[1]), tip]
        apart = torch.stack([_distance(places, *chain[k : k + 2]) for k in (0, 1)]).amin(0)
        assert alpha[apart > 0.045].max() < 0.1
        assert alpha[apart < 0.024].min() > 0.7


def _distance(places: Tensor, start: Tensor, end: Tensor) -> Tensor:
    axis = end - start
    along = ((places - start) @ axis / axis.square().sum()).clamp(0, 1)
    return (places - start - along[..., None] * axis).norm(dim=-1)


def test_pieces_may_leave_the_picture_or_not_be_shown() -> None:
    upper = pieces()[0]
    for shift in ((0.33, 0.0), (-0.3, 0.6), (5.0, 5.0)):
        moves = motion(posed(tuple((x + shift[0], y + shift[1]) for x, y in REST)))
        picture = torch.zeros(1, 4, 384, 256)
        draw_piece(picture, upper, moves.place(upper), torch.tensor([True]), ASPECT)
        assert torch.isfinite(picture).all()
        assert bool(picture.any()) == (shift[0] < 1)
    picture = torch.zeros(2, 4, 384, 256)
    places = motion(posed(REST, REST)).place(upper)
    draw_piece(picture, upper, places, torch.tensor([False, True]), ASPECT)
    assert not picture[0].any()
    assert picture[1].any()


def test_a_piece_is_drawn_at_other_sizes_too() -> None:
    for scale in (1 / 3, 2):
        size = (int(384 * scale), int(256 * scale))
        picture = torch.zeros(1, 4, *size)
        for piece in pieces():
            places = motion(posed(turned(0.3, 1.0))).place(piece)
            draw_piece(picture, piece, places, torch.tensor([True]), size[1] / size[0])
        assert _connected(picture[0, 3]) == 1
        assert picture[0, 3].sum() / scale**2 == pytest.approx(float(painted()[3].sum()), rel=0.1)


def test_fine_stripes_of_a_foreshortened_arm_turn_gray() -> None:
    rows = pixel_places()[..., 1]
    stripes = (rows * 384 * 2 * torch.pi / 5).sin() / 2 + 0.5
    parts = []
    for piece in pieces():
        alpha = piece.texture[:, 3:4]
        texture = torch.cat([stripes * alpha] * 3 + [alpha, alpha], 1)
        parts.append(replace(piece, texture=texture))
    contrast = []
    for length in (1.0, 0.3):
        ends = [SHOULDER[1] + length * (y - SHOULDER[1]) for y in (ELBOW[1], WRIST[1])]
        pose = (SHOULDER, *((SHOULDER[0], y) for y in ends))
        top = int(384 * SHOULDER[1]) + 6
        inside = slice(top, top + int(384 * 0.4 * length * (WRIST[1] - SHOULDER[1])))
        contrast.append(drawn(posed(pose), parts)[0, 0, inside, int(384 * SHOULDER[0])].std())
    assert contrast[1] < 0.65 * contrast[0]  # one sample a pixel keeps nearly all of it


def test_a_transparent_fold_shows_in_no_hole_of_a_stretched_one() -> None:
    """Half of a hand is stretched; the other half, transparent, is folded under it."""
    count = 32
    line = torch.arange(0, 2 * count, 2) + 0.5
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).flatten(0, 1)
    texture = torch.zeros(1, 5, 2 * count, 2 * count)
    texture[..., :count] = 1.0
    share = torch.ones(len(at))
    window = (0.0, 0.0, 0.5, 0.5)
    piece = Piece(0, HAND, window, texture, at / 128, 2 / 128, share, 0 * share, 0 * share)
    folded = at - at.new_tensor([count - 1.0, 0.0]) + 5
    places = torch.where(at[:, :1] < count, 2 * at, folded) / 128
    picture = torch.zeros(1, 4, 128, 128)
    draw_piece(picture, piece, places[None], torch.tensor([True]), 1.0)
    assert picture[0, 3, 4:60, 4:40].min() > 0.9
