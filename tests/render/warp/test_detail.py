"""A small repair on the large warp: all its detail stays; and the repair's share."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.models.repair import repair_gate
from pipeline.render.warp.detail import add_repair


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    high = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    return high, F.interpolate(high, (24, 16), mode="area")


def test_an_unchanged_picture_is_the_large_warp() -> None:
    high, low = pictures()
    assert torch.allclose(add_repair(low, low, high), high, atol=1e-5)


def test_a_repair_changes_the_light_and_leaves_the_detail() -> None:
    high, low = pictures()
    high = 0.3 + 0.4 * high
    low = 0.3 + 0.4 * low
    repaired = low.clone()
    repaired[:, :, 4:20, 2:14] += 0.2
    out = add_repair(repaired, low, high)
    inside = (..., slice(28, 68), slice(20, 44))
    assert torch.allclose(out[inside], high[inside] + 0.2, atol=1e-5)


def test_an_outline_that_the_network_blurs_stays_sharp() -> None:
    high = torch.zeros(1, 3, 96, 64)
    high[..., 32:] = 0.8
    low = F.interpolate(high, (24, 16), mode="area")
    blurred = F.avg_pool2d(low, 5, 1, 2, count_include_pad=False)
    out = add_repair(blurred, low, high)
    step = out[..., 32] - out[..., 31]
    assert (step > 0.7 * 0.8).all()


def test_shapes_that_do_not_fit_are_named() -> None:
    high, low = pictures()
    with pytest.raises(ValueError, match="one shape"):
        add_repair(low[:1], low, high)


def shares(keep: tuple[float, ...], seen: float) -> torch.Tensor:
    """(48,64) shares of the repair; the right half is a hole; a face, if seen, lies across both
    halves."""
    validity = torch.ones(1, 1, 48, 64)
    validity[..., 32:] = 0
    turn = torch.linspace(0, 6.28, 68)
    face = torch.stack(
        [0.5 + 0.2 * turn.cos(), 0.5 + 0.2 * turn.sin(), torch.full((68,), seen)], -1
    )
    return repair_gate(validity, face[None], keep)[0, 0]


def test_the_repair_counts_by_what_the_warp_shows() -> None:
    found = shares((0.3, 0.8, 1.0, 0.4), seen=0.0)
    assert torch.allclose(found[:, :28], torch.tensor(0.3))
    assert torch.allclose(found[:, 34:], torch.tensor(0.4))
    faced = shares((0.3, 0.8, 0.8, 0.4), seen=1.0)
    assert faced[24, 26] == pytest.approx(0.8) and faced[24, 40] == pytest.approx(
        1.0
    )  # holes of a face: all
    assert faced[2, 60] == pytest.approx(0.4)


def test_weights_without_a_share_for_holes_repair_them_wholly() -> None:
    assert torch.allclose(shares((0.3, 0.8, 1.0), seen=0.0)[:, 34:], torch.tensor(1.0))
