"""How wide a limb is in the picture: a bare arm is slim, a sleeve is wide, its sides may differ."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.render.warp.part_shapes import Bone

SECTIONS = 7  # across a bone at which its width is measured
FIRST_SHARE = 0.25  # of the bone, where the first section is
LAST_SHARE = 0.85
FEWEST_SECTIONS = 3  # that must show an end for the width to count
STEPS_PER_RADIUS = 12
WIDEST = 2.2  # usual radii up to which a limb's end is looked for
SLIMMEST = 0.5  # usual radii that a limb has at least
PERSON = 0.5  # alpha from which on a pixel is the person's
UNLIKE = 0.1  # Lab distance (over 100) from all colors on the bone that ends a limb ...
SPREAD_FACTOR = 2.0  # ... or so many times the spread of these colors


def half_widths(lab: np.ndarray, alpha: np.ndarray, bone: Bone, unit: float) -> np.ndarray:
    """(2,) half widths of a limb left and right of its bone, head heights, as the picture shows.

    At sections across the bone each side is followed until the person ends, or until a color comes
    that is nowhere on the bone. Where most sections show no end the usual width counts.
    """
    radius = bone.shape.radius
    usual = np.array([radius, radius], np.float32)
    places, steps = _sections(bone, unit)
    colors = _sample(lab, places)
    is_person = _sample(alpha, places) > PERSON
    on_bone = is_person[0, :, 0]
    own = colors[0, on_bone, 0]
    if len(own) < FEWEST_SECTIONS:
        return usual
    has_ended = ~is_person | _is_unlike(colors, own)
    has_ended[..., 0] = False
    found = [_width(side, steps, radius) for side in has_ended]
    return np.array(found, np.float32)


def _sections(bone: Bone, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """(2,SECTIONS,K,2) places left and right of a bone, (K,) steps (head heights) away from it."""
    along_x, along_y = bone.direction
    normal = np.array([along_y, -along_x], np.float32)
    shares = np.linspace(FIRST_SHARE, LAST_SHARE, SECTIONS, dtype=np.float32)
    middles = bone.start + np.outer(shares, bone.end - bone.start)
    count = round(WIDEST * STEPS_PER_RADIUS)
    widest = WIDEST * bone.shape.radius
    steps = np.linspace(0, widest, count, dtype=np.float32)
    away = np.outer(steps * unit, normal)
    sides = np.stack([away, -away])
    return middles[:, None] + sides[:, None], steps


def _sample(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values (h,w[,c]) at places (...,2) of pixel centers, the nearest at the borders."""
    flat = places.reshape(-1, 1, 2)
    found = cv2.remap(
        values,
        (flat - 0.5).astype(np.float32),
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    channels = values.shape[2:]
    return found.reshape(*places.shape[:-1], *channels)


def _is_unlike(colors: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Whether colors (...,3) are far from all of a limb's own (k,3)."""
    center = np.median(own, 0)
    spread = float(np.median(np.linalg.norm(own - center, axis=1)))
    limit = max(UNLIKE, SPREAD_FACTOR * spread)
    offsets = colors[..., None, :] - own
    nearest = np.linalg.norm(offsets, axis=-1).min(-1)
    return nearest > limit


def _width(has_ended: np.ndarray, steps: np.ndarray, radius: float) -> float:
    """Half width of one side from where its sections (s,K) have ended."""
    found = has_ended.any(1)
    if found.sum() < FEWEST_SECTIONS:
        return radius
    first = has_ended[found].argmax(1)
    width = float(np.median(steps[first]))
    return min(max(width, SLIMMEST * radius), WIDEST * radius)
