"""A bare forearm that points at the camera in the reference, drawn at length from the arm's skin.

The picture shows hardly more of such a forearm than its end. Across the arm its colors are those
of the bare upper arm at the same share of its width, so that the light falls on both alike; along
it they turn into the hand's.
"""

from __future__ import annotations

import numpy as np

from pipeline.render.warp.cutout import Cutout
from pipeline.render.warp.part_shapes import SHORTEST_PX, direction, segment_distance
from pipeline.render.warp.pieces import PieceMaps
from pipeline.render.warp.skinning import LENT_WIDTH

# Half widths in head heights.
ELBOW_HEAD_HEIGHTS = (0.12, 0.21)  # least and most; the bare upper arm tells
WRIST_SHARE = 0.66  # of the elbow's
EDGE_HEAD_HEIGHTS = 0.02  # over which the outline is soft
WIDTH_QUANTILE = 0.9  # of the skin's distances from the bone, that are within half a width
STRIPS = 9  # across the arm, each with one color
FEWEST_PIXELS = 6  # of a strip


def draw_forearm(
    window: Cutout,
    skin: np.ndarray,
    hand: np.ndarray,
    upper_arm: np.ndarray,
    source: np.ndarray,
    unit: float,
) -> PieceMaps:
    """Return the maps of a forearm along a borrowed bone.

    Args:
        window: the cutout around the arm.
        skin: (H, W) bool, bare pixels of the upper arm; some at least.
        hand: (H, W) bool, the hand's pixels.
        upper_arm: (2, 2) elbow and shoulder in pixels.
        source: (2, 2) pixels where elbow and wrist of the forearm lie.
        unit: head height in pixels.
    """
    places = window.places()
    offset = _offset(places, upper_arm)
    skin_offset = offset[skin]
    skin_distance = np.abs(skin_offset)
    skin_width = float(np.quantile(skin_distance, WIDTH_QUANTILE))
    low, high = ELBOW_HEAD_HEIGHTS
    elbow_width = float(np.clip(skin_width, low * unit, high * unit))
    distance, along = segment_distance(places, *source)
    taper = 1 - along * (1 - WRIST_SHARE)
    half_width = elbow_width * taper / LENT_WIDTH  # what is lent gets slimmer as it is drawn
    edge_px = EDGE_HEAD_HEIGHTS * unit
    alpha = 0.5 + (half_width - distance) / edge_px
    skin_color = window.color[skin]
    skin_across = skin_offset / max(skin_width, SHORTEST_PX)
    strips = _strip_colors(skin_color, skin_across)
    across = _offset(places, source) / half_width
    color = _across(strips, across)
    if hand.any():
        hand_color = np.median(window.color[hand], 0)
        step = hand_color - np.median(skin_color, 0)
        color = color + along[..., None] * step
    alpha = alpha.clip(0, 1)
    color = color.clip(0, 1)
    ones = np.ones(window.size, np.float32)
    zeros = np.zeros_like(ones)
    return PieceMaps(
        alpha=alpha.astype(np.float32),
        color=color.astype(np.float32),
        known=ones,
        before=ones,
        after=zeros,
        partner=zeros,
    )


def _offset(places: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """(H, W) signed distance of places (H, W, 2) from a bone's line (2, 2), in pixels."""
    start, end = bone
    x, y = direction(start, end)
    side = np.array([-y, x])
    return (places - start) @ side


def _strip_colors(colors: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(STRIPS, 3) median colors (n, 3) at places across the arm (n,), -1 to 1.

    A strip that shows too little has the colors of its neighbors.
    """
    edges = np.linspace(-1, 1, STRIPS + 1)
    index = np.digitize(across, edges[1:-1])
    found = np.full((STRIPS, 3), np.nan)
    for strip in range(STRIPS):
        inside = index == strip
        if inside.sum() >= FEWEST_PIXELS:
            found[strip] = np.median(colors[inside], 0)
    is_known = np.isfinite(found[:, 0])
    if not is_known.any():
        found[:] = np.median(colors, 0)
        return found
    rows = np.arange(STRIPS)
    known = rows[is_known]
    filled = []
    for channel in found.T:
        filled.append(np.interp(rows, known, channel[is_known]))
    return np.stack(filled, -1)


def _across(strips: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(H, W, 3) colors of strips (STRIPS, 3) at places across the arm (H, W)."""
    edges = np.linspace(-1, 1, STRIPS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    channels = []
    for channel in strips.T:
        channels.append(np.interp(across, middles, channel))
    return np.stack(channels, -1)
