"""Find the people of a picture: at first sight, in windows of a wide picture, and from close."""

from __future__ import annotations

import numpy as np

from pipeline.analysis.detectors import Detector, cache
from pipeline.analysis.detectors.detection import NO_PERSON, NoPersonError, picture_size
from pipeline.analysis.small_people import detect_small_people
from pipeline.analysis.wide_pictures import detect_in_windows, is_wide
from pipeline.values import Detection

# Of the picture's shorter side. Smaller faces are at times none, and are seen better from close.
SMALL_FACE = 1 / 60
AS_TALL = 0.7  # a face from close is at least so much as tall as the one that was seen before
WIDE_AND_EMPTY = (
    "no person was found in this very wide or tall picture, also not from close; "
    "crop it to the person"
)


class _CloserLooks:
    """A detector that looks at the parts of a picture instead of the whole."""

    def __init__(self, detector: Detector) -> None:
        self.name = f"closer {detector.name}"
        self.version = f"1 {detector.version}"
        self._detector = detector

    def image(self, image: np.ndarray) -> Detection:
        """Detect people in a picture (H,W,3) uint8; refuse one in which no face is seen."""
        detection = None
        if is_wide(image):
            detection = detect_in_windows(image, self._detector)
        if detection is None:
            detection = detect_small_people(image, self._detector)
        if detection is None:
            raise NoPersonError(WIDE_AND_EMPTY if is_wide(image) else NO_PERSON)
        return detection


def find_people(picture: np.ndarray, detector: Detector) -> Detection:
    """Detect the people of a picture (H,W,3) uint8, largest first.

    Look closer where the whole picture shows nobody, or hardly a face. Refuse one without people.
    """
    try:
        at_first_sight = cache.image(detector, picture)
    except NoPersonError:
        return _from_close(picture, detector)
    face = largest_face(at_first_sight)
    if face >= SMALL_FACE * min(picture_size(picture)):
        return at_first_sight
    try:
        closer = _from_close(picture, detector)
    except NoPersonError:
        return at_first_sight
    return closer if largest_face(closer) >= AS_TALL * face else at_first_sight


def _from_close(picture: np.ndarray, detector: Detector) -> Detection:
    """Look at parts of the picture with a detector; keep what was seen."""
    closer = _CloserLooks(detector)
    return cache.image(closer, picture)


def largest_face(detection: Detection) -> float:
    """Return the height in pixels of the tallest face; 0 where none is seen."""
    heights = [0.0]
    for person in detection.people:
        seen = person.face.visible[0]
        if seen.any():
            down = person.face.xy[0, seen, 1] * person.size[0]
            heights.append(float(np.ptp(down)))
    return max(heights)
