"""Cut a leg into two layers, thigh and shin, that lie below the torso and overlap the other leg."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.render.warp.anatomy import Anatomy, Leg, Part
from pipeline.render.warp.cutout import (
    LEGS,
    OPAQUE,
    TRUNK,
    Cutout,
    blur,
    box_of_region,
    fill_from,
    grow,
    ramp,
    shrink,
    smooth_within,
    soft_cut,
)
from pipeline.render.warp.hidden_outline import outline_beside
from pipeline.render.warp.part_shapes import segment_distance
from pipeline.render.warp.pieces import PieceMaps, make_piece
from pipeline.render.warp.skinning import Piece

# half width in head heights and share of the thigh that leg and torso share
ROOT_HEAD_HEIGHTS = 0.34
ROOT_SHARE = 0.35
TRUNK_LAP_PX = 2
ARM_SHARE = 0.4  # share of an arm from which on a place is taken to be hidden by it
FRINGE_PX = 2  # around it, where colors mix
# head heights by which the two legs overlap at their seam
SEAM_HEAD_HEIGHTS = 0.05
# head heights over which the motions of torso, thigh, shin and of both legs mix
HIP_SIGMA_HEAD_HEIGHTS = 0.14
KNEE_SIGMA_HEAD_HEIGHTS = 0.1
PARTNER_SIGMA_HEAD_HEIGHTS = 0.12
WINDOW_MARGIN_HEAD_HEIGHTS = 0.4


def cut_leg(
    cutout: Cutout, leg: Leg, other: Leg | None, limb: int, anatomy: Anatomy
) -> tuple[Piece, ...]:
    """Return a leg's layers, thigh first; none where the picture shows nothing of it.

    Args:
        cutout: the person.
        leg: the leg.
        other: the other leg, if it is cut out, too.
        limb: its row among the limbs.
        anatomy: the person's points.
    """
    unit = anatomy.unit
    visible = _share_of_leg(cutout, leg) * cutout.alpha
    margin = round(WINDOW_MARGIN_HEAD_HEIGHTS * unit) + 4
    box = box_of_region(visible > 0.1, margin)
    if box is None:
        return ()
    maps = _maps(cutout.window(box), leg, other, anatomy)
    parts = [_thigh(maps, unit)]
    if leg.ankle is not None:
        parts.append(_shin(maps))
    pieces = []
    for bone, part in enumerate(parts):
        piece = make_piece(part, maps.window, anatomy.size[0], limb, bone)
        if piece is not None:
            pieces.append(piece)
    return tuple(pieces)


@dataclass(frozen=True)
class _LegMaps:
    """Maps (H, W) of a leg in a window around it.

    Args:
        window: the cutout.
        mine: share of the leg.
        theirs: share of the other leg.
        along: where along the thigh, 0 to 1.
        layer: alpha of the whole leg.
        color: (H, W, 3).
        known: 1 where the color is the photo's own.
        hip: share of the leg against the torso.
        knee: share of the shin against the thigh; 0 without a foot.
    """

    window: Cutout
    mine: np.ndarray
    theirs: np.ndarray
    along: np.ndarray
    layer: np.ndarray
    color: np.ndarray
    known: np.ndarray
    hip: np.ndarray
    knee: np.ndarray


def _share_of_leg(cutout: Cutout, leg: Leg) -> np.ndarray:
    """Return the share (H, W) of thigh and shin together."""
    return cutout.shares[leg.first : leg.first + 2].sum(0)


def _maps(window: Cutout, leg: Leg, other: Leg | None, anatomy: Anatomy) -> _LegMaps:
    unit = anatomy.unit
    alpha = window.alpha
    thigh, shin = window.shares[leg.first : leg.first + 2]
    torso = window.shares[Part.TORSO]
    arms = window.shares[Part.R_UPPER_ARM : Part.L_HAND + 1].sum(0)
    mine = thigh + shin
    theirs = np.zeros_like(mine) if other is None else _share_of_leg(window, other)
    is_mine = mine >= theirs
    places = window.places()
    distance, along = segment_distance(places, leg.hip, leg.knee)
    beside = distance < ROOT_HEAD_HEIGHTS * unit
    root = beside & (along < ROOT_SHARE)
    root &= is_mine | (window.owners == TRUNK)
    # legs go on a little below the trunk: two soft edges side by side would show the background
    is_leg = window.owners == LEGS
    under_trunk = grow(is_leg, TRUNK_LAP_PX) & (window.owners == TRUNK)
    legs = soft_cut(is_leg | under_trunk)
    outline = legs * soft_cut(is_mine)
    seam = outline
    if leg.first == Part.R_THIGH:
        # the leg that is drawn first goes on below the other one
        seam = legs * _widened(is_mine, unit)
    joined = root * soft_cut(torso + mine)
    hidden = grow(arms > ARM_SHARE, FRINGE_PX)
    joined = np.maximum(joined, beside * _behind_arms(window, hidden))
    layer = np.maximum(np.maximum(outline, seam), joined)
    layer = alpha * layer
    own = shrink(outline * alpha > OPAQUE)
    own |= root & (alpha > 0.95) & (arms < 0.1)
    own |= (seam > OPAQUE) & (alpha > 0.95)
    own &= ~hidden  # the edge of a hand has some of its color
    inside = places[..., 1] < anatomy.size[0]
    known = inside & ((seam > 0.01) | (own & root))
    region = layer > 0.3
    hip = _share(mine, torso, region, HIP_SIGMA_HEAD_HEIGHTS * unit)
    knee = np.zeros_like(mine)
    if leg.ankle is not None:
        knee = _share(shin, thigh, region & (mine > 0.3), KNEE_SIGMA_HEAD_HEIGHTS * unit)
    return _LegMaps(
        window=window,
        mine=mine,
        theirs=theirs,
        along=along,
        layer=layer,
        color=fill_from(window.color, own),
        known=known.astype(np.float32),
        hip=hip,
        knee=knee,
    )


def _behind_arms(window: Cutout, hidden: np.ndarray) -> np.ndarray:
    """Return how far (H, W) the body goes on behind arms (H, W) bool that hide it."""
    body = (window.owners == LEGS) | (window.owners == TRUNK)
    visible = window.alpha * (body & ~hidden)
    hole = hidden & (window.alpha > 0.05)
    if not hole.any():
        return np.zeros_like(window.alpha)
    guessed = outline_beside(visible, hole) > 0.5
    return hole * soft_cut(guessed)


def _thigh(maps: _LegMaps, unit: float) -> PieceMaps:
    """Return what the thigh is made of; it ends in the upper half of the knee's mixture."""
    cover = 1 - ramp(maps.knee, 0.75, 0.95)
    return PieceMaps(
        alpha=maps.layer * cover,
        color=maps.color,
        known=maps.known,
        before=maps.hip,
        after=maps.knee,
        partner=_partner(maps, unit),
    )


def _shin(maps: _LegMaps) -> PieceMaps:
    """Return what the shin is made of; it begins in the lower half of the knee's mixture."""
    cover = ramp(maps.knee, 0.05, 0.25)
    none = np.zeros_like(maps.layer)
    return PieceMaps(
        alpha=maps.layer * cover,
        color=maps.color,
        known=maps.known,
        before=maps.knee,
        after=none,
        partner=none,
    )


def _widened(region: np.ndarray, unit: float) -> np.ndarray:
    """Return the outline of a leg's region (H, W) bool widened into the other leg beside it."""
    return soft_cut(grow(region, max(1, round(SEAM_HEAD_HEIGHTS * unit))))


def _share(
    part: np.ndarray, against: np.ndarray, region: np.ndarray, sigma_px: float
) -> np.ndarray:
    """Return the smoothed share (H, W) of a part against another one."""
    both = np.maximum(part + against, 1e-6)
    return smooth_within(part / both, region, sigma_px)


def _partner(maps: _LegMaps, unit: float) -> np.ndarray:
    """Return how far the thigh goes with the other leg: a skirt hangs from both."""
    both = np.maximum(maps.theirs + maps.mine, 1e-6)
    share = np.where(maps.window.alpha > 0.5, maps.theirs / both, 0)
    smooth = blur(share, PARTNER_SIGMA_HEAD_HEIGHTS * unit)
    below_hip = np.clip(maps.along / 0.15, 0, 1)
    above_knee = np.clip((1.05 - maps.along) / 0.4, 0, 1)
    return smooth * above_knee * below_hip
