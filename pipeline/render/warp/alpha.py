"""A clean outline of the person, and the person's colors without the background mixed in.

A trimap from the soft mask says where the outline may be. There a pixel's alpha is how far its
color lies on the way from the background's to the person's (Smith, Blinn, "Blue screen matting",
SIGGRAPH 1996), both averaged nearby; where that says nothing the mask keeps its word. What the
picture shows beyond the mixture is the person's color (Forte, "Approximate fast foreground colour
estimation", ICIP 2021).
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Anatomy
from pipeline.render.warp.cutout import ramp
from pipeline.render.warp.part_shapes import draw_hand
from pipeline.render.warp.scraps import without_islands, without_scraps

SURE = 0.9  # mask value from which on a pixel is the person's, some pixels from the outline
MAYBE = 0.1  # up to which it is not
NEAR = 0.3  # points of a hand may widen the unknown band around this
ROWS_PER_BAND_PX = 170  # picture rows for each pixel of a band; bands measure what follows
INNER_BANDS = 0.6  # of the unknown inside the mask's outline: a collar like the wall stays
OUTER_BANDS = 1.2  # of the unknown outside: hair
FINGER_WIDTH = 0.13  # head heights of a finger with what it may hide
HAND_WIDTH = 0.26
NEAR_BANDS = 3  # radius of the square whose colors are averaged
FAR_BANDS = 15  # and of the one that counts where that holds none
FAR_SHRINKING = 4  # the far colors are averaged on a picture that is so many times smaller
FAR_WEIGHT = 0.02  # of the far colors, share of a square that is full of near ones
OWN_WEIGHT = 1e-4  # of the picture's own color, where neither is known
CONTRAST = 0.15  # distance of the two colors at which they count half
FOREIGN = 0.08  # distance from both at which they count little
MASK_LOW = 0.2  # mask values between which the mask's own outline lies
MASK_HIGH = 0.8
LOW = 0.08  # what is below is no person
HIGH = 0.92  # what is above is nothing else
KEPT_AREA = 0.9  # of a hand in the mask that a refined outline must keep


def refine_alpha(
    picture: np.ndarray, mask: np.ndarray, anatomy: Anatomy
) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha (H,W) and the person's colors (H,W,3), both float32 in [0, 1].

    Args:
        picture: (H,W,3) float32 in [0, 1].
        mask: (H,W) float32 in [0, 1], the person as a segmenter sees it.
        anatomy: the person's points in pixels of the picture.
    """
    mask = without_scraps(picture, mask, anatomy)
    height = len(mask)
    band = max(1, round(height / ROWS_PER_BAND_PX))
    is_sure, is_unknown = trimap(mask, anatomy, band)
    is_behind = ~(is_sure | is_unknown)
    person = near_colors(picture, is_sure, band)
    behind = near_colors(picture, is_behind, band)
    alpha = is_sure.astype(np.float32)
    color = picture[is_unknown]
    coarse = mask[is_unknown]
    near_person = person[is_unknown]
    near_behind = behind[is_unknown]
    alpha[is_unknown] = _edge(color, coarse, near_person, near_behind)
    width = HAND_WIDTH * anatomy.unit
    for hand in _hands(anatomy):
        area = hand_area(mask.shape, hand, width)
        _keep_hand(alpha, mask, area > 0)
    alpha = without_islands(alpha, anatomy.unit)
    mixed = alpha > 0
    mixed &= alpha < 1
    color = picture[mixed]
    share = alpha[mixed]
    near_person = person[mixed]
    near_behind = behind[mixed]
    person[mixed] = unmixed(color, share, near_person, near_behind)
    is_whole = alpha >= 1
    person[is_whole] = picture[is_whole]
    return alpha, person


def trimap(mask: np.ndarray, anatomy: Anatomy, band: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the person is for sure, and where that is unknown: (H,W) bool each.

    Points widen the unknown band, but never make a pixel sure: a detector's fingers may lie beside
    the hand.
    """
    inner = _disk(INNER_BANDS * band)
    outer = _disk(OUTER_BANDS * band)
    sure = _binary(mask > SURE)
    maybe = _binary(mask > MAYBE)
    near = _binary(mask > NEAR)
    sure = cv2.erode(sure, inner)
    maybe = cv2.dilate(maybe, outer)
    near = cv2.dilate(near, outer, iterations=2)
    width = FINGER_WIDTH * anatomy.unit
    for hand in _hands(anatomy):
        area = hand_area(mask.shape, hand, width)
        maybe |= near & area
    is_sure = sure > 0
    is_unknown = maybe > 0
    is_unknown &= ~is_sure
    return is_sure, is_unknown


def _disk(radius: float) -> np.ndarray:
    whole_radius = max(1, round(radius))
    side = 2 * whole_radius + 1
    size = (side, side)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size)


def _binary(area: np.ndarray) -> np.ndarray:
    return area.astype(np.uint8)


def _hands(anatomy: Anatomy) -> list[np.ndarray]:
    """List the hands (21,2) whose points are seen."""
    hands = []
    for arm in anatomy.arms:
        if arm is None or arm.hand is None:
            continue
        hands.append(arm.hand)
    return hands


def hand_area(size: tuple[int, ...], hand: np.ndarray, width: float) -> np.ndarray:
    """(H,W) uint8, 1 on lines along the bones of a hand (21,2) that are some pixels wide."""
    points = np.round(hand)
    thickness = max(1, round(width))
    return draw_hand(size, points, thickness)


def near_colors(picture: np.ndarray, area: np.ndarray, band: int) -> np.ndarray:
    """(H,W,3) mean color of an area (H,W) bool around each pixel, of a wider square if need be."""
    height, width = area.shape
    weight = area.astype(np.float32)
    channels = cv2.split(picture * weight[..., None])
    weighted = cv2.merge([*channels, weight])
    rows = max(1, height // FAR_SHRINKING)
    columns = max(1, width // FAR_SHRINKING)
    small = cv2.resize(weighted, (columns, rows), interpolation=cv2.INTER_AREA)
    far_radius = max(1, FAR_BANDS * band // FAR_SHRINKING)
    far = _mean(small, far_radius)
    far = cv2.resize(far, (width, height))
    total = _mean(weighted, NEAR_BANDS * band)
    total += FAR_WEIGHT * far
    colors = total[..., :3]
    weights = total[..., 3:]
    colors = colors + OWN_WEIGHT * picture
    return colors / (weights + OWN_WEIGHT)


def _mean(maps: np.ndarray, radius: int) -> np.ndarray:
    side = 2 * radius + 1
    return cv2.blur(maps, (side, side))


def _edge(
    picture: np.ndarray, mask: np.ndarray, person: np.ndarray, behind: np.ndarray
) -> np.ndarray:
    """(n,) alphas of colors (n,3) between those of the near person and the near background."""
    way = person - behind
    offset = picture - behind
    length = _dot(way, way)
    along = _dot(offset, way)
    share = along / length.clip(1e-6)
    share = share.clip(0, 1)
    missed = offset - share[:, None] * way
    missed_square = _dot(missed, missed)
    likeness = np.exp(-missed_square / (2 * FOREIGN**2))
    contrast = length / (length + CONTRAST**2)
    mixed = ramp(mask, MASK_LOW, MASK_HIGH)
    weight = contrast * likeness
    mixed += weight * (share - mixed)
    return ramp(mixed, LOW, HIGH)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("nc,nc->n", first, second)


def _keep_hand(alpha: np.ndarray, mask: np.ndarray, area: np.ndarray) -> None:
    """Put the mask's hand back where the refined outline has lost some of it, in place."""
    kept = alpha[area]
    given = mask[area]
    if kept.sum() < KEPT_AREA * given.sum():
        alpha[area] = np.maximum(kept, given)


def unmixed(
    picture: np.ndarray, alpha: np.ndarray, person: np.ndarray, behind: np.ndarray
) -> np.ndarray:
    """Correct the person's near colors (n,3) by what the picture shows beyond the mixture."""
    share = alpha[:, None]
    way = person - behind
    mixture = behind + share * way
    missed = picture - mixture
    corrected = person + share * missed
    return corrected.clip(0, 1)
