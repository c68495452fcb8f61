"""A layer that is averaged along its way within the exposure."""

import pytest
import torch

from pipeline.render.warp.smear import LEAST_PX, MOST_PX, smear_taps, smeared


@pytest.mark.parametrize("way", [(0.0, 0.0), (0.6, -0.7), (LEAST_PX, 0.0)])
def test_a_short_way_leaves_the_layer_as_it_is(way: tuple[float, float]) -> None:
    layer = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(0))
    found, margin = smeared(layer, smear_taps(*way))
    assert margin == 0
    assert torch.equal(found, layer)


@pytest.mark.parametrize("way", [(8.0, 0.0), (0.0, -5.0), (3.0, 4.0), (1.1, 0.0), (200.0, 90.0)])
def test_a_point_becomes_a_line_of_the_same_sum_around_its_place(way: tuple[float, float]) -> None:
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1
    found, margin = smeared(point, smear_taps(*way))
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    rows, columns = torch.meshgrid(
        torch.arange(found.shape[1]), torch.arange(found.shape[2]), indexing="ij"
    )
    x = (columns - margin - 4).float()
    y = (rows - margin - 4).float()
    assert float((found[0] * x).sum()) == pytest.approx(0, abs=1e-4)
    assert float((found[0] * y).sum()) == pytest.approx(0, abs=1e-4)
    shown = found[0] > 1e-6
    along = (x * way[0] + y * way[1]) / (way[0] ** 2 + way[1] ** 2) ** 0.5
    across = (x * way[1] - y * way[0]) / (way[0] ** 2 + way[1] ** 2) ** 0.5
    assert across[shown].abs().max() < 1.5
    length = min((way[0] ** 2 + way[1] ** 2 - LEAST_PX**2) ** 0.5, MOST_PX)
    assert along[shown].abs().max() <= length / 2 + 1.5


def test_the_blur_begins_evenly() -> None:
    taps = smear_taps(LEAST_PX + 1e-3, 0.0)
    assert taps[0, 0] > 0.95
