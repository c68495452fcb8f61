"""Where each part of a person is to be expected: signed distances to prior shapes, and seeds.

Distances are in head heights, negative inside a shape. A limb is as wide as the picture shows it
beside its bone. Beyond the reach of all limbs a person is trunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.keypoints import NECK
from pipeline.render.warp.anatomy import Anatomy, Part
from pipeline.render.warp.limb_widths import PERSON, half_widths
from pipeline.render.warp.part_shapes import (
    Bone,
    Box,
    bones_of,
    box_around,
    hand_distance,
    polygon_distance,
    segment_distance,
    trunk_distance,
)

# All lengths are head heights.
HEAD_WIDTH = 0.40  # half width of the head with some hair
HEAD_HEIGHT = 0.56  # half height
HEAD_SEED = 0.8  # share of these axes within which a pixel is the head's
TORSO_PAD = 0.10  # cloth around the polygon of shoulders and hips
TORSO_SEED = -0.25  # signed distance from which on a pixel is the torso's
NECK_RADIUS = 0.16
NECK_AT_LEAST = 0.02  # beside the neck lies hair: the neck is a weak guess
HAND_RADIUS = 0.07  # around the bones of a hand
HAND_REACH = 0.07
HAND_SEED = 0.02
PALM = [0, 1, 5, 9, 13, 17]  # points around the palm
PALM_PAD = 0.03
NOSE = slice(27, 36)  # of the 68 face points
SKIN_WEIGHTS = np.array([0.4, 1, 1], np.float32)  # hands are darker or lighter than faces
SKIN_APART = 0.1  # weighted Lab distance over 100 from the face's skin that a hand may have
SKIN_SHARE = 0.3  # of a hand's pixels whose distance tells how like skin it is
SKIN_FACTOR = 1.6
NOT_TRUNK = 0.05  # the trunk has no seeds nearer to an arm ...
NOT_TRUNK_BY_LEGS = -0.1  # ... or to a leg
BEYOND_HEAD = 0.35  # from the head and beyond all limbs a pixel is the torso's ...
NEAR_TORSO = 1.0  # ... unless the torso is as far as that, or the head is nearer: hair
SEED_SHARE = 0.45  # of a slim limb's half width that its seeds take at most
LEAST_SEED_PX = 0.6  # a figure of a few pixels has seeds, too: what its bones cross
ARM_PARTS = slice(Part.R_UPPER_ARM, Part.R_THIGH)
LEG_PARTS = slice(Part.R_THIGH, None)
LIMB_PARTS = slice(Part.R_UPPER_ARM, None)
UPPER_ARMS = [Part.R_UPPER_ARM, Part.L_UPPER_ARM]
HAND_PARTS = [Part.R_HAND, Part.L_HAND]


@dataclass(frozen=True)
class Priors:
    """What is expected where.

    Args:
        distances: (12,h,w) float32 in head heights, inf where a part cannot be.
        seeds: (12,h,w) bool, pixels that are a part's for sure; at most one part each.
    """

    distances: np.ndarray
    seeds: np.ndarray


def expect(lab: np.ndarray, alpha: np.ndarray, anatomy: Anatomy) -> Priors:
    """Return the Priors of a picture.

    Args:
        lab: (h,w,3) Lab colors over 100.
        alpha: (h,w) float32 in [0, 1].
        anatomy: the person's points in pixels of this picture.
    """
    height, width = alpha.shape
    shape = (len(Part), height, width)
    priors = Priors(np.full(shape, np.inf, np.float32), np.zeros(shape, bool))
    places = Box(slice(0, height), slice(0, width)).places
    _add_head(priors, places, anatomy)
    priors.distances[Part.TORSO] = _torso_distance(places, anatomy)
    for bone in bones_of(anatomy):
        widths = half_widths(lab, alpha, bone, anatomy.unit)
        _add_bone(priors, bone, widths, anatomy.unit)
    for arm in anatomy.arms:
        if arm is not None and arm.hand is not None:
            _add_hand(priors, arm.hand, arm.first + 2, lab, anatomy)
    _settle(priors)
    is_person = alpha > PERSON
    return Priors(priors.distances, priors.seeds & is_person)


def _add_head(priors: Priors, places: np.ndarray, anatomy: Anatomy) -> None:
    """Add the head's ellipse, in place."""
    up = anatomy.up
    side = np.array([-up[1], up[0]], np.float32)
    offset = (places - anatomy.head) / anatomy.unit
    across = offset @ side / HEAD_WIDTH
    along = offset @ up / HEAD_HEIGHT
    ratio = np.hypot(across, along)
    mean_axis = (HEAD_WIDTH + HEAD_HEIGHT) / 2
    priors.distances[Part.HEAD] = (ratio - 1) * mean_axis
    priors.seeds[Part.HEAD] = ratio < HEAD_SEED


def _torso_distance(places: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Distance (h,w) to shoulders, hips and neck."""
    polygon = trunk_distance(places, anatomy)
    apart, _ = segment_distance(places, anatomy.body[NECK], anatomy.head)
    neck = apart / anatomy.unit - NECK_RADIUS
    return np.minimum(polygon - TORSO_PAD, neck.clip(NECK_AT_LEAST))


def _add_bone(priors: Priors, bone: Bone, widths: np.ndarray, unit: float) -> None:
    """Add a limb's bone to its part, in place; `widths` (2,) are its sides' half widths."""
    shape = bone.shape
    reach = float(widths.max()) + shape.reach
    box = box_around(bone.ends, reach * unit, priors.seeds.shape[1:])
    if box is None:
        return
    places = box.places
    pixels, share = segment_distance(places, bone.start, bone.end)
    apart = pixels / unit
    side = _side(places, pixels, bone)
    width = widths[0] + side * (widths[1] - widths[0])
    radius = width * (1 - shape.taper * share)
    seed = _seed_width(shape.seed, float(widths.min()), unit)
    seeds = apart < seed
    seeds &= (share > shape.first) & (share < shape.last)
    _put(priors, bone.part, box, _within(apart - radius, shape.reach), seeds)


def _side(places: np.ndarray, pixels: np.ndarray, bone: Bone) -> np.ndarray:
    """0 for places left of a bone, 1 right of it, between them around its ends."""
    along_x, along_y = bone.direction
    offset = places - bone.start
    across = offset @ np.array([-along_y, along_x], np.float32)
    sine = across / pixels.clip(0.1)
    return (sine.clip(-1, 1) + 1) / 2


def _seed_width(usual: float, half_width: float, unit: float) -> float:
    """Half width of a limb's seeds in head heights."""
    slim = min(usual, SEED_SHARE * half_width)
    return max(slim, LEAST_SEED_PX / unit)


def _within(distance: np.ndarray, reach: float) -> np.ndarray:
    """Distances up to a reach, inf beyond."""
    return np.where(distance > reach, np.inf, distance)


def _add_hand(
    priors: Priors, hand: np.ndarray, part: int, lab: np.ndarray, anatomy: Anatomy
) -> None:
    """Add a hand's points (21,2) to its part, in place."""
    unit = anatomy.unit
    reach = HAND_RADIUS + HAND_REACH
    box = box_around(hand, reach * unit, priors.seeds.shape[1:])
    if box is None:
        return
    places = box.places
    apart = hand_distance(places, hand) / unit
    palm = polygon_distance(places, hand[PALM]) / unit
    distance = np.minimum(apart - HAND_RADIUS, palm - PALM_PAD)
    seed = max(HAND_SEED, LEAST_SEED_PX / unit)
    seeds = (apart < seed) | (palm < -HAND_SEED)
    if anatomy.face_seen:
        window = lab[box.rows, box.columns]
        seeds[seeds] = _is_like_skin(window[seeds], _skin(lab, anatomy))
    _put(priors, part, box, _within(distance, HAND_REACH), seeds)


def _skin(lab: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """(3,) median color on the nose."""
    height, width = lab.shape[:2]
    x, y = np.floor(anatomy.face[NOSE]).astype(int).T
    colors = lab[y.clip(0, height - 1), x.clip(0, width - 1)]
    return np.median(colors, 0)


def _is_like_skin(colors: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(n,) bool: which of a hand's colors are like the face's, if a fair share of them is.

    A hand in a glove is like itself; points on the pocket that hides a hand are not.
    """
    if len(colors) == 0:
        return np.zeros(0, bool)
    apart = np.linalg.norm((colors - skin) * SKIN_WEIGHTS, axis=1)
    best = float(np.quantile(apart, SKIN_SHARE))
    return apart < max(SKIN_APART, SKIN_FACTOR * best)


def _put(priors: Priors, part: int, box: Box, distance: np.ndarray, seeds: np.ndarray) -> None:
    """Join distances and seeds of a box with what a part has there, in place."""
    old = priors.distances[part, box.rows, box.columns]
    np.minimum(old, distance, out=old, casting="same_kind")
    priors.seeds[part, box.rows, box.columns] |= seeds


def _settle(priors: Priors) -> None:
    """Give the trunk its seeds, and every pixel one part's at most, in place.

    Hands lie above all else, other limbs above the trunk; what two limbs claim is open.
    """
    distances = priors.distances
    seeds = priors.seeds
    by_arm = (distances[ARM_PARTS] < NOT_TRUNK).any(0)
    by_leg = (distances[LEG_PARTS] < NOT_TRUNK_BY_LEGS).any(0)
    torso = distances[Part.TORSO]
    by_limb = np.isfinite(distances[LIMB_PARTS]).any(0)
    head = distances[Part.HEAD]
    beyond = (head > BEYOND_HEAD) & (torso < np.minimum(head, NEAR_TORSO))
    seeds[Part.TORSO] = (torso < TORSO_SEED) & ~by_arm & ~by_leg
    seeds[Part.TORSO] |= beyond & ~by_limb
    seeds[Part.HEAD] &= ~by_arm
    seeds[Part.TORSO] &= ~seeds[Part.HEAD]
    others = [part for part in Part if part not in HAND_PARTS]
    seeds[others] &= ~seeds[HAND_PARTS].any(0)
    # an upper arm behind a hand says nothing where fingers may be
    by_hand = np.isfinite(distances[HAND_PARTS]).any(0)
    seeds[UPPER_ARMS] &= ~by_hand
    seeds &= seeds.sum(0) < 2
