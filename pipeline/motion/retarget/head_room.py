"""Keep the head inside the picture, and its body no smaller than the picture allows.

A driver may move further than the picture has room. And a driver who goes away would show the edge
where the picture cuts the body off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from pipeline.motion.curves import bridge
from pipeline.values import Keypoints, Pose

MARGIN = 0.01  # of the picture, between its edge and the head
FOREHEAD = 0.3  # of the face's height, from the brows up
EASE_SECONDS = 0.3  # the picture follows the head this long before and after
SMALLEST = 0.9  # of the reference's head, where the picture cuts the body off
TINY = 1e-6
TELL = 0.02  # of the picture, or of the size: less is not seen and needs no word


@dataclass(frozen=True)
class HeadBoxes:
    """The boxes of heads, forehead included: corners (T,2) in fractions of the picture."""

    low: np.ndarray
    high: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """(T,2) the boxes' centers."""
        total = self.low + self.high
        return total / 2

    @property
    def sides(self) -> np.ndarray:
        """(T,2) the boxes' widths and heights."""
        return self.high - self.low

    def resized(self, zoom: np.ndarray) -> HeadBoxes:
        """Scale each box by `zoom` (T,1) about its center."""
        reach = zoom * self.sides / 2
        middle = self.middle
        return HeadBoxes(
            low=middle - reach,
            high=middle + reach,
        )


def head_boxes(pose: Pose) -> HeadBoxes | None:
    """Find the heads' boxes, bridged over frames without a face; None where no frame shows one."""
    visible = pose.face.visible[..., None]
    seen = np.any(pose.face.visible, 1)
    if not seen.any():
        return None
    frames = len(pose)
    none_is_low = np.where(visible, pose.face.xy, np.inf)
    none_is_high = np.where(visible, pose.face.xy, -np.inf)
    low, _ = bridge(none_is_low.min(1), seen, frames)
    high, _ = bridge(none_is_high.max(1), seen, frames)
    _, height = (high - low).T
    low[:, 1] -= FOREHEAD * height
    return HeadBoxes(low, high)


def keep_size(pose: Pose, sizes: np.ndarray) -> tuple[Pose, np.ndarray]:
    """Make the body larger about its face where it is smaller than the picture shows it.

    sizes: (T,) of the head over the reference's. Return the pose and the frames (T,) bool in which
    that is seen.
    """
    boxes = head_boxes(pose)
    wanted = SMALLEST / np.maximum(sizes, TINY)
    zoom = np.maximum(1.0, wanted)
    grown = zoom > 1 + TELL
    if boxes is None or np.all(zoom == 1):
        return pose, grown
    middle = boxes.middle
    no_step = np.zeros_like(middle)
    larger = _resized(pose, middle, zoom[:, None], no_step)
    return larger, grown


def hold_head(pose: Pose, reference: Pose) -> tuple[Pose, np.ndarray]:
    """Make the body smaller about its face, then move it, where the head would leave the picture.

    What leaves the reference picture already may leave it as far. Return the pose and the frames
    (T,) bool in which that is seen.
    """
    boxes = head_boxes(pose)
    goal = head_boxes(reference)
    nowhere = np.zeros(len(pose), bool)
    if boxes is None or goal is None:
        return pose, nowhere
    room = HeadBoxes(
        low=np.minimum(goal.low[0], MARGIN),
        high=np.maximum(goal.high[0], 1 - MARGIN),
    )
    zoom = _fitting_zoom(boxes, room, pose.fps)
    step = _fitting_step(boxes.resized(zoom), room, pose.fps)
    if np.all(zoom == 1) and not step.any():
        return pose, nowhere
    smaller = zoom < 1 - TELL
    far = np.abs(step) > TELL
    told = (smaller | far).any(1)
    held = _resized(pose, boxes.middle, zoom, step)
    return held, told


def _fitting_zoom(boxes: HeadBoxes, room: HeadBoxes, fps: float) -> np.ndarray:
    """Find the factors (T,1), at most 1, that make boxes as small as the room."""
    shares = boxes.sides / room.sides
    excess = np.maximum(shares, 1.0)
    needs = np.log(excess)
    larger_need = needs.max(1, keepdims=True)
    shrink = _eased(larger_need, fps)
    return np.exp(-shrink)


def _fitting_step(boxes: HeadBoxes, room: HeadBoxes, fps: float) -> np.ndarray:
    """Find the steps (T,2) that bring boxes into the room, eased in and out."""
    least = room.low - boxes.low
    most = room.high - boxes.high
    forward = np.maximum(least, 0)
    backward = np.maximum(-most, 0)
    eased_forward = _eased(forward, fps)
    eased_backward = _eased(backward, fps)
    step = eased_forward - eased_backward
    # Where both sides need room at nearly one time, the easing of one takes from the other.
    return np.clip(step, least, most)


def _eased(needs: np.ndarray, fps: float) -> np.ndarray:
    """Smooth needs (T,n) over time so that no frame gets less than it needs."""
    reach = round(EASE_SECONDS * fps)
    window = 2 * reach + 1
    widest = maximum_filter1d(needs, window, axis=0, mode="nearest")
    return uniform_filter1d(widest, window, axis=0, mode="nearest")


def _resized(pose: Pose, middle: np.ndarray, zoom: np.ndarray, step: np.ndarray) -> Pose:
    """Scale each frame by `zoom` (T,1) about its `middle` (T,2), then move it by `step` (T,2)."""
    center = middle[:, None]
    place = center + step[:, None]
    factor = zoom[:, None]

    def resized(points: Keypoints) -> Keypoints:
        around = points.xy - center
        xy = place + factor * around
        return Keypoints(xy, points.score)

    return replace(
        pose,
        body=resized(pose.body),
        hands=resized(pose.hands),
        face=resized(pose.face),
    )
