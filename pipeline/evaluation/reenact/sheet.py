"""The contact sheet: of every clip some true frames, and what each method makes of them."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.evaluation.photos.sheet import stack, take_row
from pipeline.evaluation.reenact.cases import Case

TEXT_COLOR = (255, 0, 0)
TEXT_PLACE_PX = (6, 22)
TEXT_SCALE = 0.7
TEXT_WIDTH_PX = 2


def clip_rows(case: Case, frames: dict[str, np.ndarray]) -> np.ndarray:
    """Return a labeled row of the truth and one of each method's frames, the reference first."""
    rows = [labeled(take_row(case.image, case.truth), f"{case.name}: truth")]
    for method, pictures in frames.items():
        rows.append(labeled(take_row(case.image, pictures), method))
    return stack(rows)


def labeled(row: np.ndarray, text: str) -> np.ndarray:
    """Write a text into the upper left corner of a picture (H, W, 3)."""
    canvas = np.ascontiguousarray(row)
    font = cv2.FONT_HERSHEY_SIMPLEX
    return cv2.putText(canvas, text, TEXT_PLACE_PX, font, TEXT_SCALE, TEXT_COLOR, TEXT_WIDTH_PX)
