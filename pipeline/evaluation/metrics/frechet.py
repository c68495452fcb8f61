"""The Frechet distance of two normal distributions, and their moments from a stream of features.

Heusel et al. 2017 (FID) and Unterthiner et al. 2018 (FVD):
|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)).
"""

from __future__ import annotations

import numpy as np

from pipeline.values import InputError

LEAST_ROWS = 2  # of which a covariance can be taken


class RunningStatistics:
    """Mean and covariance of features that come in batches and are not kept.

    Attributes:
        count: rows so far.
        mean: (d,) float64.
        scatter: (d, d) float64, the sum of outer products of deviations from the mean.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self.scatter = np.zeros((size, size))

    def add(self, features: np.ndarray) -> None:
        """Take in features (n, d); raise ValueError for ones that are not finite."""
        if not len(features):
            return
        rows = features.astype(np.float64)
        if not np.isfinite(rows).all():
            raise ValueError("features are not finite")
        batch = RunningStatistics(len(self.mean))
        batch.count = len(rows)
        batch.mean = rows.mean(0)
        deviations = rows - batch.mean
        batch.scatter = deviations.T @ deviations
        self.merge(batch)

    def merge(self, other: RunningStatistics) -> None:
        """Take in what another has seen (Chan, Golub and LeVeque 1979)."""
        total = self.count + other.count
        if not total:
            return
        share = other.count / total
        shift = other.mean - self.mean
        self.mean = self.mean + share * shift
        between = self.count * share * np.outer(shift, shift)
        self.scatter = self.scatter + other.scatter + between
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """The covariance (d, d) with the divisor n - 1; InputError for fewer than two rows."""
        if self.count < LEAST_ROWS:
            raise InputError(
                f"a covariance needs {LEAST_ROWS} rows of features, there are {self.count}; "
                "give more frames or longer videos"
            )
        return self.scatter / (self.count - 1)

    @property
    def is_full_rank(self) -> bool:
        """Whether there are more rows than numbers in each.

        With fewer the distance is biased upwards, and figures of unequal counts do not compare.
        """
        return self.count > len(self.mean)


def distance_of(one: RunningStatistics, other: RunningStatistics) -> float:
    """Return the Frechet distance of what two have seen."""
    return frechet_distance(one.mean, one.covariance, other.mean, other.covariance)


def frechet_distance(
    mean: np.ndarray,
    covariance: np.ndarray,
    other_mean: np.ndarray,
    other_covariance: np.ndarray,
) -> float:
    """Return the Frechet distance of two normal distributions with means (d,), covariances (d, d).

    The trace of the root is a sum over the roots of eigenvalues: those of C1 C2 are those of the
    symmetric R C2 R with R R = C1, which are real and not negative.
    """
    root = _square_root(covariance)
    between = root @ other_covariance @ root
    symmetric = (between + between.T) / 2
    eigenvalues = np.linalg.eigvalsh(symmetric).clip(0)
    overlap = np.sqrt(eigenvalues).sum()
    shift = mean - other_mean
    spread = np.trace(covariance) + np.trace(other_covariance)
    return float(shift @ shift + spread - 2 * overlap)


def _square_root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric root (d, d) of a covariance; rounding below 0 counts as 0."""
    values, vectors = np.linalg.eigh(covariance)
    roots = np.sqrt(values.clip(0))
    return vectors * roots @ vectors.T
