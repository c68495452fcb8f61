"""How far hands bend over time: eased, and the same in any part of a clip."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline.render import warp
from pipeline.render.warp.fingers import KNUCKLES
from pipeline.render.warp.hand_plan import EASE_SECONDS, HandPlan, eased, pace
from tests.helpers.clothed_person import SIZE, Clothed

FPS = 25.0
FRAMES = 60
RADIUS = round(EASE_SECONDS * FPS)
FOLDED = slice(28, 31)  # frames in which the fingers lie over each other
RIGHT = 21  # row of the right hand's first point


def test_a_single_stiff_frame_is_eased_in_and_out() -> None:
    shares = torch.ones(1, 50, 1)
    shares[0, 25] = 0
    found = eased(shares, torch.arange(50), 5)[0, :, 0]
    assert found[25] == 0
    assert (found <= shares[0, :, 0] + 1e-6).all()
    assert found.diff().abs().max() < 0.2
    assert found[:15].min() > 1 - 1e-6 and found[36:].min() > 1 - 1e-6
    assert found[16:25].diff().max() <= 0 and found[26:35].diff().min() >= 0


def test_frames_without_an_order_are_not_eased() -> None:
    shares = torch.rand(2, 9, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(eased(shares, torch.arange(9), 0), shares)


def test_rows_do_not_depend_on_what_else_is_asked() -> None:
    shares = torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(0))
    whole = eased(shares, torch.arange(40), 5)
    some = torch.tensor([0, 7, 9, 38])
    assert torch.equal(eased(shares, some, 5), whole[:, some])


def _folding(drawn: Clothed) -> warp.Points:
    """The drawn person with arms aside, whose right hand folds for a moment."""
    points = warp.Points.timed(drawn.pose)
    body, hands, face = (
        part.repeat(1, FRAMES, 1, 1) for part in (points.body, points.hands, points.face)
    )
    for part in (body, hands, face):
        part[..., 0] += 4 / SIZE[1]
    for knuckle in KNUCKLES:
        rows = slice(RIGHT + knuckle, RIGHT + knuckle + 4)
        finger = hands[:, FOLDED, rows, 1]
        hands[:, FOLDED, rows, 1] = 2 * finger[..., :1] - finger  # back over the palm
    return replace(points, body=body, hands=hands, face=face)


def _plan(plates: warp.Plates, points: warp.Points) -> HandPlan:
    return HandPlan(plates, (points.body, points.hands, points.face), points.fps)


@pytest.fixture(scope="module")
def folding(drawn: Clothed) -> warp.Points:
    return _folding(drawn)


def _bends(plates: warp.Plates, points: warp.Points, *parts: range) -> Tensor:
    plan = _plan(plates, points)
    return torch.cat([plan.moves(part).bends for part in parts])


def test_a_hand_is_stiff_before_it_folds_and_bends_again_after(
    plates: warp.Plates, folding: warp.Points
) -> None:
    right, left = _bends(plates, folding, range(FRAMES)).unbind(1)
    assert left.min() > 1 - 1e-6
    assert right[FOLDED].max() < 0.5
    assert min(right[0], right[-1]) > 1 - 1e-6
    assert right.diff().abs().max() < 0.25
    alone = _bends(plates, replace(folding, fps=None), range(FRAMES))[:, 0]
    assert alone[FOLDED.start - 1] > 1 - 1e-6 and alone[FOLDED].max() < 0.5
    assert (right <= alone + 1e-6).all()


def test_chunks_and_excerpts_have_the_plan_of_the_whole_clip(
    plates: warp.Plates, folding: warp.Points
) -> None:
    whole = _bends(plates, folding, range(FRAMES))
    chunks = [range(start, min(start + 7, FRAMES)) for start in range(0, FRAMES, 7)]
    assert torch.allclose(_bends(plates, folding, *chunks), whole, atol=1e-6)
    for rows in (range(FOLDED.start - 6, FOLDED.start - 5), range(20, 40, 2)):
        assert torch.allclose(_bends(plates, folding, rows), whole[rows], atol=1e-6)


def test_some_frames_are_drawn_as_in_the_whole_clip(
    plates: warp.Plates, folding: warp.Points
) -> None:
    whole = warp.warp(plates, folding).image[0]
    rows = slice(FOLDED.start - 6, FOLDED.stop, 2)
    parts = [part.image[0] for part in warp.stream(plates, folding, frames=rows)]
    assert torch.allclose(torch.cat(parts), whole[rows], atol=1e-4)


def test_a_person_without_hands_bends_none(plates: warp.Plates, folding: warp.Points) -> None:
    handless = replace(folding, hands=torch.zeros_like(folding.hands))
    assert (_bends(plates, handless, range(4)) == 0).all()


def test_the_pace_is_half_the_way_between_the_frames_beside() -> None:
    places = torch.tensor([0.0, 1, 4, 4, 4])[None, :, None, None].expand(1, 5, 2, 2)
    assert pace(places, torch.arange(5))[0, :, 0, 0].tolist() == [1, 2, 1.5, 0, 0]
    unknown = torch.full_like(places, torch.nan)
    assert pace(unknown, torch.arange(5)).eq(0).all()  # a hand without opaque pixels has no middle
    alone = pace(places[:, :1], torch.arange(1))
    assert (alone == 0).all()


def test_a_hand_at_rest_has_no_way(plates: warp.Plates, drawn: Clothed) -> None:
    points = warp.Points.timed(drawn.pose)
    still = replace(
        points,
        body=points.body.repeat(1, 4, 1, 1),
        hands=points.hands.repeat(1, 4, 1, 1),
        face=points.face.repeat(1, 4, 1, 1),
    )
    assert (_plan(plates, still).moves(range(4)).ways == 0).all()
