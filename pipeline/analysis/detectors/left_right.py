"""Keeps left and right of one person of a clip on their sides; motion/smooth.py stills the tremble."""

from __future__ import annotations

import numpy as np

from pipeline.values import VISIBLE

NEARER = 0.5  # an exchange of sides must halve the distance to the frame before
JUMP = 0.06  # mean move of the limbs between two frames, in sides of the person's region; dancing: 0.05
PATIENCE = 4  # frames without an answer before the pose is taken as it is: the clip was cut
LIMBS = slice(11, 29)  # shoulders to ankles among the 33 landmarks


def _mirror() -> np.ndarray:
    """For each of the 33 landmarks the one on the other side of the body."""
    other = np.arange(33)
    other[1:7] = [4, 5, 6, 1, 2, 3]
    other[7:33] = other[7:33].reshape(-1, 2)[:, ::-1].ravel()
    return other


AS_SEEN, OTHER_SIDE = np.arange(33), _mirror()


class Steady:
    """A guard against exchanged sides over the 33 landmarks.

    The model takes a person whose face turns away for one seen from behind, from one frame to the next, and
    exchanges all left and right points; no body can do that, so it is undone until a face looks this way.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the person: the next pose starts anew."""
        self._before: np.ndarray | None = None
        self._lost = 0

    def sides(self, points: np.ndarray, side: float, frontal: bool) -> np.ndarray | None:
        """Which landmark is which (33,), for landmarks (33, 3) with xy in pixels; None where no one can tell.

        A clearly frontal face vouches for the sides. Else a jump that shrinks when left and right change
        places is such a change, and any other jump is the model's mean of the two, seen for a frame or two.
        """
        order = self._order(points, side, frontal)
        if order is None:
            self._lost += 1
            return None
        self._lost = 0
        self._before = points[order, :2].copy()
        return order

    def _order(self, points: np.ndarray, side: float, frontal: bool) -> np.ndarray | None:
        seen = points[LIMBS, 2] > VISIBLE
        if self._before is None or frontal or not seen.any() or self._lost >= PATIENCE:
            return AS_SEEN
        apart = np.linalg.norm(points[LIMBS, :2] - self._before[LIMBS], axis=1)[seen].mean()
        crossed = np.linalg.norm(points[OTHER_SIDE][LIMBS, :2] - self._before[LIMBS], axis=1)[
            seen
        ].mean()
        if apart > JUMP * side and crossed > NEARER * apart:
            return None
        return OTHER_SIDE if apart > JUMP * side else AS_SEEN
