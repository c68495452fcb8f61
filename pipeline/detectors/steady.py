"""Steadies the pose of one person in a clip: left and right keep their sides, and jitter is filtered."""

from __future__ import annotations

import numpy as np

from pipeline.clips import VISIBLE

# MediaPipe's own constants for pose landmarks; lengths are in sides of the person's region.
MIN_CUTOFF_HZ, BETA, SPEED_CUTOFF_HZ = 0.05, 80.0, 1.0
NEARER = 0.5  # an exchange of sides must halve the distance to the frame before
JUMP = 0.06  # of the limbs between two frames, mean, in sides; dancing and juggling stay below 0.05
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
    """One euro filter (Casiez et al. 2012) over the 33 landmarks, and a guard against exchanged sides.

    The model takes a person whose face turns away for one seen from behind, from one frame to the next, and
    exchanges all left and right points; no body can do that, so it is undone until a face looks this way.
    """

    def __init__(self, fps: float) -> None:
        self._step = 1 / fps
        self.reset()

    def reset(self) -> None:
        """Forgets the person: the next pose starts anew."""
        self._before: np.ndarray | None = None
        self._lost = 0
        self._speed = np.zeros((33, 2))
        self._smooth = np.zeros((33, 2))

    def sides(self, points: np.ndarray, side: float, frontal: bool) -> np.ndarray | None:
        """Which landmark is which (33,), for landmarks (33, 3) with xy in pixels; None where no one can tell.

        A clearly frontal face vouches for the sides. Else a jump that shrinks when left and right change
        places is such a change, and any other jump is the model's mean of the two, seen for a frame or two.
        """
        seen = points[LIMBS, 2] > VISIBLE
        if self._before is None or frontal or not seen.any() or self._lost >= PATIENCE:
            self._lost = 0
            return AS_SEEN
        apart = np.linalg.norm(points[LIMBS, :2] - self._before[LIMBS], axis=1)[seen].mean()
        crossed = np.linalg.norm(points[OTHER_SIDE][LIMBS, :2] - self._before[LIMBS], axis=1)[seen].mean()
        if apart > JUMP * side and crossed > NEARER * apart:
            self._lost += 1
            return None
        self._lost = 0
        return OTHER_SIDE if apart > JUMP * side else AS_SEEN

    def filter(self, points: np.ndarray, side: float) -> np.ndarray:
        """The same landmarks (33, 3), xy in pixels, smoothed: slow points much, fast ones hardly."""
        xy = points[:, :2]
        if self._before is None:
            self._smooth = xy.copy()
        else:
            speed = (xy - self._before) / side / self._step
            self._speed += self._share(SPEED_CUTOFF_HZ) * (speed - self._speed)
            self._smooth += self._share(MIN_CUTOFF_HZ + BETA * np.abs(self._speed)) * (xy - self._smooth)
        self._before = xy.copy()
        return np.concatenate([self._smooth, points[:, 2:]], axis=1)

    def _share(self, cutoff_hz: float | np.ndarray) -> float | np.ndarray:
        """Weight of the new value in a first-order low-pass of that cutoff frequency."""
        return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * self._step))
