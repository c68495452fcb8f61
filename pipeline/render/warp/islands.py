"""Give what is the trunk's by name but hangs on a limb alone to that limb: a toe, a hem."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.cutout import grow

TRUNK = (Part.HEAD, Part.TORSO)
VISIBLE = 0.3  # alpha from which on a pixel is a piece's


def join_islands(shares: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return shares (12, H, W) whose trunk is one piece, as far as the rest touches a limb.

    Args:
        shares: of `Part`, adding up to 1.
        alpha: (H, W) of the person.
    """
    owner = shares.argmax(0)
    is_trunk = np.isin(owner, TRUNK) & (alpha > VISIBLE)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(is_trunk.astype(np.uint8))
    if count <= 2:
        return shares
    main = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    joined = shares.copy()
    for label in range(1, count):
        if label == main:
            continue
        box = _box(facts[label], shares.shape[1:])
        island = labels[box] == label
        part = _touching_limb(owner[box], alpha[box], island)
        if part is not None:
            window = joined[(slice(None), *box)]
            window[:, island] = 0
            window[part, island] = 1
    return joined


def _box(facts: np.ndarray, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the window of a component with two pixels around it."""
    left, top, width, height = facts[:4]
    rows = slice(max(0, top - 2), min(size[0], top + height + 2))
    columns = slice(max(0, left - 2), min(size[1], left + width + 2))
    return rows, columns


def _touching_limb(owner: np.ndarray, alpha: np.ndarray, island: np.ndarray) -> int | None:
    """Return the limb's part that touches an island most; None where none does."""
    border = grow(island, 1) & ~island & (alpha > VISIBLE)
    parts = owner[border & ~np.isin(owner, TRUNK)]
    if not len(parts):
        return None
    return int(np.bincount(parts).argmax())
