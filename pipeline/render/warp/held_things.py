"""Things that only an arm holds: pieces of the trunk that no trunk is connected to."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Part

TRUNK = [Part.HEAD, Part.TORSO]
ARMS = range(Part.R_UPPER_ARM, Part.R_THIGH)
NO_PART = -1
LEGS = slice(Part.R_THIGH, None)
OUTSIDE = 0.1  # head heights from the shapes of head and torso; a thing lies farther away
LARGEST = 1.2  # head heights of a square


def give_things(shares: np.ndarray, inside: np.ndarray, distances: np.ndarray, unit: float) -> None:
    """Give pieces of the trunk that touch nothing but an arm to that arm, in place.

    Args:
        shares: (12,h,w) of the parts.
        inside: (h,w) bool, the person's pixels.
        distances: (12,h,w) head heights to the prior shapes of the parts.
        unit: head height in pixels.
    """
    parts = shares.argmax(0)
    parts[~inside] = NO_PART
    is_trunk = np.isin(parts, TRUNK)
    count, pieces, figures, _ = cv2.connectedComponentsWithStats(is_trunk.astype(np.uint8))
    is_body = (distances[TRUNK] < OUTSIDE).any(0) | np.isfinite(distances[LEGS]).any(0)
    areas = figures[:, cv2.CC_STAT_AREA]
    is_small = areas < (LARGEST * unit) ** 2
    is_small[pieces[is_body]] = False
    is_small[0] = False  # all that is no trunk
    for piece in np.flatnonzero(is_small):
        area = pieces == piece
        part = _holder(area, parts)
        if part is not None:
            shares[:, area] = 0
            shares[part, area] = 1


def _holder(area: np.ndarray, parts: np.ndarray) -> int | None:
    """The arm's part that touches an area (h,w) most; None if no arm or something else does."""
    side = np.ones((3, 3), np.uint8)
    grown = cv2.dilate(area.astype(np.uint8), side)
    touched = parts[(grown > 0) & ~area]
    touched = touched[touched != NO_PART]
    is_arm = np.isin(touched, ARMS)
    if len(touched) == 0 or not is_arm.all():
        return None
    counts = np.bincount(touched)
    return int(counts.argmax())
