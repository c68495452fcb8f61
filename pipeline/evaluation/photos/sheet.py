"""Contact sheets: rows of pictures for eyes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SHEET_HEIGHT_PX = 288  # of a row
GAP_PX = 4  # white under a row
TAKE_FRAMES = 5  # of a take in its row


def take_row(image: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Put a picture (H,W,3) and some frames (T,H,W,3) of its take side by side."""
    places = np.linspace(0, len(result) - 1, TAKE_FRAMES)
    numbers = places.round().astype(int)
    return strip([image, *result[numbers]])


def strip(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures (H,W,3) side by side at the height of a row, (SHEET_HEIGHT_PX, W, 3)."""
    parts = [_resized(picture) for picture in pictures]
    return np.concatenate(parts, 1)


def _resized(frame: np.ndarray) -> np.ndarray:
    """Resize a picture to the height of the contact sheet's rows."""
    picture = Image.fromarray(frame)
    factor = SHEET_HEIGHT_PX / picture.height
    width = max(1, round(picture.width * factor))
    size = (width, SHEET_HEIGHT_PX)
    resized = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized)


def stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Put rows of different widths under one another, on white."""
    widths = [row.shape[1] for row in rows]
    widest = max(widths)
    padded = []
    for row, width in zip(rows, widths, strict=True):
        margins = ((0, GAP_PX), (0, widest - width), (0, 0))
        padded.append(np.pad(row, margins, constant_values=255))
    return np.concatenate(padded)


def write(rows: Sequence[np.ndarray], path: Path) -> None:
    """Write the sheet of all rows as a picture file."""
    Image.fromarray(stack(rows)).save(path)
