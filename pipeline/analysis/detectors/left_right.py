"""Keep left and right of one person of a clip on their sides.

`motion/smoothing.py` removes the jitter.
"""

from __future__ import annotations

import numpy as np

from pipeline.values import VISIBLE

CLOSER = 0.5  # a swap of sides must at least halve the distance to the frame before
# Mean move of the limbs between two frames, in sides of the person's region; dancers reach 0.05.
JUMP = 0.06
PATIENCE = 4  # undecided frames after which the pose is taken as it is: the clip was cut
LIMBS = slice(11, 29)  # shoulders to ankles among the 33 landmarks


def _mirrored_landmarks() -> np.ndarray:
    """Return for each of the 33 landmarks the one on the other side of the body."""
    other = np.arange(33)
    other[1:7] = [4, 5, 6, 1, 2, 3]
    pairs = other[7:33].reshape(-1, 2)
    other[7:33] = pairs[:, ::-1].ravel()
    return other


AS_SEEN = np.arange(33)
OTHER_SIDE = _mirrored_landmarks()


class SideGuard:
    """A guard against swapped sides over the 33 landmarks.

    From one frame to the next the model may take a person whose face turns away for one seen from
    behind. It then swaps all left and right points. No body can do that, so the swap is undone
    until a face looks at the camera.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the person: the next pose is taken as it is."""
        self._before: np.ndarray | None = None
        self._undecided = 0

    def order(self, points: np.ndarray, side: float, frontal: bool) -> np.ndarray | None:
        """Return which landmark is which (33,), or None where no one can tell.

        A frontal face confirms left and right. Otherwise, if swapping sides makes a jump smaller,
        it was a swap. Any other jump is a transient average of both, which lasts a frame or two.

        Args:
            points: (33,3) landmarks, x and y in pixels, and a score.
            side: side of the person's region in pixels.
            frontal: whether the face looks at the camera.
        """
        order = self._choose(points, side, frontal)
        if order is None:
            self._undecided += 1
            return None
        self._undecided = 0
        self._before = points[order, :2].copy()
        return order

    def _choose(self, points: np.ndarray, side: float, frontal: bool) -> np.ndarray | None:
        visible = points[LIMBS, 2] > VISIBLE
        if self._before is None or frontal or not visible.any() or self._undecided >= PATIENCE:
            return AS_SEEN
        before = self._before[LIMBS]
        swapped = points[OTHER_SIDE]
        distance = _mean_distance(points[LIMBS, :2], before, visible)
        swapped_distance = _mean_distance(swapped[LIMBS, :2], before, visible)
        if distance <= JUMP * side:
            return AS_SEEN
        if swapped_distance > CLOSER * distance:
            return None
        return OTHER_SIDE


def _mean_distance(points: np.ndarray, before: np.ndarray, visible: np.ndarray) -> np.floating:
    """Return the mean distance of the visible points (n,2) from where they were."""
    distances = np.linalg.norm(points - before, axis=1)
    return distances[visible].mean()
