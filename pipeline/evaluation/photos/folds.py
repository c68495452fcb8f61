"""Find where a map turns a picture inside out, by the colors of a picture of coordinates."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation.photos import limbs

SURE_VALIDITY = 0.95
LIMB_ALONE = 0.97  # blue of the ramp from which nothing else is mixed in
JUMP = 3.0  # pixels of the photograph between neighbors: a layer's border is crossed
JUMP_REACH_PX = 2  # around it nothing counts
FLIPPED = -0.05  # determinant under which a cell is turned inside out
FOLD_PX = 3  # a fold is at least as wide and high; thinner are the borders of a limb's pieces


def ramp(limb: np.ndarray) -> Tensor:
    """Return a picture (1,3,H,W) whose red is x and whose green is y, in fractions.

    Blue is 1 on the pixels (H,W) of a limb: where anything else is mixed in, it is less.
    """
    height, width = limb.shape
    x = torch.arange(width) / width
    y = torch.arange(height) / height
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    blue = torch.from_numpy(limb).to(x)
    picture = torch.stack([columns, rows, blue])
    return picture[None]


def flipped(moved_ramp: Tensor, validity: Tensor, inside: np.ndarray) -> int:
    """Count the cells of a moved ramp (3,H,W) that are turned inside out.

    Args:
        moved_ramp: the ramp as the renderer shows it.
        validity: (1,H,W), 1 where the ramp's own pixels are shown.
        inside: (H,W) the pixels that count, of those that show the limb alone.
    """
    _, height, width = moved_ramp.shape
    red, green, blue = moved_ramp.double().numpy()
    x = red * width
    y = green * height
    right, down = _steps(x + 1j * y)
    determinant = (right.conj() * down).imag
    longest = np.maximum(np.abs(right), np.abs(down))
    is_border = limbs.grown(longest > JUMP, JUMP_REACH_PX)
    is_sure = validity.squeeze(0).numpy() > SURE_VALIDITY
    is_limb = blue > LIMB_ALONE
    counted = is_sure & is_limb & inside
    is_fold = determinant < FLIPPED
    is_fold &= counted[:-1, :-1]
    is_fold &= ~is_border
    return _wide_area(is_fold, FOLD_PX)


def _steps(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (H-1,W-1) from each pixel's place x + iy to the right and to the lower."""
    right = np.diff(places, axis=1)
    down = np.diff(places, axis=0)
    return right[:-1], down[:, :-1]


def _wide_area(mask: np.ndarray, side_px: int) -> int:
    """Return the area of those parts of a mask (H,W) that hold a square of `side_px`."""
    kernel = np.ones((side_px, side_px), np.uint8)
    levels = mask.astype(np.uint8)
    wide = cv2.morphologyEx(levels, cv2.MORPH_OPEN, kernel)
    return int(wide.sum())
