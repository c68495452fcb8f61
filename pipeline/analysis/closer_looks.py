"""Look at a square window of a picture, and put what is seen there back into the whole picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.analysis.detectors import Detector, cache
from pipeline.values import Detection, InputError, Keypoints, Pose


@dataclass(frozen=True)
class Window:
    """A square of a picture: its corner and its side in pixels."""

    top: int
    left: int
    side: int

    def of(self, picture: np.ndarray) -> np.ndarray:
        """Cut the window out of a picture (H,W,...)."""
        rows = slice(self.top, self.top + self.side)
        columns = slice(self.left, self.left + self.side)
        return picture[rows, columns]


@dataclass(frozen=True)
class Look:
    """What was detected in a window; the first person has a face."""

    window: Window
    detection: Detection

    def points(self) -> int:
        """Count the points that are seen of the first person."""
        person = self.detection.people[0]
        body = person.body.visible.sum()
        hands = person.hands.visible.sum()
        face = person.face.visible.sum()
        return int(body + hands + face)


def look(picture: np.ndarray, window: Window, detector: Detector) -> Look | None:
    """Return what a window of the picture (H,W,3) shows; None where its largest has no face."""
    part = np.ascontiguousarray(window.of(picture))
    try:
        detection = cache.image(detector, part)
    except InputError:
        return None
    face = detection.people[0].face
    return Look(window, detection) if face.visible.any() else None


def window_around(place: np.ndarray, side: int, size: tuple[int, int]) -> Window:
    """Return the window about a place (2,) x, y, as near to it as a picture of `size` (H,W) allows.

    side: in pixels, at most the shorter side of the picture.
    """
    height, width = size
    corner = place - side / 2
    left = round(corner[0])
    top = round(corner[1])
    left = min(max(left, 0), width - side)
    top = min(max(top, 0), height - side)
    return Window(top, left, side)


def in_whole(seen: Look, size: tuple[int, int]) -> Detection:
    """Return what was seen in places of the whole picture of `size` (H,W)."""
    height, width = size
    window = seen.window
    whole = np.array([width, height])
    offset = np.array([window.left, window.top])

    def part(points: Keypoints) -> Keypoints:
        pixels = points.xy * window.side + offset
        return Keypoints(pixels / whole, points.score)

    people = []
    for person in seen.detection.people:
        body = part(person.body)
        hands = part(person.hands)
        face = part(person.face)
        moved = Pose(body, hands, face, person.fps, size)
        people.append(moved)
    masks = []
    for mask in seen.detection.masks:
        full = np.zeros(size, np.float32)
        window.of(full)[:] = mask
        masks.append(full)
    return Detection(tuple(people), tuple(masks), seen.detection.notes)
