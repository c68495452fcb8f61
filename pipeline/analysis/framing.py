"""Output size, and the crop around the person."""

from __future__ import annotations

import numpy as np

from pipeline.values import InputError


def output_size(
    picture: tuple[int, int],
    area: int,
    multiple: int,
    height: int | None = None,
    width: int | None = None,
) -> tuple[int, int]:
    """(H, W), multiples of `multiple`: as asked for, else the aspect of `picture` (H, W) at `area` pixels."""
    for name, value in (("height", height), ("width", width)):
        if value is not None and (value < 64 or value > 2048 or value % multiple):
            raise InputError(f"{name} is {value}; give a multiple of {multiple} from 64 to 2048")
    aspect = picture[0] / picture[1]
    if height is None and width is None:
        width_real = (area / aspect) ** 0.5
        sides = (width_real * aspect, width_real)
    else:
        sides = (height or width * aspect, width or height / aspect)
    return tuple(
        min(2048 // multiple * multiple, max(64, round(s / multiple) * multiple)) for s in sides
    )


def same_aspect(picture: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether both (H, W) have one aspect within 3 %: then nothing is cut off, the picture is stretched."""
    return abs((picture[0] / picture[1]) / (size[0] / size[1]) - 1) <= 0.03


def crop_to_aspect(
    picture: np.ndarray, size: tuple[int, int], keep: np.ndarray, middle: np.ndarray
) -> np.ndarray:
    """The largest part of `picture` (H,W,3) with the aspect of `size`, as near to `middle` as `keep` allows.

    keep, middle: points (n,2) x, y in fractions; all of `keep` lies inside wherever the part is large enough.
    """
    (have_h, have_w), (want_h, want_w) = picture.shape[:2], size
    ratio = (have_h / have_w) / (want_h / want_w)
    if ratio > 1:
        top, height = _window(have_h, round(have_h / ratio), keep[:, 1], middle[:, 1])
        return picture[top : top + height]
    left, width = _window(have_w, round(have_w * ratio), keep[:, 0], middle[:, 0])
    return picture[:, left : left + width]


def _window(length: int, count: int, keep: np.ndarray, middle: np.ndarray) -> tuple[int, int]:
    """Start and count of the window about the middle of `middle`, moved to hold `keep` and a third around."""
    low, high = keep.min() * length, keep.max() * length
    border = (high - low) / 3  # hair above the brows, the neck below the chin
    start = (middle.min() + middle.max()) / 2 * length - count / 2
    if high - low + 2 * border <= count:
        start = min(max(start, high + border - count), low - border)
    else:
        start = (low + high - count) / 2
    return round(min(max(start, 0), length - count)), count
