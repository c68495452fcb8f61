"""Neighboring pixels of a person, and how easily a random walker crosses between them."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sparse

LEAST_SIGMA = 0.012  # Lab over 100: noise of a plain picture
MOST_SIGMA = 0.06
SIGMA_REACH = 0.4  # head heights of the picture around a pixel whose steps of color count
LEAST_KNOWN = 1e-3  # share of a window on the person below which nothing is known
LEAST_WEIGHT = 2e-3  # of the border between unlike pixels
# Half of the 8 neighbors: (rows down, columns right, factor on the weight).
AXES = ((0, 1), (1, 0))
NEIGHBORS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.7), (1, -1, 0.7))


def neighbor_weights(lab: np.ndarray, inside: np.ndarray, unit: float) -> sparse.csr_matrix:
    """(n,n) weights between neighbors among the n pixels that are `inside` (h,w), row by row.

    A step of color (h,w,3) is measured by the usual step around it: a seam on a dark suit counts
    as much as one on a checked shirt. `unit`: head height in pixels.
    """
    count = np.count_nonzero(inside)
    number = np.full(inside.shape, -1, np.int32)
    number[inside] = np.arange(count, dtype=np.int32)
    variance = _step_variance(lab, inside, unit)
    first = []
    second = []
    weights = []
    for down, right, factor in NEIGHBORS:
        here, there = _pairs(inside.shape, down, right)
        both = inside[here] & inside[there]
        step = _square(lab[here] - lab[there])
        usual = variance[here] + variance[there]
        weight = factor * np.exp(-step / usual) + LEAST_WEIGHT
        first.append(number[here][both])
        second.append(number[there][both])
        weights.append(weight[both])
    rows = np.concatenate(first)
    columns = np.concatenate(second)
    values = np.concatenate(weights)
    half = sparse.coo_matrix((values, (rows, columns)), (count, count))
    both_ways = half + half.T
    return both_ways.tocsr()


def _pairs(size: tuple[int, ...], down: int, right: int) -> tuple[tuple[slice, slice], ...]:
    """Slices of the pixels that have a neighbor, and of these neighbors."""
    height, width = size
    upper = slice(0, height - down)
    lower = slice(down, height)
    start = max(0, -right)
    stop = width - max(0, right)
    first = slice(start, stop)
    second = slice(start + right, stop + right)
    return (upper, first), (lower, second)


def _square(offset: np.ndarray) -> np.ndarray:
    """Sum the squares of offsets (h,w,3)."""
    return np.einsum("hwc,hwc->hw", offset, offset)


def _step_variance(lab: np.ndarray, inside: np.ndarray, unit: float) -> np.ndarray:
    """(h,w) mean square of the steps of color around each pixel of the person."""
    steps = np.zeros(inside.shape, np.float32)
    for down, right in AXES:
        here, there = _pairs(inside.shape, down, right)
        both = inside[here] & inside[there]
        step = _square(lab[here] - lab[there])
        steps[there] += both * step
    radius = max(2, round(SIGMA_REACH * unit))
    side = 2 * radius + 1
    window = (side, side)
    known = cv2.blur(inside.astype(np.float32), window)
    total = cv2.blur(steps, window) / len(AXES)
    mean = total / known.clip(LEAST_KNOWN)
    least = LEAST_SIGMA**2
    most = MOST_SIGMA**2
    return mean.clip(least, most)
