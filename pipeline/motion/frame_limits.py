"""Hold the motion of a bone inside the frame: find the largest share of it at which no point
leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

# Shares of the frame: points are not pushed closer to its edge than this.
MARGIN = 0.002
ROUNDING_PX = 1e-7
BISECTIONS = 8  # the share is found to 1/256
ROUNDS = 3


@dataclass(frozen=True)
class RigidMotion:
    """Move points of the picture plane rigidly: z -> after + turn (z - before). Every field (T,)
    complex."""

    turn: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @staticmethod
    def still(frames: int) -> RigidMotion:
        """Return the motion that moves nothing."""
        zero = np.zeros(frames, complex)
        return RigidMotion(zero + 1, zero, zero)

    def rows(self, rows: np.ndarray) -> RigidMotion:
        """Return the motion in some frames."""
        return RigidMotion(self.turn[rows], self.before[rows], self.after[rows])

    def move(self, points: np.ndarray) -> np.ndarray:
        """Move points (T,K); they stay the same to the bit where nothing moves."""
        turn = self.turn[:, None]
        before = self.before[:, None]
        after = self.after[:, None]
        still = (turn == 1) & (before == after)
        return np.where(still, points, after + turn * (points - before))


# Maps the shares (n,) of some frames, and these frames (n,), to their motion.
SharedMotion = Callable[[np.ndarray, np.ndarray], RigidMotion]


@dataclass(frozen=True)
class FrameGuard:
    """Tell where a point that lay inside the frame leaves it.

    It leaves when it comes nearer to the edge than both the margin and its old place. `points`
    (T,K) pixels as x + iy, `inside` (T,K) bool, `low` and `high` (T,K) pixels: the least and
    greatest x + iy of every point.
    """

    points: np.ndarray
    inside: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(points: np.ndarray, inside: np.ndarray, size: tuple[int, int]) -> FrameGuard:
        """Guard points (T,K) of a picture of `size` (H,W)."""
        height, width = size
        margin_x = MARGIN * width
        margin_y = MARGIN * height
        low_x = np.minimum(points.real, margin_x)
        low_y = np.minimum(points.imag, margin_y)
        high_x = np.maximum(points.real, width - margin_x)
        high_y = np.maximum(points.imag, height - margin_y)
        return FrameGuard(points, inside, low_x + 1j * low_y, high_x + 1j * high_y)

    def leaves(self, motion: RigidMotion, rows: np.ndarray) -> np.ndarray:
        """Return (n,) bool: the frames, of `rows` (n,), in which the motion moves a point out."""
        moved = motion.move(self.points[rows])
        low = self.low[rows]
        high = self.high[rows]
        out_x = _beyond(moved.real, low.real, high.real)
        out_y = _beyond(moved.imag, low.imag, high.imag)
        return ((out_x | out_y) & self.inside[rows]).any(1)


def _beyond(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return (values < low - ROUNDING_PX) | (values > high + ROUNDING_PX)


def hold_inside(
    motion_of: SharedMotion, guard: FrameGuard, ease_frames: float, frames: int
) -> RigidMotion:
    """Return the motion with the largest shares in [0, 1] at which no point leaves the frame.

    Args:
        motion_of: the motion of a bone by its shares.
        guard: tells where a point leaves.
        ease_frames: over which the shares ease in and out.
        frames: T.
    """
    share = np.ones(frames)
    rows = np.arange(frames)
    reach = max(1, round(ease_frames))
    for _ in range(ROUNDS):
        motion = motion_of(share, rows)
        out = rows[guard.leaves(motion, rows)]
        if not len(out):
            return motion
        share[out] = _largest_share(motion_of, guard, share[out], out)
        lowest = minimum_filter1d(share, 2 * reach + 1, mode="nearest")
        eased = gaussian_filter1d(lowest, reach / 2, mode="nearest")
        share = np.minimum(share, eased)
    # A path may leave the frame and come back as the share falls: no motion there.
    motion = motion_of(share, rows)
    share[guard.leaves(motion, rows)] = 0
    return motion_of(share, rows)


def _largest_share(
    motion_of: SharedMotion, guard: FrameGuard, share: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Bisect for the largest shares (n,) below `share` at which no point leaves in the frames
    `rows`."""
    low = np.zeros(len(rows))
    high = share
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        bad = guard.leaves(motion_of(middle, rows), rows)
        low = np.where(bad, low, middle)
        high = np.where(bad, middle, high)
    return low
