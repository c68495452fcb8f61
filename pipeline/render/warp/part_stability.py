"""How far an arm or a leg of a part map depends on points and outline that may be a little off.

A limb that is cut out much the same when its points move by a fiftieth of a head and the outline
by two pixels is one that the picture shows; else it must not be moved far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Anatomy, Arm, Leg, Part
from pipeline.render.warp.part_map import INSIDE, shrunk, walk
from pipeline.render.warp.part_shapes import scaled

ROWS = 128  # of the picture that is cut
POINT_NOISE = 0.02  # head heights, standard deviation
OUTLINE_NOISE_PX = 2  # of the full picture
JITTERS = 4
BONE_SHARES = np.linspace(0.25, 0.9, 40)  # of an upper arm: between shoulder and elbow
ARM_PARTS = 3
LEG_PARTS = 2


def part_stability(
    picture: np.ndarray, alpha: np.ndarray, anatomy: Anatomy, seed: int = 0
) -> np.ndarray:
    """Return (4,) in [0, 1] for right arm, left arm, right leg, left leg; 0 where there is none.

    The mean intersection over union of the limb with itself under jittered points and outlines.

    Args:
        picture: (H,W,3) float32 in [0, 1].
        alpha: (H,W) float32 in [0, 1].
        anatomy: the person's points in pixels of the picture.
        seed: of the jitter.
    """
    rng = np.random.default_rng(seed)
    regions = _limbs(picture, alpha, anatomy)
    overlaps = [
        _overlap(regions, _limbs(picture, outline, points))
        for outline, points in _jittered(alpha, anatomy, rng)
    ]
    return np.mean(overlaps, axis=0)


def _limbs(picture: np.ndarray, alpha: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """(4,h,w) bool: where the limbs are, on a small picture."""
    small, small_alpha = shrunk(picture, alpha, ROWS)
    size = (small.shape[0], small.shape[1])
    shares = walk(small, small_alpha, scaled(anatomy, size))
    counts = (
        (Part.R_UPPER_ARM, ARM_PARTS),
        (Part.L_UPPER_ARM, ARM_PARTS),
        (Part.R_THIGH, LEG_PARTS),
        (Part.L_THIGH, LEG_PARTS),
    )
    limbs = np.stack([shares[first : first + count].sum(0) for first, count in counts])
    return (limbs > 0.5) & (small_alpha > INSIDE)


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(4,) intersection over union of regions (4,h,w); 0 where both are empty."""
    common = (first & second).sum((1, 2))
    either = (first | second).sum((1, 2))
    return common / np.maximum(either, 1)


def _jittered(
    alpha: np.ndarray, anatomy: Anatomy, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, Anatomy]]:
    """Yield JITTERS outlines, wider and narrower in turn, with moved points."""
    side = 2 * OUTLINE_NOISE_PX + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    outlines = (cv2.dilate(alpha, disk), cv2.erode(alpha, disk))
    for number in range(JITTERS):
        yield outlines[number % 2], _moved(anatomy, rng)


def _moved(anatomy: Anatomy, rng: np.random.Generator) -> Anatomy:
    """Return the anatomy with every joint moved, a hand as a whole."""
    noise = POINT_NOISE * anatomy.unit

    def moved(point: np.ndarray) -> np.ndarray:
        return point + rng.normal(0, noise, 2).astype(np.float32)

    def moved_arm(arm: Arm | None) -> Arm | None:
        if arm is None:
            return None
        hand = None if arm.hand is None else moved(arm.hand)
        shoulder = moved(arm.shoulder)
        return replace(
            arm, shoulder=shoulder, elbow=moved(arm.elbow), wrist=moved(arm.wrist), hand=hand
        )

    def moved_leg(leg: Leg | None) -> Leg | None:
        if leg is None:
            return None
        ankle = None if leg.ankle is None else moved(leg.ankle)
        return replace(leg, hip=moved(leg.hip), knee=moved(leg.knee), ankle=ankle)

    right_arm, left_arm = anatomy.arms
    right_leg, left_leg = anatomy.legs
    return replace(
        anatomy,
        head=moved(anatomy.head),
        arms=(moved_arm(right_arm), moved_arm(left_arm)),
        legs=(moved_leg(right_leg), moved_leg(left_leg)),
    )


def upper_arms_shown(shares: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Return (2,) how much of the right and the left upper arm's bone shows that arm's own part.

    The rest of it lies behind a hand, a thing that is held, or the body; 1 where there is no arm.

    Args:
        shares: (12,H,W) of the parts.
        anatomy: the person's points in pixels of the picture.
    """
    parts = shares.argmax(0)
    height, width = parts.shape
    shown = []
    for arm in anatomy.arms:
        if arm is None:
            shown.append(1.0)
            continue
        places = arm.shoulder + BONE_SHARES[:, None] * (arm.elbow - arm.shoulder)
        x, y = np.floor(places).astype(int).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        if not inside.any():
            shown.append(1.0)
            continue
        found = parts[y[inside], x[inside]] == arm.first
        shown.append(float(found.mean()))
    return np.array(shown)
