"""Frechet distances with known answers, scipy's root beside ours, and statistics of a stream."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from pipeline.evaluation.metrics.frechet import (
    RunningStatistics,
    distance_of,
    frechet_distance,
)
from pipeline.values import InputError


def covariance(size: int, seed: int, rank: int | None = None) -> np.ndarray:
    factors = np.random.default_rng(seed).normal(size=(size, rank or 2 * size))
    return factors @ factors.T / factors.shape[1]


def test_distances_by_hand():
    """(2 - 5)^2 + (3 - 1)^2 of two normal distributions on the line."""
    assert frechet_distance(
        np.array([2.0]), np.array([[9.0]]), np.array([5.0]), np.array([[1.0]])
    ) == pytest.approx(13)
    spreads = np.diag([1.0, 4.0, 9.0])
    other = np.diag([4.0, 4.0, 1.0])
    zero = np.zeros(3)
    assert frechet_distance(zero, spreads, zero, other) == pytest.approx(1 + 0 + 4)
    assert frechet_distance(zero, spreads, zero, spreads) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rank", [None, 6])
def test_the_distance_is_that_of_the_matrix_root(rank):
    """Also where there are fewer rows than numbers, so that covariances are singular."""
    one = covariance(20, 1, rank)
    other = covariance(20, 2, rank)
    mean = np.random.default_rng(3).normal(size=20)
    offset = 1e-9 * np.eye(20) if rank else 0
    root = sqrtm((one + offset) @ (other + offset)).real
    wanted = mean @ mean + np.trace(one + other - 2 * root)
    found = frechet_distance(mean, one, np.zeros(20), other)
    assert found == pytest.approx(wanted, rel=1e-4 if rank else 1e-9)
    swapped = frechet_distance(np.zeros(20), other, mean, one)
    assert swapped == pytest.approx(found)


def test_statistics_of_batches_are_those_of_all_rows():
    rows = np.random.default_rng(0).normal(1e3, 1, size=(101, 5)).astype(np.float32)
    running = RunningStatistics(5)
    for start in range(0, 101, 7):
        running.add(rows[start : start + 7])
    running.add(rows[:0])
    exact = rows.astype(np.float64)
    assert running.count == 101 and running.is_full_rank
    assert np.allclose(running.mean, exact.mean(0), rtol=1e-12)
    assert np.allclose(running.covariance, np.cov(exact.T), rtol=1e-9)


def test_statistics_merge():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    whole, first, second = (RunningStatistics(3) for _ in range(3))
    whole.add(rows)
    first.add(rows[:11])
    second.add(rows[11:])
    first.merge(RunningStatistics(3))
    first.merge(second)
    assert first.count == 40
    assert np.allclose(first.covariance, whole.covariance)
    assert distance_of(first, whole) == pytest.approx(0, abs=1e-9)


def test_a_planted_shift_is_measured():
    rows = np.random.default_rng(0).normal(size=(4000, 4))
    one, other = RunningStatistics(4), RunningStatistics(4)
    one.add(rows)
    other.add(rows + [3, 0, 0, 0])
    assert distance_of(one, other) == pytest.approx(9)


def test_few_rows_bias_the_distance_upwards():
    generator = np.random.default_rng(0)
    found = []
    for count in (30, 300):
        one, other = RunningStatistics(50), RunningStatistics(50)
        one.add(generator.normal(size=(count, 50)))
        other.add(generator.normal(size=(count, 50)))
        assert one.is_full_rank == (count > 50)
        found.append(distance_of(one, other))
    assert found[0] > 4 * found[1]


def test_what_gives_no_covariance_is_refused():
    statistics = RunningStatistics(2)
    statistics.add(np.ones((1, 2)))
    with pytest.raises(InputError, match="there are 1"):
        _ = statistics.covariance
    with pytest.raises(ValueError, match="finite"):
        statistics.add(np.array([[np.nan, 0]]))
