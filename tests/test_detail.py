"""Detail transfer: exact where nothing was repaired, the repair alone where something was."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.warp.detail import detail_transfer, trust


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    high = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    return high, F.interpolate(high, (24, 16), mode="area")


def test_an_unchanged_picture_gets_all_its_detail_back() -> None:
    high, low = pictures()
    assert torch.allclose(detail_transfer(low, low, high), high, atol=1e-5)


def test_a_repaired_place_is_the_generated_picture() -> None:
    high, low = pictures()
    repaired = low.clone()
    repaired[:, :, 4:20, 2:14] = 0.5 + 0.5 * (low[:, :, 4:20, 2:14] < 0.5)  # at least 0.25 away, mostly more
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
