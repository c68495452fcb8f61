"""Lend pixels of the upper arm to a forearm that points at the camera in the reference.

Such a forearm shows too little of itself to be drawn at length. It borrows where both have the same
colors, as under a sleeve or without one. Below a short sleeve it has the
elbow's skin.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.render.warp.bare_forearm import draw_forearm
from pipeline.render.warp.cutout import Cutout, fill_from
from pipeline.render.warp.part_shapes import segment_distance
from pipeline.render.warp.pieces import PieceMaps
from pipeline.render.warp.tones import features

SHORT = 0.55  # of the upper arm's length in the reference: below it a forearm is foreshortened
LIKE = 0.2  # distance of median colors (`features`) up to which they are one cloth or one skin
# shares of the upper arm from the elbow on: before lies the forearm, beyond the shoulder
LENT = (0.38, 0.85)
# of the upper arm's pixels: a forearm that shows less has no color of its own
HARDLY_SHOWN = 0.08
BANDS = np.linspace(0, 0.9, 13)  # shares of the upper arm from the elbow on
STEP_BANDS = 2  # over which ...
STEP = 0.6  # ... this share of the whole change lies; shading changes evenly
MUCH_NEARER = 0.5  # share of the sleeve's distance to the hand's color (`features`)
# of light in that distance: a palm is pale and lit, an arm below a sleeve is in its shadow
SKIN_WEIGHTS = np.array([0.3, 1, 1])
FEWEST_PIXELS = 12  # of a band, whose median is a color
LENT_HEAD_HEIGHTS = 0.24  # half width of what is lent
SOFT_HEAD_HEIGHTS = 0.06  # width of its edge
UPPER, FORE, HAND = range(3)


@dataclass(frozen=True)
class _Lender:
    """Pixels (H, W) bool of the upper arm that lend, and whether they are skin below a sleeve."""

    pixels: np.ndarray
    is_bare: bool


def lent_pixels(
    window: Cutout,
    owner: np.ndarray,
    own: np.ndarray,
    joints: np.ndarray,
    hand: np.ndarray,
    unit: float,
) -> tuple[PieceMaps, np.ndarray] | None:
    """Return the forearm's maps made of the upper arm, and the borrowed bone (2, 2) in pixels.

    None where the forearm shows enough of itself, or has other colors.

    Args:
        window: the cutout around the arm.
        owner: (H, W) row of the bone that each pixel belongs to.
        own: (H, W) bool, pixels that show the arm alone.
        joints: (3, 2) shoulder, elbow, hand root in pixels.
        hand: (H, W) bool, around the bones of the hand, whose color says nothing of the forearm.
        unit: head height in pixels.
    """
    lender = _lender(window, owner, own, joints, hand)
    if lender is None:
        return None
    shoulder, elbow, _ = joints
    source = elbow + np.array(LENT)[:, None] * (shoulder - elbow)
    if lender.is_bare:
        upper_arm = np.stack([elbow, shoulder])
        shown_hand = own & (owner == HAND)
        maps = draw_forearm(window, lender.pixels, shown_hand, upper_arm, source, unit)
        return maps, source
    distance, _ = segment_distance(window.places(), *source)
    beyond = distance / unit - LENT_HEAD_HEIGHTS
    edge = 0.5 - beyond / SOFT_HEAD_HEIGHTS
    alpha = window.alpha * edge.clip(0, 1)
    ones = np.ones_like(alpha)
    zeros = np.zeros_like(alpha)
    maps = PieceMaps(
        alpha=alpha,
        color=fill_from(window.color, lender.pixels),
        known=ones,
        before=ones,
        after=zeros,
        partner=zeros,
    )
    return maps, source


def _lender(
    window: Cutout, owner: np.ndarray, own: np.ndarray, joints: np.ndarray, hand: np.ndarray
) -> _Lender | None:
    """Return which of the upper arm's pixels lend, None where the forearm needs none.

    The arguments are those of `lent_pixels`.
    """
    shoulder, elbow, hand_root = joints
    upper = own & (owner == UPPER)
    fore = own & (owner == FORE) & ~hand
    upper_length = np.linalg.norm(elbow - shoulder)
    fore_length = np.linalg.norm(hand_root - elbow)
    if fore_length >= SHORT * upper_length or fore.sum() >= upper.sum():
        return None
    bare = _below_sleeve(window, upper, own & (owner == HAND), shoulder, elbow)
    if bare is not None:
        return _Lender(bare, is_bare=True)
    if fore.sum() <= HARDLY_SHOWN * upper.sum():
        return _Lender(upper, is_bare=False)
    upper_color = _median_features(window, upper)
    fore_color = _median_features(window, fore)
    is_alike = np.linalg.norm(upper_color - fore_color) < LIKE
    return _Lender(upper, is_bare=False) if is_alike else None


def _below_sleeve(
    window: Cutout,
    upper: np.ndarray,
    hand: np.ndarray,
    shoulder: np.ndarray,
    elbow: np.ndarray,
) -> np.ndarray | None:
    """Return the bare pixels (H, W) bool of an upper arm, None where no short sleeve ends on it.

    A sleeve ends where the color steps to one that is much nearer to the hand's.

    Args:
        window: the cutout around the arm.
        upper: (H, W) bool, pixels that show the upper arm alone.
        hand: (H, W) bool, pixels that show the hand alone.
        shoulder: (2,) pixels.
        elbow: (2,) pixels.
    """
    _, from_elbow = segment_distance(window.places(), elbow, shoulder)
    bands = _band_features(window, upper, from_elbow)
    if len(bands) <= STEP_BANDS or hand.sum() < FEWEST_PIXELS:
        return None
    third = max(1, len(bands) // 3)
    bare = np.median(bands[:third], 0)
    sleeve = np.median(bands[-third:], 0)
    skin = _median_features(window, hand)
    bare_offset = bare - skin
    sleeve_offset = sleeve - skin
    bare_to_skin = np.linalg.norm(bare_offset * SKIN_WEIGHTS)
    sleeve_to_skin = np.linalg.norm(sleeve_offset * SKIN_WEIGHTS)
    if bare_to_skin >= MUCH_NEARER * sleeve_to_skin:
        return None
    change = bare - sleeve
    along = (bands - sleeve) @ change / (change @ change)
    steps = along[:-STEP_BANDS] - along[STEP_BANDS:]
    if steps.max() < STEP:
        return None
    seen = features(torch.from_numpy(window.color), dim=-1).numpy()
    to_bare = np.linalg.norm(seen - bare, axis=-1)
    to_sleeve = np.linalg.norm(seen - sleeve, axis=-1)
    return upper & (to_bare < to_sleeve)


def _band_features(window: Cutout, upper: np.ndarray, from_elbow: np.ndarray) -> np.ndarray:
    """Return the median features (n, 3) of bands across the upper arm, from the elbow up."""
    found = []
    for first, last in itertools.pairwise(BANDS):
        band = upper & (from_elbow > first) & (from_elbow <= last)
        if band.sum() >= FEWEST_PIXELS:
            found.append(_median_features(window, band))
    return np.array(found)


def _median_features(window: Cutout, region: np.ndarray) -> np.ndarray:
    """Return the features (3,) of a region's median color."""
    median = np.median(window.color[region], 0)
    return features(torch.from_numpy(median), dim=0).numpy()
