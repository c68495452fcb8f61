"""The 1 euro filter on values whose answer is known."""

import numpy as np
import pytest

from pipeline.analysis.detectors.one_euro import OneEuro


def numbers(gain: float = 10.0) -> OneEuro:
    return OneEuro(1 / 30, least_cutoff_hz=0.01, speed_gain=gain, speed_cutoff_hz=1.0)


def test_the_first_value_is_taken_and_still_values_stay():
    smooth = numbers()
    still = np.array([3.0, 4.0])
    for _ in range(5):
        assert np.array_equal(smooth(still, 1.0), still)


def test_noise_is_held_and_motion_is_followed():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.001, 100)
    smooth = numbers()
    held = [smooth(np.array([value]), 1.0)[0] for value in noise]
    assert np.std(held[20:]) < 0.2 * np.std(noise)
    smooth = numbers()
    moving = [smooth(np.array([float(t)]), 1.0)[0] for t in range(100)]
    assert moving[-1] == pytest.approx(99, abs=0.1)


def test_a_step_by_hand():
    """Without a speed term the weight is 1 / (1 + 1 / (2 pi f dt))."""
    smooth = OneEuro(0.1, least_cutoff_hz=2.0, speed_gain=0.0, speed_cutoff_hz=1.0)
    smooth(np.array([0.0]), 1.0)
    weight = 1 / (1 + 1 / (2 * np.pi * 2.0 * 0.1))
    assert smooth(np.array([1.0]), 1.0)[0] == pytest.approx(weight)
    smooth.reset()
    assert smooth(np.array([5.0]), 1.0)[0] == 5
