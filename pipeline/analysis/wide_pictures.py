"""Find the person in very wide and very tall pictures: square windows, one beside the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.analysis.detectors import Detector, cache
from pipeline.values import Detection, InputError, Keypoints, Pose

LEAST_ASPECT = 2.0  # longer over shorter side, from which detectors lose people when they shrink
MOST_ASPECT = 16.0  # beyond it dozens of windows would have to be looked at
STEPS_PER_WINDOW = 2  # windows overlap by half, so that each person is whole in one of them
TOO_SMALL = (
    "no person was found in this very wide or tall picture, also not from close; "
    "crop it to the person"
)


Corner = tuple[int, int]  # top, left


@dataclass(frozen=True)
class _Look:
    """What was detected in the window at a corner."""

    corner: Corner
    detection: Detection

    def points(self) -> int:
        """Count the points that are seen of the first person."""
        person = self.detection.people[0]
        body = person.body.visible.sum()
        hands = person.hands.visible.sum()
        face = person.face.visible.sum()
        return int(body + hands + face)


def is_wide(picture: np.ndarray) -> bool:
    """Say whether one side of the picture (H,W,3) is much longer than the other."""
    height, width = picture.shape[:2]
    return max(height, width) >= LEAST_ASPECT * min(height, width)


def detect_in_windows(picture: np.ndarray, detector: Detector) -> Detection:
    """Return the person of the window in which the most is seen, in places of the whole picture.

    Refuse a picture (H,W,3) in which no window shows a face.
    """
    height, width = picture.shape[:2]
    if max(height, width) > MOST_ASPECT * min(height, width):
        raise InputError(
            f"the picture is a strip of {width}x{height} pixels and no person was found in it; "
            "crop it to the person"
        )
    found = []
    for corner in _corners(picture):
        found += _look(picture, corner, detector)
    if not found:
        raise InputError(TOO_SMALL)
    best = max(found, key=_Look.points)
    middle = _around(picture, best)
    closer = _look(picture, middle, detector)
    best = max([*closer, best], key=_Look.points)  # the first of two that show as much
    return _in_whole(best, picture.shape[:2])


def _corners(picture: np.ndarray) -> list[Corner]:
    """Return the corners of windows as large as the shorter side, which cover the picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    length = max(height, width)
    count = STEPS_PER_WINDOW * length // side
    corners = []
    for start in np.linspace(0, length - side, count):
        along = round(start)
        corner = (0, along) if width > height else (along, 0)
        corners.append(corner)
    return corners


def _around(picture: np.ndarray, look: _Look) -> Corner:
    """Return the corner of the window with the person's body in its middle."""
    height, width = picture.shape[:2]
    side = min(height, width)
    body = look.detection.people[0].body
    seen = body.xy[body.visible]
    if len(seen) == 0:
        return look.corner
    low = seen.min(axis=0)
    high = seen.max(axis=0)
    away = (low + high - 1) / 2 * side  # (2,) right, down, of the window's middle
    top = look.corner[0] + round(away[1])
    left = look.corner[1] + round(away[0])
    top = min(max(top, 0), height - side)
    left = min(max(left, 0), width - side)
    return top, left


def _look(picture: np.ndarray, corner: Corner, detector: Detector) -> list[_Look]:
    """Return what the window at a corner shows; nothing without a face."""
    side = min(picture.shape[:2])
    top, left = corner
    window = picture[top : top + side, left : left + side]
    window = np.ascontiguousarray(window)
    try:
        detection = cache.image(detector, window)
    except InputError:
        return []
    face = detection.people[0].face
    return [_Look(corner, detection)] if face.visible.any() else []


def _in_whole(look: _Look, size: tuple[int, int]) -> Detection:
    """Return what was seen in places of the whole picture of `size` (H, W)."""
    height, width = size
    side = min(size)
    top, left = look.corner
    whole = np.array([width, height])
    offset = np.array([left, top])

    def part(points: Keypoints) -> Keypoints:
        pixels = points.xy * side + offset
        return Keypoints(pixels / whole, points.score)

    people = []
    for person in look.detection.people:
        body = part(person.body)
        hands = part(person.hands)
        face = part(person.face)
        moved = Pose(body, hands, face, person.fps, size)
        people.append(moved)
    masks = []
    for mask in look.detection.masks:
        full = np.zeros(size, np.float32)
        full[top : top + side, left : left + side] = mask
        masks.append(full)
    return Detection(tuple(people), tuple(masks), look.detection.notes)
