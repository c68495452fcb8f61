"""Gaps in what a clip shows: the frames around them, and what eases over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.curves import smoothstep
from pipeline.motion.timing import mix
from pipeline.values import Pose

FULL_TURN = 2 * np.pi  # radians


@dataclass(frozen=True)
class Gaps:
    """The frames before and after each gap.

    good: (T,) bool. before, after: (T,) rows of the nearest good frames, the same one where there
    is none on one side. share: (T,) of the later one. since, until: (T,) frames to them, infinite
    where there is none.
    """

    good: np.ndarray
    before: np.ndarray
    after: np.ndarray
    share: np.ndarray
    since: np.ndarray
    until: np.ndarray

    @staticmethod
    def of(good: np.ndarray) -> Gaps:
        """Find the gaps of (T,) bool frames, at least one of which is good."""
        rows = np.arange(len(good))
        shown = np.where(good, rows, -1)
        before = np.maximum.accumulate(shown)
        backward = np.where(good, rows, len(good))[::-1]
        after = np.minimum.accumulate(backward)[::-1]
        has_before = before >= 0
        has_after = after < len(good)
        since = np.where(has_before, rows - before, np.inf)
        until = np.where(has_after, after - rows, np.inf)
        nearest_before = np.where(has_before, before, after)
        nearest_after = np.where(has_after, after, before)
        span = nearest_after - nearest_before
        share = np.where(span > 0, since, 0.0)
        share = share / np.maximum(span, 1)
        return Gaps(
            good=good,
            before=nearest_before,
            after=nearest_after,
            share=share,
            since=since,
            until=until,
        )

    def closed(self, pose: Pose) -> Pose:
        """Return the pose with its gaps closed: on from the frame before to the frame after."""
        before = pose[self.before]
        after = pose[self.after]
        return mix(before, after, self.share)

    def between(self, values: np.ndarray) -> np.ndarray:
        """Return values (T,n) with the gaps closed."""
        before = values[self.before]
        after = values[self.after]
        share = self.share[:, None]
        return before + share * (after - before)

    def turning(self, turns: np.ndarray) -> np.ndarray:
        """Return logarithms (T,n), growth + i turn, with the gaps closed the shorter way round."""
        before = turns[self.before]
        way = turns[self.after] - before
        rounds = np.round(way.imag / FULL_TURN)
        shorter = way - 1j * FULL_TURN * rounds
        share = self.share[:, None]
        return before + share * shorter

    def weight(self, frames: float) -> np.ndarray:
        """Return (T,) 1 in good frames, falling to 0 within so many frames of a gap."""
        from_loss = 1 - self.since / frames
        to_return = 1 - self.until / frames
        after_loss = smoothstep(from_loss, 0.0, 1.0)
        before_return = smoothstep(to_return, 0.0, 1.0)
        either = after_loss + before_return
        return either - after_loss * before_return
