"""Look at the reference image: its people, the output size, and the crop around the person."""

from __future__ import annotations

import numpy as np

from pipeline.analysis import detectors
from pipeline.analysis.close_portraits import leave_out_guessed_bodies
from pipeline.analysis.detectors import cache
from pipeline.analysis.detectors.detection import picture_size
from pipeline.analysis.wide_pictures import detect_in_windows, is_wide
from pipeline.values import Detection, InputError

MIN_SIDE_PX = 64
MAX_SIDE_PX = 2048
SAME_ASPECT = 0.03  # relative difference below which the picture is stretched instead of cropped
NO_FACE = (
    "no face was found on the person in the reference image; "
    "use a picture in which the face is seen from the front and at least 20 pixels high"
)


def detect_reference(picture: np.ndarray, detector: str) -> Detection:
    """Detect all people in the reference image (H,W,3), largest first, with masks.

    Very wide and tall pictures are looked at from close, too. Close portraits have a head alone.
    Refuse a picture without a face.
    """
    loaded = detectors.load(detector)
    try:
        detection = cache.image(loaded, picture)
    except InputError:
        if not is_wide(picture):
            raise
        return detect_in_windows(picture, loaded)
    person = detection.people[0]
    if person.face.visible.any():
        return leave_out_guessed_bodies(detection)
    if is_wide(picture):
        return detect_in_windows(picture, loaded)
    raise InputError(NO_FACE)


def crop_around_person(picture: np.ndarray, size: tuple[int, int], detector: str) -> np.ndarray:
    """Crop `picture` (H,W,3) to the aspect of `size` (H,W) around its person.

    Detect only if need be.
    """
    if same_aspect(picture_size(picture), size):
        return picture
    person = detect_reference(picture, detector).people[0]
    face = person.face.xy[person.face.visible]
    body = person.body.xy[person.body.visible]
    return crop_to_aspect(picture, size, face, np.concatenate([face, body]))


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


def crop_to_aspect(
    picture: np.ndarray, size: tuple[int, int], keep: np.ndarray, middle: np.ndarray
) -> np.ndarray:
    """Crop to the largest part that has the aspect of `size`, as near to `middle` as `keep` allows.

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
        return picture[top : top + wanted]
    wanted = round(picture_width * ratio)
    left = _window_start(picture_width, wanted, keep[:, 0], middle[:, 0])
    return picture[:, left : left + wanted]


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
