"""Cut a leg into two layers, thigh and shin, that lie below the torso and overlap the other leg."""

from __future__ import annotations

import numpy as np

from pipeline.render.warp.anatomy import Anatomy, Leg, Part
from pipeline.render.warp.cutout import (
    LEGS,
    OPAQUE,
    TRUNK,
    Cutout,
    blur,
    box_around,
    fill_from,
    grow,
    ramp,
    segment_distance,
    shrink,
    smooth_within,
    soft_cut,
)
from pipeline.render.warp.pieces import PieceMaps, make_piece
from pipeline.render.warp.skinning import Piece

THIGH, SHIN = range(2)
# half width in head heights and share of the thigh that leg and torso share
ROOT_HEAD_HEIGHTS = 0.34
ROOT_SHARE = 0.35
TRUNK_LAP_PX = 2
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
    mine = cutout.shares[leg.first : leg.first + 2].sum(0)
    box = box_around(mine * cutout.alpha > 0.1, round(WINDOW_MARGIN_HEAD_HEIGHTS * unit) + 4)
    if box is None:
        return ()
    window = cutout.window(box)
    thigh, shin = window.shares[leg.first : leg.first + 2]
    torso = window.shares[Part.TORSO]
    mine = thigh + shin
    theirs = np.zeros_like(mine)
    if other is not None:
        theirs = window.shares[other.first : other.first + 2].sum(0)
    distance, along = segment_distance(window.places(), leg.hip, leg.knee)
    beside = distance < ROOT_HEAD_HEIGHTS * unit
    root = beside & (along < ROOT_SHARE)
    arms = window.shares[Part.R_UPPER_ARM : Part.L_HAND + 1].sum(0)
    # legs go on a little below the trunk: two soft edges side by side would show the background
    legs = soft_cut(grow(window.owners == LEGS, TRUNK_LAP_PX))
    outline = legs * soft_cut(mine >= theirs)
    # the leg that is drawn first goes on below the other one
    seam = legs * _widened(mine >= theirs, unit) if leg.first == Part.R_THIGH else outline
    root &= (window.owners == TRUNK) | (mine >= theirs)
    joined = np.maximum(root * soft_cut(torso + mine), beside & (arms > 0.4))
    layer = window.alpha * np.maximum(np.maximum(outline, seam), joined)
    own = shrink(outline * window.alpha > OPAQUE)
    own |= root & (window.alpha > 0.95) & (arms < 0.1)
    own |= (seam > OPAQUE) & (window.alpha > 0.95)
    color = fill_from(window.color, own)
    inside = window.places()[..., 1] < anatomy.size[0]
    known = (((seam > 0.01) | (own & root)) & inside).astype(np.float32)
    region = layer > 0.3
    hip = _share(mine, torso, region, HIP_SIGMA_HEAD_HEIGHTS * unit)
    knee = np.zeros_like(mine)
    if leg.ankle is not None:
        knee = _share(shin, thigh, region & (mine > 0.3), KNEE_SIGMA_HEAD_HEIGHTS * unit)
    partner = _partner(mine, theirs, window.alpha, along, unit)
    none = np.zeros_like(mine)
    upper = 1 - ramp(knee, 0.75, 0.95)
    maps = [PieceMaps(layer * upper, color, known, hip, knee, partner)]
    if leg.ankle is not None:
        lower = ramp(knee, 0.05, 0.25)
        maps.append(PieceMaps(layer * lower, color, known, knee, none, none))
    made = [
        make_piece(piece, window, anatomy.size[0], limb, bone) for bone, piece in enumerate(maps)
    ]
    return tuple(piece for piece in made if piece is not None)


def _widened(region: np.ndarray, unit: float) -> np.ndarray:
    """Return the outline of a leg's region (H, W) bool widened into the other leg beside it."""
    return soft_cut(grow(region, max(1, round(SEAM_HEAD_HEIGHTS * unit))))


def _share(
    part: np.ndarray, against: np.ndarray, region: np.ndarray, sigma_px: float
) -> np.ndarray:
    """Return the smoothed share (H, W) of a part against another one."""
    both = np.maximum(part + against, 1e-6)
    return smooth_within(part / both, region, sigma_px)


def _partner(
    mine: np.ndarray, theirs: np.ndarray, alpha: np.ndarray, along: np.ndarray, unit: float
) -> np.ndarray:
    """Return how far the thigh goes with the other leg: a skirt hangs from both."""
    share = theirs / np.maximum(theirs + mine, 1e-6)
    smooth = blur(np.where(alpha > 0.5, share, 0), PARTNER_SIGMA_HEAD_HEIGHTS * unit)
    fade = np.clip((1.05 - along) / 0.4, 0, 1) * np.clip(along / 0.15, 0, 1)
    return smooth * fade
