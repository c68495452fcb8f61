"""Look at the reference image: its people, the output size, and the crop around the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.analysis import detectors, speakers
from pipeline.analysis.close_portraits import (
    leave_out_guessed_bodies,
    leave_out_people_in_faces,
)
from pipeline.analysis.detectors.detection import picture_size
from pipeline.analysis.picture_people import find_people, largest_face
from pipeline.motion.retarget import Person
from pipeline.values import Detection, InputError

MIN_SIDE_PX = 64
MAX_SIDE_PX = 2048
SAME_ASPECT = 0.03  # relative difference below which the picture is stretched instead of cropped
NO_FACE = (
    "no face was found on the person in the reference image; "
    "use a picture in which the face is seen from the front and at least 20 pixels high"
)


@dataclass(frozen=True)
class Window:
    """A part of a picture."""

    rows: slice
    columns: slice


@dataclass(frozen=True)
class ReferenceCrop:
    """The part of the reference image that becomes a video.

    picture: (H,W,3). speaker: who speaks in it; None = the first person. notes: for the user.
    """

    picture: np.ndarray
    speaker: Person | None
    notes: tuple[str, ...] = ()


def detect_reference(picture: np.ndarray, detector: str) -> Detection:
    """Detect all people in the reference image (H,W,3) in the order of their numbers, with masks.

    Tiny people, and those in very wide and tall pictures, are looked at from close. Close portraits
    have a head alone.
    Refuse a picture without a face.
    """
    loaded = detectors.load(detector)
    detection = find_people(picture, loaded)
    if largest_face(detection) == 0:
        raise InputError(NO_FACE)
    detection = leave_out_people_in_faces(detection)
    detection = leave_out_guessed_bodies(detection)
    return speakers.in_order(detection)


def crop_around_speaker(
    picture: np.ndarray, size: tuple[int, int], detector: str, asked: Person | None
) -> ReferenceCrop:
    """Crop `picture` (H,W,3) to the aspect of `size` (H,W) around the speaker.

    Detect only if need be. The speaker of the part is given by the place of the face in it.
    """
    is_whole = same_aspect(picture_size(picture), size)
    if is_whole and asked is None:
        return ReferenceCrop(picture, None)
    detection = detect_reference(picture, detector)
    index = speakers.choose(detection, asked)
    notes = speakers.note(detection.people, index)
    if is_whole:
        place = speakers.face_place(detection.people[index])
        return ReferenceCrop(picture, place, notes)
    person = detection.people[index]
    face_seen = person.face.visible[0]
    body_seen = person.body.visible[0]
    face = person.face.xy[0, face_seen]
    body = person.body.xy[0, body_seen]
    points = np.concatenate([face, body])
    part = crop_window(picture, size, face, points)
    cropped = picture[part.rows, part.columns]
    if len(detection.people) == 1:
        return ReferenceCrop(cropped, None)
    place = _place_in(part, face.mean(axis=0), picture_size(picture))
    return ReferenceCrop(cropped, place, notes)


def _place_in(part: Window, place: np.ndarray, size: tuple[int, int]) -> tuple[float, float]:
    """Turn a place (2,) in fractions of a picture of `size` (H,W) into fractions of its part."""
    height, width = size
    rows = part.rows
    columns = part.columns
    whole_x, whole_y = place
    part_width = columns.stop - columns.start
    part_height = rows.stop - rows.start
    x = whole_x * width - columns.start
    y = whole_y * height - rows.start
    share_x = x / part_width
    share_y = y / part_height
    return float(share_x), float(share_y)


def crop_around_person(picture: np.ndarray, size: tuple[int, int], detector: str) -> np.ndarray:
    """Crop `picture` (H,W,3) to the aspect of `size` (H,W) around its first person."""
    return crop_around_speaker(picture, size, detector, None).picture


def output_size(
    picture: tuple[int, int],
    area: int,
    multiple: int,
    height: int | None = None,
    width: int | None = None,
) -> tuple[int, int]:
    """Return the output's (H, W) for a picture of (H, W), both multiples of `multiple`.

    A given height or width is kept. What is not given follows the aspect of the picture, at `area`
    pixels where neither is given.
    """
    for name, value in (("height", height), ("width", width)):
        if value is None:
            continue
        if value < MIN_SIDE_PX or value > MAX_SIDE_PX or value % multiple:
            raise InputError(
                f"{name} is {value}; "
                f"give a multiple of {multiple} from {MIN_SIDE_PX} to {MAX_SIDE_PX}"
            )
    aspect = picture[0] / picture[1]
    exact_width = (area / aspect) ** 0.5
    exact_height = exact_width * aspect
    if width is not None:
        exact_width = width
        exact_height = width * aspect
    if height is not None:
        exact_height = height
        if width is None:
            exact_width = height / aspect
    return _allowed_side(exact_height, multiple), _allowed_side(exact_width, multiple)


def _allowed_side(exact: float, multiple: int) -> int:
    """Round a side to a multiple within the limits."""
    largest = MAX_SIDE_PX // multiple * multiple
    rounded = round(exact / multiple) * multiple
    return min(largest, max(MIN_SIDE_PX, rounded))


def same_aspect(picture: tuple[int, int], size: tuple[int, int]) -> bool:
    """Tell whether both (H, W) have one aspect, nearly: then nothing is cut off."""
    ratio = (picture[0] / picture[1]) / (size[0] / size[1])
    return abs(ratio - 1) <= SAME_ASPECT


def crop_window(
    picture: np.ndarray, size: tuple[int, int], keep: np.ndarray, middle: np.ndarray
) -> Window:
    """Find the largest part with the aspect of `size`, as near to `middle` as `keep` allows.

    Args:
        picture: (H,W,3).
        size: (H,W) whose aspect the part gets.
        keep: points (n,2) x, y in fractions that lie inside wherever the part is large enough.
        middle: points (n,2) x, y in fractions about which the part is centered.
    """
    picture_height, picture_width = picture.shape[:2]
    ratio = (picture_height / picture_width) / (size[0] / size[1])
    if ratio > 1:
        wanted = round(picture_height / ratio)
        top = _window_start(picture_height, wanted, keep[:, 1], middle[:, 1])
        rows = slice(top, top + wanted)
        return Window(rows, slice(0, picture_width))
    wanted = round(picture_width * ratio)
    left = _window_start(picture_width, wanted, keep[:, 0], middle[:, 0])
    columns = slice(left, left + wanted)
    return Window(slice(0, picture_height), columns)


def _window_start(length: int, count: int, keep: np.ndarray, middle: np.ndarray) -> int:
    """Place a window of `count` pixels about `middle`, moved to hold `keep` and a border."""
    low = keep.min() * length
    high = keep.max() * length
    extent = high - low
    border = extent / 3  # hair above the brows, the neck below the chin
    center = (middle.min() + middle.max()) / 2 * length
    start = center - count / 2
    if extent + 2 * border <= count:
        start = max(start, high + border - count)
        start = min(start, low - border)
    else:
        start = (low + high - count) / 2
    inside = min(max(start, 0), length - count)
    return round(inside)
