"""Fingers that bend over a palm that moves as a whole."""

import pytest
import torch
from torch import Tensor

from pipeline.render.warp.fingers import CRUSHED, bent, uncrushed_share

PALM = torch.tensor([[[0.0, -1.0, 0.6], [1.0, 0.0, 0.1]]])  # a quarter turn and a shift
ALL = torch.ones(1, 21, dtype=torch.bool)


def _hand() -> Tensor:
    """(21,2) an open hand that points up: root, then five straight fingers."""
    points = [torch.tensor([0.3, 0.6])]
    for finger in range(5):
        knuckle = torch.tensor([0.26 + 0.02 * finger, 0.52])
        points += [knuckle + torch.tensor([0.0, -0.02 * bone]) for bone in range(4)]
    return torch.stack(points)


def _carried(points: Tensor) -> Tensor:
    return points @ PALM[0, :, :2].T + PALM[0, :, 2]


def test_a_hand_that_turns_as_a_whole_is_moved_as_a_whole() -> None:
    nodes = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.2
    places = bent(nodes, _hand(), _carried(_hand())[None], PALM, ALL)
    assert torch.allclose(places[0], _carried(nodes), atol=1e-5)


def test_a_bent_finger_takes_its_nodes_along_and_no_others() -> None:
    reference = _hand()
    target = _carried(reference)[None].clone()
    tip = reference[9 + 3] + torch.tensor([0.0, -0.002])
    turned = torch.tensor([0.05, 0.0])
    for bone in (1, 2, 3):  # the middle finger bends sideways at its knuckle
        target[0, 9 + bone] = target[0, 9] + turned * 0.4 * bone
    nodes = torch.stack([reference[9 + 2], tip, reference[0], reference[17 + 3]])
    places = bent(nodes, reference, target, PALM, ALL)[0]
    assert (places[0] - target[0, 9 + 2]).norm() < 1e-3
    assert (places[1] - target[0, 9 + 3]).norm() < 4e-3
    assert torch.allclose(places[2:], _carried(nodes[2:]), atol=1e-3)


@pytest.mark.parametrize("fault", ["long finger", "back of the hand", "points unseen"])
def test_implausible_fingers_move_with_the_palm(fault: str) -> None:
    reference = _hand()
    target = _carried(reference)[None].clone()
    both = ALL.clone()
    target[0, 10:13, 0] += 0.01
    if fault == "long finger":
        target[0, 12] += 0.2
    elif fault == "back of the hand":
        target[0, :, 1] = 2 * target[0, 0, 1] - target[0, :, 1]
    else:
        both[0, 5:9] = False
    places = bent(reference[9:13], reference, target, PALM, both)[0]
    assert torch.allclose(places, _carried(reference[9:13]), atol=1e-4)


def _square() -> tuple[Tensor, Tensor]:
    """16 nodes on a grid (16,2), and the rows beside them (4,16)."""
    grid = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    row = torch.arange(16)
    beside = torch.stack([(row - 4).clamp_min(0), (row + 4).clamp_max(15), row - row % 4, row | 3])
    return grid, beside


@pytest.mark.parametrize(
    ("across", "share"),
    [(-1.0, (1 - CRUSHED) / 2), (-3.0, (1 - CRUSHED) / 4), (0.0, 1 - CRUSHED), (0.5, 1), (2.0, 1)],
)
def test_a_hand_bends_until_it_would_be_crushed(across: float, share: float) -> None:
    """At a share s its width is 1 - s + s `across`, which stays above CRUSHED."""
    grid, beside = _square()
    moved = grid * torch.tensor([across, 1.0])
    solid = torch.ones(16, dtype=torch.bool)
    found = uncrushed_share(grid[None], moved[None], beside, solid)
    assert found[0] == pytest.approx(share, abs=1e-5)


def test_a_hand_that_grows_or_turns_a_little_is_not_crushed() -> None:
    grid, beside = _square()
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    solid = torch.ones(16, dtype=torch.bool)
    moved = torch.stack([grid @ turn, 3 * grid, grid + 1])
    assert (uncrushed_share(grid.expand(3, -1, -1), moved, beside, solid) == 1).all()


def test_what_shows_nothing_may_be_crushed() -> None:
    grid, beside = _square()
    moved = grid * torch.tensor([-1.0, 1.0])
    solid = torch.zeros(16, dtype=torch.bool)
    assert uncrushed_share(grid[None], moved[None], beside, solid)[0] == 1
