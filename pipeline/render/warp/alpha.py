"""A clean outline of the person, and the person's colors without the background mixed in.

A trimap from the soft mask says where the outline may be; there the alpha follows the picture's
edges (guided filter: He, Sun, Tang, TPAMI 2013), and the mask keeps its word where colors say
nothing. Colors: Forte, "Approximate fast foreground colour estimation", ICIP 2021.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.motion.keypoints import HAND_EDGES
from pipeline.render.warp.anatomy import Anatomy

SURE = 0.9  # mask value from which on a pixel is the person's, some pixels from the outline
MAYBE = 0.1  # up to which it is not
NEAR = 0.3  # points of a hand may widen the unknown band around this
ROWS_PER_BAND_PX = 170  # picture rows for each pixel of half the unknown band
FINGER_WIDTH = 0.13  # head heights of a finger with what it may hide
HAND_WIDTH = 0.26
GUIDE_BANDS = 3  # guided filter's radius in half bands
GUIDE_EPSILON = 1e-4
MASK_SHARE = 0.25  # what the mask counts in the unknown band
LOW = 0.08  # what is below is no person
HIGH = 0.92  # what is above is nothing else
KEPT_AREA = 0.9  # of a hand in the mask that a refined outline must keep
COARSE_ROWS = 128  # of the picture that far colors are looked for in
COARSE_RADIUS_PX = 11
FINE_ROWS_PER_PX = 128  # picture rows for each pixel of the radius of near colors
PURITY = 3  # power of alpha by which a color counts: mixed ones hardly do
LEAST_SHARE = 1e-5
FARTHEST = 4  # picture sides; OpenCV draws no lines to places far outside


def refine_alpha(
    picture: np.ndarray, mask: np.ndarray, anatomy: Anatomy
) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha (H,W) and the person's colors (H,W,3), both float32 in [0, 1].

    Args:
        picture: (H,W,3) float32 in [0, 1].
        mask: (H,W) float32 in [0, 1], the person as a segmenter sees it.
        anatomy: the person's points in pixels of the picture.
    """
    band = max(1, round(len(mask) / ROWS_PER_BAND_PX))
    is_sure, is_unknown = trimap(mask, anatomy, band)
    guided = cv2.ximgproc.guidedFilter(picture, mask, GUIDE_BANDS * band, GUIDE_EPSILON)
    mixed = guided + MASK_SHARE * (mask - guided)
    edge = (mixed - LOW) / (HIGH - LOW)
    alpha = np.where(is_unknown, edge.clip(0, 1), is_sure)
    alpha = alpha.astype(np.float32)
    for hand in _hands(anatomy):
        area = hand_area(mask.shape, hand, HAND_WIDTH * anatomy.unit)
        alpha = _with_hand(alpha, mask, area > 0)
    return alpha, foreground(picture, alpha)


def trimap(mask: np.ndarray, anatomy: Anatomy, band: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the person is for sure, and where that is unknown: (H,W) bool each.

    Points widen the unknown band, but never make a pixel sure: a detector's fingers may lie beside
    the hand.
    """
    side = 2 * band + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    sure = cv2.erode(_binary(mask > SURE), disk)
    maybe = cv2.dilate(_binary(mask > MAYBE), disk)
    near = cv2.dilate(_binary(mask > NEAR), disk, iterations=2)
    width = FINGER_WIDTH * anatomy.unit
    for hand in _hands(anatomy):
        maybe |= near & hand_area(mask.shape, hand, width)
    is_sure = sure > 0
    return is_sure, (maybe > 0) & ~is_sure


def _binary(area: np.ndarray) -> np.ndarray:
    return area.astype(np.uint8)


def _hands(anatomy: Anatomy) -> list[np.ndarray]:
    """List the hands (21,2) whose points are seen."""
    arms = [arm for arm in anatomy.arms if arm is not None]
    return [arm.hand for arm in arms if arm.hand is not None]


def hand_area(size: tuple[int, ...], hand: np.ndarray, width: float) -> np.ndarray:
    """(H,W) uint8, 1 on lines along the bones of a hand (21,2) that are some pixels wide."""
    area = np.zeros(size, np.uint8)
    limit = FARTHEST * max(size)
    points = np.round(hand).clip(-limit, limit).astype(int)
    thickness = max(1, round(width))
    for start, end in points[np.array(HAND_EDGES)].tolist():
        cv2.line(area, start, end, 1, thickness)
    return area


def _with_hand(alpha: np.ndarray, mask: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Put the mask's hand back where the refined outline has lost some of it."""
    kept = alpha[area].sum()
    if kept >= KEPT_AREA * mask[area].sum():
        return alpha
    return np.where(area, np.maximum(alpha, mask), alpha)


def foreground(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return the person's colors (H,W,3), estimated from near ones where alpha is below 1.

    Colors of person and background are blurred apart, coarsely then finely; what the picture shows
    beyond their mixture is the person's.
    """
    height, width = alpha.shape
    rows = min(height, COARSE_ROWS)
    columns = max(2, round(width * rows / height))
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    small_alpha = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
    coarse = _apart(small, small, small, small_alpha, COARSE_RADIUS_PX)
    person, behind = [cv2.resize(colors, (width, height)) for colors in coarse]
    radius = max(1, height // FINE_ROWS_PER_PX)
    person, _ = _apart(picture, person, behind, alpha, radius)
    return np.where(alpha[..., None] >= 1, picture, person)


def _apart(
    picture: np.ndarray, person: np.ndarray, behind: np.ndarray, alpha: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Blur person and background (H,W,3) apart; correct the person's colors by the picture."""
    share = alpha[..., None]
    person = _blurred(person, share, radius)
    behind = _blurred(behind, 1 - share, radius)
    mixture = behind + share * (person - behind)
    corrected = person + share * (picture - mixture)
    return corrected.clip(0, 1), behind


def _blurred(colors: np.ndarray, share: np.ndarray, radius: int) -> np.ndarray:
    """Average colors (H,W,3) in squares, each pixel counting by its share (H,W,1)."""
    window = (2 * radius + 1, 2 * radius + 1)
    weight = share**PURITY
    total = cv2.blur(colors * weight, window)
    weight = cv2.blur(weight, window)
    return total / weight[..., None].clip(LEAST_SHARE)
