"""Give what is the trunk's by name but hangs on a leg alone to that leg: a boot's toe, a hem.

Arms that cross the torso part it as well; what lies within shoulders and hips stays the trunk's.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.cutout import grow

TRUNK = (Part.HEAD, Part.TORSO)
VISIBLE = 0.3  # alpha from which on a pixel is a piece's


def join_islands(shares: np.ndarray, alpha: np.ndarray, torso: np.ndarray) -> np.ndarray:
    """Return shares (12, H, W) whose trunk has no piece outside the torso that touches a leg most.

    Args:
        shares: of `Part`, adding up to 1.
        alpha: (H, W) of the person.
        torso: (4, 2) pixels of right and left shoulder, left and right hip.
    """
    owner = shares.argmax(0)
    is_trunk = np.isin(owner, TRUNK) & (alpha > VISIBLE)
    levels = is_trunk.astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(levels)
    if count <= 2:
        return shares
    areas_px = facts[1:, cv2.CC_STAT_AREA]
    main = 1 + int(areas_px.argmax())
    inside = np.zeros(alpha.shape, np.uint8)
    limit = 4 * max(alpha.shape)
    corners = np.round(torso).clip(-limit, limit)
    cv2.fillPoly(inside, [corners.astype(np.int32)], 1)
    joined = shares.copy()
    for label in range(1, count):
        if label == main:
            continue
        box = _box(facts[label], alpha.shape)
        island = labels[box] == label
        if inside[box][island].any():
            continue
        part = _touching_limb(owner[box], alpha[box], island)
        if part is None or part < Part.R_THIGH:
            continue
        for shares_of_part in joined:
            shares_of_part[box][island] = 0
        joined[part][box][island] = 1
    return joined


def _box(facts: np.ndarray, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the window of a component with two pixels around it."""
    left, top, width, height = facts[:4]
    first_row = max(0, top - 2)
    first_column = max(0, left - 2)
    rows = slice(first_row, min(size[0], top + height + 2))
    columns = slice(first_column, min(size[1], left + width + 2))
    return rows, columns


def _touching_limb(owner: np.ndarray, alpha: np.ndarray, island: np.ndarray) -> int | None:
    """Return the limb's part that touches an island most; None where none does."""
    border = grow(island, 1) & ~island
    border &= alpha > VISIBLE
    border &= ~np.isin(owner, TRUNK)
    parts = owner[border]
    if not len(parts):
        return None
    touching_px = np.bincount(parts)
    return int(touching_px.argmax())
