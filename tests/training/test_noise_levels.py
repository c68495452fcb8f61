"""The noise levels of the published trainer."""

import math

import torch

from pipeline.training.noise_levels import NoiseLaw, draw_levels, levels_at


def test_levels_run_from_the_greatest_to_the_least():
    law = NoiseLaw()
    levels = levels_at(torch.linspace(0, 1, 101, dtype=torch.float64), law)
    assert math.isclose(levels[0], 700.0, rel_tol=1e-9)
    assert math.isclose(levels[-1], 0.002, rel_tol=1e-9)
    assert (levels.diff() < 0).all()


def test_without_shifts_a_level_is_the_tangent_of_its_angle():
    law = NoiseLaw(0.5, 2.0, 1.0, 64, 64, 64)
    middle = levels_at(torch.tensor([0.5], dtype=torch.float64), law)
    # the angles of 2 and .5 are symmetric around 45 degrees
    assert math.isclose(middle.item(), 1.0, rel_tol=1e-9)


def test_a_shift_scales_the_middle_level():
    # both resolutions the half: the logarithmic ratio falls by 2 ln 2, the level rises twofold
    plain = levels_at(torch.tensor([0.5], dtype=torch.float64), NoiseLaw(1e-6, 1e6, 1, 64, 64, 64))
    shifted = levels_at(
        torch.tensor([0.5], dtype=torch.float64), NoiseLaw(1e-6, 1e6, 1, 64, 32, 32)
    )
    assert math.isclose(shifted.item() / plain.item(), 2.0, rel_tol=1e-4)


def test_the_same_generator_draws_the_same_levels():
    draws = [draw_levels(5, NoiseLaw(), torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)
    assert draws[0].dtype == torch.float32
