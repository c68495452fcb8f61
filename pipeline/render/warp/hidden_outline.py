"""Guess the outline of what an arm hides from the outlines beside the arm."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

OUTLINE_ROWS = 256  # of the grid on which the hidden outline is guessed
TOUCHED = 0.05  # share of a coarse pixel that is hidden from which on it is guessed


def outline_beside(visible: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return values (H, W) in [0, 1]: the visible outline, carried on smoothly into a hole.

    It is the harmonic function between the body (1) and all else (0) beside the hole.

    Args:
        visible: (H, W) alpha of the body where nothing hides it.
        hole: (H, W) share of what hides it.
    """
    height, width = visible.shape
    rows = min(OUTLINE_ROWS, height)
    columns = max(2, round(width * rows / height))
    small = _small(visible, (columns, rows))
    unknown = _small(hole, (columns, rows)) > TOUCHED
    found = harmonic(small > 0.5, unknown)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)


def _small(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a map (H, W) at a size (w, h), area-averaged."""
    return cv2.resize(maps.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def harmonic(known: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Return known values (H, W), and on `unknown` (H, W) bool the solution of Laplace's equation.

    Nothing flows through the picture's border.
    """
    values = known.astype(np.float32)
    count = int(unknown.sum())
    if not count:
        return values
    index = np.full(known.shape, -1)
    index[unknown] = np.arange(count)
    rows, columns = np.nonzero(unknown)
    right = np.zeros(count)
    degree = np.full(count, 1e-6)
    starts = []
    ends = []
    for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        row = rows + down
        column = columns + across
        inside = (row >= 0) & (row < known.shape[0])
        inside &= (column >= 0) & (column < known.shape[1])
        place = (row * inside, column * inside)  # any place where there is none
        neighbor = index[place]
        degree += inside
        fixed = inside & (neighbor < 0)
        right[fixed] += values[place][fixed]
        free = inside & (neighbor >= 0)
        starts.append(np.flatnonzero(free))
        ends.append(neighbor[free])
    start = np.concatenate(starts)
    end = np.concatenate(ends)
    ones = np.ones(len(start))
    links = sparse.coo_matrix((ones, (start, end)), (count, count))
    laplacian = sparse.diags(degree) - links
    values[unknown] = spsolve(laplacian.tocsc(), right)
    return values
