"""Cut hands out along their own outlines, and say what lies around them.

What the mask gave to a hand and the outline does not is the body's, the background's or a thing
that the hand holds, whichever its color is like.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial import cKDTree

from pipeline.render.warp.alpha import ROWS_PER_BAND_PX, near_colors, unmixed
from pipeline.render.warp.anatomy import Anatomy, Arm, Part
from pipeline.render.warp.cutout import EDGE_SIGMA_PX, Cutout, blur, grow, shrink
from pipeline.render.warp.hand_outline import is_forearm, outline_hand
from pipeline.render.warp.part_shapes import (
    Box,
    box_around,
    segment_distance,
    trunk_distance,
)
from pipeline.render.warp.scraps import COMMON, FEWEST_SAMPLES, LIGHT_WEIGHT

AROUND = 0.58  # head heights around the hand's points that are looked at
PERSON = 0.9  # alpha from which on a pixel shows the person alone ...
BEHIND = 0.1  # ... and up to which it shows the background alone
OTHERS = 0.3  # share of the hand up to which a pixel is another part's
COLOR_PX = 3  # side of the square over which the likeness of colors is averaged
MOST_SAMPLES = 8192  # colors of body and background that others are compared with
FOREIGN = 0.1  # distance (Lab over 100) from body and background of a thing that is held
TORSO_PAD = 0.1  # head heights around shoulders and hips; behind a hand there is the body
BONE = 0.08  # head heights from an arm's bone, within which there is that arm
OTHERS_LEFT = 0.03  # share that other parts must have for the part map to know which it is
THING = 0.15  # head heights of a square; a smaller piece is no thing
RIM_PX = 2  # around a hand's outline its colors are mixed with what is behind
TOUCH_PX = 3  # a thing is no farther from its hand

OTHER_PARTS = [Part.HEAD, *range(Part.R_THIGH, len(Part))]  # none of which a hand's mask holds


@dataclass(frozen=True)
class _Window:
    """A window around a hand: picture (h, w, 3), alpha (h, w), shares (12, h, w), the outline.

    Args:
        region: (h, w) bool, the hand.
        silent: (h, w) bool, where the outline says nothing.
        on_torso: (h, w) bool, within shoulders and hips.
        sure: (h, w) bool, the body without this hand for sure.
        band: pixels, see `near_colors`.
        unit: head height in pixels.
    """

    picture: np.ndarray
    alpha: np.ndarray
    shares: np.ndarray
    region: np.ndarray
    silent: np.ndarray
    on_torso: np.ndarray
    sure: np.ndarray
    band: int
    unit: float


def cut_hands(picture: np.ndarray, cutout: Cutout, anatomy: Anatomy) -> Cutout:
    """Return the cutout of a whole picture (H,W,3) with its hands along their own outlines."""
    changed = replace(
        cutout,
        color=cutout.color.copy(),
        alpha=cutout.alpha.copy(),
        shares=cutout.shares.copy(),
    )
    right, left = anatomy.arms
    for arm, other in ((right, left), (left, right)):
        if arm is None:
            continue
        other_hand = None if other is None else other.hand
        region = outline_hand(picture, arm, other_hand, anatomy.unit)
        if region is None or arm.hand is None:
            continue
        box = box_around(arm.hand, AROUND * anatomy.unit, cutout.size)
        if box is not None:
            _cut_hand(changed, picture, arm, region, box, anatomy)
    return changed


def _cut_hand(
    cutout: Cutout,
    picture: np.ndarray,
    arm: Arm,
    region: np.ndarray,
    box: Box,
    anatomy: Anatomy,
) -> None:
    """Cut one hand, whose region (H,W) bool is known, inside a box of the picture, in place."""
    rows = box.rows
    columns = box.columns
    region = region[rows, columns]
    silent = is_forearm(box.places, arm)
    on_torso = trunk_distance(box.places, anatomy) < TORSO_PAD
    shares = cutout.shares[:, rows, columns]
    elsewhere = shares[OTHER_PARTS].sum(0)
    sure = on_torso | (elsewhere > 0.5)
    sure |= _on_bones(box.places, anatomy)
    window = _Window(
        picture=picture[rows, columns],
        alpha=cutout.alpha[rows, columns],
        shares=shares,
        region=region,
        silent=silent,
        on_torso=on_torso,
        sure=sure,
        band=max(1, round(len(picture) / ROWS_PER_BAND_PX)),
        unit=anatomy.unit,
    )
    hand = arm.first + 2
    alpha, shares = _without_hand(window, hand)
    soft = blur(region, EDGE_SIGMA_PX)
    soft[silent & ~region] = 0
    behind = _carried_inside(alpha, region)
    total = soft + (1 - soft) * behind
    hand_share = soft / total.clip(1e-6)
    old_color = cutout.color[rows, columns]
    cutout.color[rows, columns] = _colors(window, old_color, soft, hand_share)
    cutout.alpha[rows, columns] = total
    shares *= 1 - hand_share
    shares[hand] += hand_share
    cutout.shares[:, rows, columns] = shares


def _on_bones(places: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """(h,w) bool: which places (h,w,2) lie near the bones of an arm."""
    nearest = np.full(places.shape[:2], np.inf)
    for arm in anatomy.arms:
        if arm is None:
            continue
        for start, end in ((arm.shoulder, arm.elbow), (arm.elbow, arm.hand_root)):
            distance, _ = segment_distance(places, start, end)
            nearest = np.minimum(nearest, distance)
    return nearest < BONE * anatomy.unit


def _without_hand(window: _Window, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha (h,w) and shares (12,h,w) of a window as if the hand were only its region."""
    alpha = window.alpha.copy()
    shares = window.shares.copy()
    lost = shares[hand] > OTHERS
    lost &= alpha > BEHIND
    lost &= ~window.region
    lost &= ~window.silent
    free = ~window.region & ~lost
    is_person = free & (alpha > PERSON)
    is_person &= shares[hand] < OTHERS
    is_body = _reached(is_person, window.sure)
    is_behind = free & (alpha < BEHIND)
    to_body, to_behind = _color_distances(window, lost, is_body, is_behind)
    is_foreign = np.minimum(to_body, to_behind) > FOREIGN
    is_thing = _things(window, lost & is_foreign)
    lost &= ~is_thing
    is_background = lost & (to_behind < to_body)
    # the soft rim of the hand hangs on everything around it
    rest = lost & ~is_background
    rest &= ~grow(window.region, RIM_PX)
    is_background |= rest & ~_reached(rest, is_body)
    is_background &= ~window.on_torso
    alpha[is_background] = 0
    _give_to_others(shares, lost & ~is_background, hand, is_body)
    _continue_into_rim(window, alpha, shares)
    kept = is_thing | window.silent
    rest = np.where(kept, shares[hand], 0)
    shares[hand] = 0
    others = shares.sum(0)
    shares *= (1 - rest) / others.clip(1e-6)
    shares[hand] = np.where(others > 1e-6, rest, 1)
    return alpha, shares


def _continue_into_rim(window: _Window, alpha: np.ndarray, shares: np.ndarray) -> None:
    """Give the rim around a hand to what lies beyond it, in place: its own colors are mixed."""
    wide = grow(window.region, RIM_PX)
    rim = wide & ~window.region & ~window.silent
    if wide.all() or not rim.any():
        return
    nearest = _nearest(~wide)[rim]
    alpha[rim] = alpha.ravel()[nearest]
    shares[:, rim] = shares.reshape(len(shares), -1)[:, nearest]


def _give_to_others(shares: np.ndarray, given: np.ndarray, hand: int, is_body: np.ndarray) -> None:
    """Give pixels (h,w) bool of a hand to the likeliest other part, in place.

    Where the part map knows of none they go to the part of the nearest pixel of the body.
    """
    others = shares.sum(0) - shares[hand]
    unknown = given & (others < OTHERS_LEFT)
    if unknown.any() and is_body.any():
        nearest = _nearest(is_body)
        flat = shares.reshape(len(shares), -1)
        shares[:, unknown] = flat[:, nearest[unknown]]


def _color_distances(
    window: _Window, asked: np.ndarray, is_body: np.ndarray, is_behind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far (h,w) asked pixels' colors are from the body's, from the background's."""
    smooth = cv2.blur(window.picture, (COLOR_PX, COLOR_PX))
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB) / 100
    lab[..., 0] *= LIGHT_WEIGHT
    distances = []
    for area, count in ((is_body, 1), (is_behind, COMMON)):
        apart = np.full(area.shape, np.inf, np.float32)
        samples = lab[area]
        if asked.any() and len(samples) >= FEWEST_SAMPLES:
            step = -(-len(samples) // MOST_SAMPLES)
            tree = cKDTree(samples[::step])
            nearest, _ = tree.query(lab[asked], k=[count])
            apart[asked] = nearest[:, 0]
        distances.append(apart)
    to_body, to_behind = distances
    return to_body, to_behind


def _reached(area: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(h,w) bool: the pieces of an area (h,w) bool that touch a start (h,w) bool."""
    count, pieces = cv2.connectedComponents(area.astype(np.uint8))
    is_touched = np.zeros(count, bool)
    is_touched[pieces[grow(start, 1) & area]] = True
    return is_touched[pieces] & area


def _things(window: _Window, foreign: np.ndarray) -> np.ndarray:
    """(h,w) bool: pieces of what is neither body nor background that the hand touches."""
    solid = grow(shrink(foreign), 1) & foreign
    touching = _reached(solid, grow(window.region, TOUCH_PX))
    _, pieces, figures, _ = cv2.connectedComponentsWithStats(touching.astype(np.uint8))
    is_large = figures[:, cv2.CC_STAT_AREA] > (THING * window.unit) ** 2
    return is_large[pieces] & touching


def _nearest(area: np.ndarray) -> np.ndarray:
    """(h,w) flat index of the nearest pixel of an area (h,w) bool that is not empty."""
    outside = (~area).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.flatnonzero(area)
    index = np.zeros(labels.max() + 1, np.int64)
    index[labels.ravel()[places]] = places
    return index[labels]


def _carried_inside(alpha: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return alpha (h,w) whose values inside a region (h,w) bool are the nearest outside it."""
    if region.all():
        return alpha
    return alpha.ravel()[_nearest(~region)]


def _colors(
    window: _Window, color: np.ndarray, soft: np.ndarray, hand_share: np.ndarray
) -> np.ndarray:
    """Return colors (h,w,3) in which hand and surroundings are not mixed at the hand's edge."""
    inside = shrink(window.region)
    outside = ~window.region & (soft <= 0.01)
    if not (inside.any() and outside.any()):
        return color
    hand = near_colors(window.picture, inside, window.band)
    around = near_colors(window.picture, outside & (window.alpha > PERSON), window.band)
    behind = near_colors(window.picture, outside, window.band)
    mixed = (soft > 0.01) & (soft < 0.99)
    is_hand = hand_share > 0.5
    result = np.where(window.region[..., None], window.picture, color)
    own = mixed & is_hand
    result[own] = unmixed(window.picture[own], soft[own], hand[own], behind[own])
    next_to = mixed & ~is_hand
    result[next_to] = unmixed(
        window.picture[next_to], 1 - soft[next_to], around[next_to], hand[next_to]
    )
    return result
