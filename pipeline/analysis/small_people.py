"""Find people who are tiny in a large picture: ever smaller windows, each searched from close.

The shipped people detector says where to look; the chosen detector looks there, at full resolution.
The search takes about 10 ms a window: 6 s for all windows of a photograph where nobody is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.analysis.closer_looks import Look, Window, in_whole, look, window_around
from pipeline.analysis.detectors import Detector, landmark_regions, regions
from pipeline.analysis.detectors.box_detectors import PEOPLE_DETECTOR
from pipeline.analysis.detectors.detection import picture_size
from pipeline.values import Detection, Pose

# The shorter side over a window's: in a twelfth of it people of a 32nd of it are still found, and
# those of a 20th on a busy background.
DIVISORS = (2, 4, 8, 12)
LEAST_WINDOW_PX = 160  # in smaller ones a face has too few pixels
SEARCH_PX = 224  # side of a window when it is searched: the detector's own
STEP = 0.7  # of a window, to the next one: people up to .3 of it are whole in one of them
MOST_WINDOWS = 400  # of one size; only strips have more
LEAST_SCORE = 0.6  # people of 1/8 to 1/32 of the height score .9 and more, details up to .84
MOST_LOOKS = 4  # at the best places of one size of window, each a second or less
MOST_OF_WINDOW = 1.2  # larger places are details of the picture: whole people fit the window
ROOMS = (2.0, 1.4)  # sides of such looks, in sizes of the person; a face at times shows in one only


@dataclass(frozen=True)
class _Place:
    """Where a person may be: score, middle (2,) and size in pixels of the picture."""

    score: float
    middle: np.ndarray
    size: float


def detect_small_people(picture: np.ndarray, detector: Detector) -> Detection | None:
    """Return the people around the largest small one whose face is seen; None without any.

    Args:
        picture: (H,W,3) uint8.
        detector: what looks at a place where somebody seems to be.
    """
    shorter = min(picture_size(picture))
    for divisor in DIVISORS:
        side = shorter // divisor
        if side < LEAST_WINDOW_PX:
            return None
        for place in _places(picture, side)[:MOST_LOOKS]:
            seen = _look_at(picture, place, detector)
            if seen is not None:
                detection = in_whole(seen, picture_size(picture))
                note = _note(detection.people[0])
                return replace(detection, notes=(*detection.notes, note))
    return None


def _note(person: Pose) -> str:
    """Say how small a person is, and what helps."""
    seen = person.body.visible[0]
    down = person.body.xy[0, seen, 1]
    percent = 100 * np.ptp(down) if len(down) else 0.0
    return (
        f"the person is only {percent:.0f} % as high as the picture and was found from close; "
        "crop the picture to the person for a mouth that can be seen"
    )


def _look_at(picture: np.ndarray, place: _Place, detector: Detector) -> Look | None:
    """Look at the surroundings of a place at full resolution."""
    shorter = min(picture_size(picture))
    for room in ROOMS:
        wanted = round(room * place.size)
        side = min(wanted, shorter)
        window = window_around(place.middle, side, picture_size(picture))
        seen = look(picture, window, detector)
        if seen is not None:
            return seen
    return None


def _places(picture: np.ndarray, side: int) -> list[_Place]:
    """Search the picture in windows of `side` pixels; return where people may be, best first."""
    scale = min(1.0, SEARCH_PX / side)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small_side = round(scale * side)
    places: list[_Place] = []
    for window in _windows(picture_size(small), small_side):
        for place in _search(small, window):
            middle = place.middle / scale
            size = place.size / scale
            moved = replace(place, middle=middle, size=size)
            places.append(moved)
    places.sort(key=lambda place: place.score, reverse=True)
    return _without_doubles(places)


def _windows(size: tuple[int, int], side: int) -> Iterator[Window]:
    """Yield windows that cover a picture of `size` (H,W); none where they were too many."""
    height, width = size
    tops = _starts(height, side)
    lefts = _starts(width, side)
    if len(tops) * len(lefts) > MOST_WINDOWS:
        return
    for top in tops:
        for left in lefts:
            yield Window(top, left, side)


def _starts(length: int, side: int) -> list[int]:
    """Return where windows of `side` begin along a side of the picture."""
    last = max(0, length - side)
    steps = np.ceil(last / (STEP * side))
    count = int(steps) + 1
    starts = np.linspace(0, last, count)
    return [round(start) for start in starts]


def _search(picture: np.ndarray, window: Window) -> Iterator[_Place]:
    """Yield where people may be in a window, in pixels of the picture."""
    part = window.of(picture)
    corner = np.array([window.left, window.top])
    for box in PEOPLE_DETECTOR.find(part, regions.whole(picture_size(part))):
        if box.score >= LEAST_SCORE:
            hips, rim = box.key_points[:2]
            region = landmark_regions.person(hips, rim)
            middle = corner + (region.x, region.y)
            if region.side <= MOST_OF_WINDOW * window.side:
                yield _Place(box.score, middle, region.side)


def _without_doubles(places: list[_Place]) -> list[_Place]:
    """Leave out places (best first) that lie on a better one."""
    kept: list[_Place] = []
    for place in places:
        if not any(_is_on(place, other) for other in kept):
            kept.append(place)
    return kept


def _is_on(place: _Place, other: _Place) -> bool:
    """Tell whether the middle of a place lies within another one."""
    way = np.linalg.norm(place.middle - other.middle)
    return bool(way <= other.size / 2)
