"""The outline of a hand in a picture, as its 21 points and its own colors tell it.

A segmenter's mask is too coarse for fingers: it closes the gaps between them, and holds a table's
edge or loses a thumb. Points and colors together know better (Rother, Kolmogorov, Blake, "GrabCut:
interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004; OpenCV's code).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Arm
from pipeline.render.warp.part_shapes import (
    box_around,
    hand_distance,
    polygon_distance,
    segment_distance,
)

PALM = [0, 1, 5, 9, 13, 17]  # points around the palm
# Lengths in head heights.
MARGIN = 0.28  # of the window around the points: what a hand's surroundings look like
CORE = 0.015  # from a bone; there is the hand, if its color is
PALM_CORE = 0.03  # inside the palm
LIKELY = 0.075  # from a bone or the palm: half a finger's width and a point's error
REACH = 0.17  # beyond it is no hand
WRIST = 0.05  # behind the hand's first point; what is farther there is the forearm's
FORE_WIDTH = 0.16  # half width of a bare forearm, whose color is the hand's
OTHER_CORE = 0.02  # from the bones of the other hand, which is not this one ...
TOUCHING = 0.1  # ... unless both are as near as that: then they are cut out together and parted
LIGHT_WEIGHT = 0.5  # lightness counts less than hue: a finger has a lit and a dark side
FARTHEST_DEVIATIONS = 3.0  # of the core's colors from their median that are the hand's
TO_DEVIATION = 1.5  # median absolute deviation to standard deviation, rounded
LEAST_DEVIATION = 4.0  # Lab units
NEAREST_PX = 1e-2  # two distances in float32 are the same
ROUNDS = 3  # of GrabCut; more change nothing
MOST_PX = 200  # longer side of the window that is cut; it costs some tenths of a second beyond
FEWEST_PX = 24  # longer side of the points' box; a smaller hand has no fingers to cut
# What an outline must fulfil, or the mask's word stands.
AREA_RATIO = (0.4, 1.3)  # of the region's area to that within LIKELY
CORE_SHARE = 0.7  # of the core's pixels that have the hand's color
AROUND_SHARE = 0.7  # of the surroundings that may have it, too: a pocket is like its trousers
KEPT_SHARE = 0.8  # of them that the region holds
LEAK_SHARE = 0.1  # of the region that may lie beyond LEAK
LEAK = 0.11


@dataclass(frozen=True)
class _Zones:
    """A window (h, w) around a hand: head heights from it, and what lies on the forearm's side.

    Args:
        apart: distance to the bones or the palm, 0 inside the palm.
        core: bool, on the bones and inside the palm.
        forearm: bool, nearest to the hand's first point and on the elbow's side of it.
        beside_forearm: distance to the forearm's bone.
        behind: bool, on the elbow's side of the hand's first point.
        other: distance to the bones or the palm of the other hand, inf where it is not seen.
    """

    apart: np.ndarray
    core: np.ndarray
    forearm: np.ndarray
    beside_forearm: np.ndarray
    behind: np.ndarray
    other: np.ndarray


def outline_hand(
    picture: np.ndarray, arm: Arm, other: np.ndarray | None, unit: float
) -> np.ndarray | None:
    """Return where (H,W) bool an arm's hand is; None where points and colors do not agree on it.

    Args:
        picture: (H,W,3) float32 in [0, 1].
        arm: the arm, in pixels of the picture.
        other: (21,2) points of the other hand in pixels; None where it is not seen.
        unit: head height in pixels.
    """
    hand = arm.hand
    if hand is None or np.ptp(hand, axis=0).max() < FEWEST_PX:
        return None
    box = box_around(hand, MARGIN * unit, picture.shape[:2])
    if box is None:
        return None
    zones = _zones(box.places, arm, hand, other, unit)
    colors = np.ascontiguousarray(picture[box.rows, box.columns])
    is_alike = _is_like_core(colors, zones.core)
    if not _is_told_apart(zones, is_alike):
        return None
    is_hand = _cut(colors, _guesses(zones, is_alike))
    is_reached = ~zones.behind | (zones.apart < WRIST)
    region = is_hand & is_reached
    region &= ~zones.forearm
    region &= zones.apart <= zones.other
    region = _touching(region, zones.core)
    if not _is_plausible(region, zones):
        return None
    whole = np.zeros(picture.shape[:2], bool)
    whole[box.rows, box.columns] = region
    return whole


def is_forearm(places: np.ndarray, arm: Arm) -> np.ndarray:
    """(...) bool: which places (...,2) lie behind an arm's hand; its outline says nothing there."""
    hand = arm.hand
    if hand is None:
        return np.ones(places.shape[:-1], bool)
    offset = places - hand[0]
    from_root = np.linalg.norm(offset, axis=-1)
    from_hand = hand_distance(places, hand)
    is_nearest_root = from_root - from_hand < NEAREST_PX
    return is_nearest_root & _is_behind(places, arm, hand)


def _is_behind(places: np.ndarray, arm: Arm, hand: np.ndarray) -> np.ndarray:
    """(...) bool: which places (...,2) lie on the elbow's side of a hand's first point."""
    offset = places - hand[0]
    axis = arm.elbow - hand[0]
    return offset @ axis > 0


def _zones(
    places: np.ndarray, arm: Arm, hand: np.ndarray, other: np.ndarray | None, unit: float
) -> _Zones:
    """Measure the places (h,w,2) of a window around a hand (21,2)."""
    from_bones = hand_distance(places, hand) / unit
    palm = polygon_distance(places, hand[PALM]) / unit
    from_forearm, _ = segment_distance(places, hand[0], arm.elbow)
    from_other = np.full(places.shape[:2], np.inf, np.float32)
    if other is not None:
        from_other = _apart(places, other, unit)
    is_on_bone = from_bones < CORE
    is_in_palm = palm < -PALM_CORE
    return _Zones(
        apart=_apart(places, hand, unit),
        core=is_on_bone | is_in_palm,
        forearm=is_forearm(places, arm),
        beside_forearm=from_forearm / unit,
        behind=_is_behind(places, arm, hand),
        other=from_other,
    )


def _apart(places: np.ndarray, hand: np.ndarray, unit: float) -> np.ndarray:
    """(h,w) head heights of places (h,w,2) from the bones of a hand (21,2), 0 in its palm."""
    from_bones = hand_distance(places, hand) / unit
    palm = polygon_distance(places, hand[PALM]) / unit
    return np.minimum(from_bones, palm.clip(0))


def _is_like_core(colors: np.ndarray, core: np.ndarray) -> np.ndarray:
    """(h,w) bool: which colors (h,w,3) are among those of the core (h,w) bool."""
    if not core.any():
        return core
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2LAB)
    median = np.median(lab[core], 0)
    offset = np.abs(lab - median)
    usual = np.median(offset[core], 0)
    deviation = TO_DEVIATION * usual + LEAST_DEVIATION
    weights = np.array([LIGHT_WEIGHT, 1, 1], np.float32)
    deviations = weights * offset / deviation
    return deviations.max(-1) < FARTHEST_DEVIATIONS


def _is_told_apart(zones: _Zones, is_alike: np.ndarray) -> bool:
    """Whether the core has one color that its surroundings do not have."""
    around = zones.apart > LIKELY
    around &= zones.apart < REACH
    around &= zones.other > LIKELY  # another hand has the same color
    around &= ~zones.forearm
    if not (zones.core.any() and around.any()):
        return False
    share_in_core = float(is_alike[zones.core].mean())
    share_around = float(is_alike[around].mean())
    return share_in_core > CORE_SHARE and share_around < AROUND_SHARE


def _guesses(zones: _Zones, is_alike: np.ndarray) -> np.ndarray:
    """(h,w) uint8: what each pixel is before the cut, in GrabCut's four words."""
    guesses = np.full(is_alike.shape, cv2.GC_BGD, np.uint8)
    guesses[zones.apart < REACH] = cv2.GC_PR_BGD
    guesses[zones.apart < LIKELY] = cv2.GC_PR_FGD
    # a bare forearm has the hand's color, a sleeve has not; both are cut off afterwards
    guesses[zones.forearm] = cv2.GC_PR_BGD
    is_bare = zones.forearm & is_alike
    is_bare &= zones.beside_forearm < FORE_WIDTH
    guesses[is_bare] = cv2.GC_PR_FGD
    # bones may lie beside their fingers: then their color tells
    guesses[zones.core] = cv2.GC_PR_BGD
    is_sure = zones.core & is_alike
    guesses[is_sure] = cv2.GC_FGD
    is_other = zones.other < OTHER_CORE
    is_other &= ~zones.core
    if _are_touching(zones):
        guesses[(zones.other < LIKELY) & (guesses != cv2.GC_FGD)] = cv2.GC_PR_FGD
        guesses[is_other & is_alike] = cv2.GC_FGD
    else:
        guesses[is_other] = cv2.GC_BGD
    return guesses


def _are_touching(zones: _Zones) -> bool:
    """Whether both hands are clasped, or one lies on the other."""
    gap = float((zones.apart + zones.other).min())
    return gap < TOUCHING


def _cut(colors: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """(h,w) bool: the hand among colors (h,w,3)."""
    height, width = guesses.shape
    factor = min(1.0, MOST_PX / max(height, width))
    columns = max(2, round(width * factor))
    rows = max(2, round(height * factor))
    size = (columns, rows)
    levels = (colors * 255).round()
    levels = levels.clip(0, 255).astype(np.uint8)
    small = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(guesses, size, interpolation=cv2.INTER_NEAREST)
    # what may be the hand's must be there; GrabCut fits no colors to nothing
    is_sure = labels == cv2.GC_FGD
    if not is_sure.any():
        return np.zeros(guesses.shape, bool)
    cv2.setRNGSeed(0)  # the first colors are drawn by chance
    behind = np.zeros((1, 65))
    before = np.zeros((1, 65))
    cv2.grabCut(small, labels, None, behind, before, ROUNDS, cv2.GC_INIT_WITH_MASK)
    is_hand = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    share = is_hand.astype(np.float32)
    large = cv2.resize(share, (width, height), interpolation=cv2.INTER_CUBIC)
    return large > 0.5


def _touching(region: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Keep the pieces of a region (h,w) bool that touch the core (h,w) bool."""
    _, pieces = cv2.connectedComponents(region.astype(np.uint8))
    touched = np.unique(pieces[core & region])
    return np.isin(pieces, touched) & region


def _is_plausible(region: np.ndarray, zones: _Zones) -> bool:
    """Whether a region (h,w) bool looks like the hand that the points describe."""
    expected = zones.apart < LIKELY
    expected &= ~zones.forearm
    expected &= zones.apart <= zones.other
    core = zones.core & ~zones.forearm
    core &= zones.apart <= zones.other
    if not core.any():
        return False
    area_px = int(region.sum())
    expected_px = int(expected.sum())
    leaked = region & (zones.apart > LEAK)
    leaked_px = int(leaked.sum())
    low, high = AREA_RATIO
    if not low * expected_px < area_px < high * expected_px:
        return False
    kept = float(region[core].mean())
    return kept > KEPT_SHARE and leaked_px < LEAK_SHARE * area_px
