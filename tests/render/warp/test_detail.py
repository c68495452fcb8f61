"""Detail transfer: exact where nothing was repaired, the repair alone where something was; its
share."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.models.repair import repair_gate
from pipeline.render.warp.detail import detail_transfer, trust


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    high = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    return high, F.interpolate(high, (24, 16), mode="area")


def test_an_unchanged_picture_gets_all_its_detail_back() -> None:
    high, low = pictures()
    assert torch.allclose(detail_transfer(low, low, high), high, atol=1e-5)


def test_a_repaired_place_is_the_generated_picture() -> None:
    high, low = pictures()
    repaired = low.clone()
    repaired[:, :, 4:20, 2:14] = 0.5 + 0.5 * (
        low[:, :, 4:20, 2:14] < 0.5
    )  # at least 0.25 away, mostly more
    plain = F.interpolate(repaired, (96, 64), mode="bicubic", align_corners=False).clamp(0, 1)
    out = detail_transfer(repaired, low, high)
    assert (out - plain)[:, :, 28:68, 20:44].abs().mean() < 0.02


def test_trust_is_least_around_a_change_and_full_far_from_it() -> None:
    _, low = pictures()
    changed = low.clone()
    changed[:, :, 12, 8] += 0.5
    weight = trust(changed, low)
    assert weight[0, 0, 12, 8] < 0.01 and weight[0, 0, 11, 7] < 0.6 and weight[0, 0, 2, 2] == 1


def test_shapes_that_do_not_fit_are_named() -> None:
    high, low = pictures()
    with pytest.raises(ValueError, match="one shape"):
        detail_transfer(low[:1], low, high)


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
