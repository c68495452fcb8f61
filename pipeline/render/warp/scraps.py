"""Background that a person's mask holds beside hands and forearms.

A segmenter closes the gaps between fingers, and between a bent arm and what is around it. There a
pixel is background where its color is among those of the background nearby and not among the
person's.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Anatomy, Arm
from pipeline.render.warp.part_shapes import (
    box_around,
    hand_distance,
    scaled,
    segment_distance,
    trunk_distance,
)

ROWS = 256  # of the picture that scraps are looked for in
# Lengths in head heights.
REACH = 0.45  # from the bones of forearm and hand
SURROUNDINGS = 0.9  # from them, whose colors count
FINGER = 0.05  # nearer to a hand's bone all is the hand's
ARM = 0.08  # nearer to an arm's bone all is the arm's
SAMPLE_SHARE = 0.4  # of these distances from which the colors of hand and arm are taken
TORSO_PAD = 0.1  # around shoulders and hips; all within is the person's
DEEP = 0.25  # from the mask's outline; all further inside is the person's
PERSON = 0.9  # mask value of the person
OUTLINE = 0.5
BEHIND = 0.1  # mask value up to which there is background
MOST_SAMPLES = 128  # colors of either
FEWEST_SAMPLES = 8
COMMON = 6  # samples of the background that must be like a scrap: one odd thing is not enough
NEARER = 0.5  # a scrap's color is nearer to the background's than this share of the other way
LIGHT_WEIGHT = 0.7  # lightness counts less than hue: shadows are the person's
FOREIGN = 0.055  # Lab distance over 100 from all of the person's colors that it has at least
SMALLEST_PX = 3  # side of a scrap
NEAR_SIDE_PX = 5  # of a square around a scrap that some background lies in
STRIP = 0.12  # head heights of what remains between scraps
ISLAND_ALPHA = 0.2
ISLAND_SIDE = 0.25  # head heights of a square; smaller pieces apart from the person are no one's


def without_scraps(picture: np.ndarray, mask: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Return the mask (H,W) without the background that lies beside hands.

    Args:
        picture: (H,W,3) float32 in [0, 1].
        mask: (H,W) float32 in [0, 1].
        anatomy: the person's points in pixels of the picture.
    """
    height, width = mask.shape
    rows = min(height, ROWS)
    columns = max(2, round(width * rows / height))
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB) / 100
    lab[..., 0] *= LIGHT_WEIGHT
    near = scaled(anatomy, (rows, columns))
    scraps = np.zeros((rows, columns), np.float32)
    for arm in near.arms:
        if arm is not None and arm.hand is not None:
            _add_scraps(scraps, lab, coarse, arm, near)
    if not scraps.any():
        return mask
    kept = 1 - cv2.resize(scraps, (width, height), interpolation=cv2.INTER_LINEAR)
    return mask * kept


def _add_scraps(
    scraps: np.ndarray, lab: np.ndarray, mask: np.ndarray, arm: Arm, anatomy: Anatomy
) -> None:
    """Set `scraps` (h,w) to 1 where background lies beside one arm's hand, in place."""
    points = np.concatenate([arm.hand, arm.elbow[None]])
    box = box_around(points, SURROUNDINGS * anatomy.unit, mask.shape)
    if box is None:
        return
    window = (box.rows, box.columns)
    colors = lab[window]
    share = mask[window]
    is_person, may_be_scrap, is_near = _areas(box.places, _depth(share), arm, anatomy)
    person = _samples(colors[is_near & is_person & (share > PERSON)])
    behind = _samples(colors[is_near & (share < BEHIND)])
    if min(len(person), len(behind)) < FEWEST_SAMPLES:
        return
    asked = may_be_scrap & (share > BEHIND)
    to_person = _distance(colors[asked], person, 1)
    to_behind = _distance(colors[asked], behind, COMMON)
    asked[asked] = is_foreign = to_person > FOREIGN
    found = np.zeros(share.shape, np.uint8)
    found[asked] = (to_behind < NEARER * to_person)[is_foreign]
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, _square(SMALLEST_PX))
    joined = _closed(found, share, anatomy.unit) & asked
    joined = cv2.morphologyEx(joined.astype(np.uint8), cv2.MORPH_OPEN, _square(SMALLEST_PX))
    scraps[window][_reaching(joined, share < OUTLINE)] = 1


def _closed(found: np.ndarray, share: np.ndarray, unit: float) -> np.ndarray:
    """(h,w) bool: scraps, and what lies between them and the background in narrow strips."""
    apart = found | (share < BEHIND)
    side = max(1, round(STRIP * unit))
    closed = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_CLOSE, _square(side))
    near = cv2.dilate(found, _square(side))
    return (closed & near) > 0


def _reaching(areas: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(h,w) bool: the connected areas (uint8) that come near a goal (h,w) bool."""
    near = cv2.dilate(goal.astype(np.uint8), _square(NEAR_SIDE_PX)) > 0
    count, labels = cv2.connectedComponents(areas)
    is_kept = np.zeros(count, bool)
    is_kept[labels[near]] = True
    is_kept[0] = False
    return is_kept[labels]


def _square(side: int) -> np.ndarray:
    return np.ones((side, side), np.uint8)


def _areas(
    places: np.ndarray, depth: np.ndarray, arm: Arm, anatomy: Anatomy
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas (h,w) bool: the person's for sure, where scraps may be, whose colors count."""
    unit = anatomy.unit
    finger = hand_distance(places, arm.hand) / unit
    forearm, _ = segment_distance(places, arm.elbow, arm.hand_root)
    upper_arm, _ = segment_distance(places, arm.shoulder, arm.elbow)
    bones = np.minimum(forearm, upper_arm) / unit
    torso = trunk_distance(places, anatomy)
    deep = depth > DEEP * unit
    is_person = (finger < SAMPLE_SHARE * FINGER) | (bones < SAMPLE_SHARE * ARM)
    is_person |= (torso < 0) | deep
    apart = np.minimum(finger, forearm / unit)
    may_be_scrap = (apart < REACH) & (finger > FINGER) & (bones > ARM)
    may_be_scrap &= (torso > TORSO_PAD) & ~deep
    return is_person, may_be_scrap, apart < SURROUNDINGS


def _depth(mask: np.ndarray) -> np.ndarray:
    """(h,w) pixels to the mask's outline; the picture's border is none."""
    inside = np.pad(mask > OUTLINE, 1, mode="edge")
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    return depth[1:-1, 1:-1]


def _samples(colors: np.ndarray) -> np.ndarray:
    """Keep at most MOST_SAMPLES of colors (n,3), spread evenly."""
    step = -(-len(colors) // MOST_SAMPLES)
    return colors[:: max(1, step)]


def _distance(colors: np.ndarray, samples: np.ndarray, count: int) -> np.ndarray:
    """(n,) distance of colors (n,3) to the last of the `count` nearest of samples (k,3)."""
    offsets = colors[:, None] - samples
    distances = np.linalg.norm(offsets, axis=-1)
    return np.partition(distances, count - 1, axis=1)[:, count - 1]


def without_islands(alpha: np.ndarray, unit: float) -> np.ndarray:
    """Return an alpha (H,W) without the pieces that are small for a head of `unit` pixels."""
    is_land = (alpha > ISLAND_ALPHA).astype(np.uint8)
    count, labels, figures, _ = cv2.connectedComponentsWithStats(is_land)
    areas = figures[:, cv2.CC_STAT_AREA]
    is_kept = areas >= (ISLAND_SIDE * unit) ** 2
    is_kept[0] = True  # the faint rest, which hair is part of
    if count > 1:
        is_kept[1 + areas[1:].argmax()] = True
    return np.where(is_kept[labels], alpha, 0)
