"""Find the person in very wide and very tall pictures: square windows, one beside the other."""

from __future__ import annotations

import numpy as np

from pipeline.analysis.closer_looks import Look, Window, in_whole, look, window_around
from pipeline.analysis.detectors import Detector
from pipeline.analysis.detectors.detection import NoPersonError
from pipeline.values import Detection

LEAST_ASPECT = 2.0  # longer over shorter side, from which detectors lose people when they shrink
MOST_ASPECT = 16.0  # beyond it dozens of windows would have to be looked at
STEPS_PER_WINDOW = 2  # windows overlap by half, so that each person is whole in one of them


def is_wide(picture: np.ndarray) -> bool:
    """Say whether one side of the picture (H,W,3) is much longer than the other."""
    height, width = picture.shape[:2]
    return max(height, width) >= LEAST_ASPECT * min(height, width)


def detect_in_windows(picture: np.ndarray, detector: Detector) -> Detection | None:
    """Return the person of the window in which the most is seen, in places of the whole picture.

    None where no window of the picture (H,W,3) shows a face. Refuse a strip.
    """
    height, width = picture.shape[:2]
    if max(height, width) > MOST_ASPECT * min(height, width):
        raise NoPersonError(
            f"the picture is a strip of {width}x{height} pixels and no person was found in it; "
            "crop it to the person"
        )
    looks = [look(picture, window, detector) for window in _windows(picture)]
    found = [seen for seen in looks if seen is not None]
    if not found:
        return None
    best = max(found, key=Look.points)
    middle = _around(picture, best)
    closer = look(picture, middle, detector)
    if closer is not None and closer.points() >= best.points():
        best = closer
    return in_whole(best, picture.shape[:2])


def _windows(picture: np.ndarray) -> list[Window]:
    """Return windows as large as the shorter side, which cover the picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    length = max(height, width)
    count = STEPS_PER_WINDOW * length // side
    windows = []
    for start in np.linspace(0, length - side, count):
        along = round(start)
        window = Window(0, along, side) if width > height else Window(along, 0, side)
        windows.append(window)
    return windows


def _around(picture: np.ndarray, seen: Look) -> Window:
    """Return the window with the person's body in its middle."""
    window = seen.window
    body = seen.detection.people[0].body
    places = body.xy[body.visible]
    if len(places) == 0:
        return window
    low = places.min(axis=0)
    high = places.max(axis=0)
    corner = np.array([window.left, window.top])
    middle = corner + (low + high) / 2 * window.side
    return window_around(middle, window.side, picture.shape[:2])
