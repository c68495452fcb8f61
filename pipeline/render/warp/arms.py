"""Cut an arm into three overlapping layers: upper arm, forearm, hand.

Where two of them meet they show the same pixels under the same motion, so that no seam opens at any
angle. What a part in front hides of the part behind it is filled from the latter's own pixels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from pipeline.render.warp.anatomy import Anatomy, Arm, Part
from pipeline.render.warp.cutout import (
    EDGE_SIGMA_PX,
    LEFT_ARM,
    OPAQUE,
    RIGHT_ARM,
    Cutout,
    blur,
    bones_of_hand,
    box_of_region,
    fill_from,
    ramp,
    smooth_within,
    soft_cut,
)
from pipeline.render.warp.part_shapes import segment_distance
from pipeline.render.warp.pieces import PieceMaps, make_piece
from pipeline.render.warp.skinning import Piece
from pipeline.render.warp.sleeves import lent_pixels

UPPER, FORE, HAND = range(3)
GROUP_OF_ARM = {Part.R_UPPER_ARM: RIGHT_ARM, Part.L_UPPER_ARM: LEFT_ARM}
# head heights around the shoulder that arm and torso share
ROOT_HEAD_HEIGHTS = 0.2
# how far from shoulder, elbow and wrist two bones mix: head heights, and shares of the bones
REACH_HEAD_HEIGHTS = (0.6, 0.5, 0.3)
REACH_OF_BONE = 0.5
# head heights over which the shares of two bones are smoothed before they mix
MIX_SIGMA_HEAD_HEIGHTS = 0.06
# half width, in head heights, of what goes on of upper arm and forearm under a part in front
HIDDEN_HEAD_HEIGHTS = (0.15, 0.12)
FEWEST_PIXELS = 50  # of a part that tell its width
ELBOW_HEAD_HEIGHTS = 0.2  # half width of an upper arm whose elbow a forearm hides
WINDOW_MARGIN_HEAD_HEIGHTS = 0.3
# Stretch of a forearm at which a layer is not there, and at which it is. Little longer than in the
# picture it shows its own pixels; what is lent lies below them, whole before they go.
FADE_IN = (1.2, 1.4)
FADE_OUT = (1.6, 1.4)


@dataclass(frozen=True)
class _ArmMaps:
    """Maps (H, W) of an arm in a window around it.

    Args:
        window: the cutout.
        layer: alpha of the whole arm.
        own: bool, pixels that show the arm alone.
        owner: row of the bone that each pixel belongs to.
        root: bool, around the shoulder.
        whole: share of the arm.
        near: (3, H, W) 1 within half the reach of shoulder, elbow, hand root; 0 beyond it.
        toward: (3, H, W) share of the part after each of these joints against the one before.
        joints: (3, 2) pixels.
    """

    window: Cutout
    layer: np.ndarray
    own: np.ndarray
    owner: np.ndarray
    root: np.ndarray
    whole: np.ndarray
    near: np.ndarray
    toward: np.ndarray
    joints: np.ndarray


def cut_arm(cutout: Cutout, arm: Arm, limb: int, anatomy: Anatomy) -> tuple[Piece, ...]:
    """Return an arm's layers from the bottom one up; none where the picture shows nothing of it."""
    rows = slice(arm.first, arm.first + 3)
    visible = cutout.shares[rows].sum(0) * cutout.alpha
    margin = round(WINDOW_MARGIN_HEAD_HEIGHTS * anatomy.unit) + 4
    box = box_of_region(visible > 0.1, margin)
    if box is None:
        return ()
    maps = _maps(cutout.window(box), arm, anatomy)
    hand = _around_hand(maps.window, arm, anatomy.unit)
    lent = lent_pixels(maps.window, maps.owner, maps.own, maps.joints, hand, anatomy.unit)
    height = anatomy.size[0]
    pieces = []
    for bone in (UPPER, FORE, HAND):
        if bone == UPPER and lent is not None:
            made = _whole_upper_arm(maps, anatomy.unit)
        else:
            made = _piece_maps(maps, bone, anatomy.unit)
        own = make_piece(made, maps.window, height, limb, bone)
        if bone == FORE and lent is not None:
            borrowed, source = lent
            other = make_piece(borrowed, maps.window, height, limb, bone, source)
            pieces.append(_fading(other, FADE_IN))
            pieces.append(_fading(own, FADE_OUT))
        else:
            pieces.append(own)
    return tuple(piece for piece in pieces if piece is not None)


def _fading(piece: Piece | None, fade: tuple[float, float]) -> Piece | None:
    """Return a piece that fades with its bone's stretch; None stays None."""
    if piece is None:
        return None
    return replace(piece, fade=fade)


def _around_hand(window: Cutout, arm: Arm, unit: float) -> np.ndarray:
    """Return where (H, W) bool a window shows the bones of the arm's hand."""
    if arm.hand is None:
        return np.zeros(window.size, bool)
    hand = arm.hand - np.array(window.corner)
    return bones_of_hand(window.size, hand, 2 * unit)


def _maps(window: Cutout, arm: Arm, anatomy: Anatomy) -> _ArmMaps:
    unit = anatomy.unit
    alpha = window.alpha
    shares = window.shares[arm.first : arm.first + 3]
    torso = window.shares[Part.TORSO]
    whole = shares.sum(0)
    places = window.places()
    joints = np.stack([arm.shoulder, arm.elbow, arm.hand_root])
    from_shoulder = np.linalg.norm(places - arm.shoulder, axis=-1)
    root = from_shoulder < ROOT_HEAD_HEIGHTS * unit
    outline = window.outline(GROUP_OF_ARM[arm.first])
    shoulder = root * soft_cut(torso + whole)
    layer = alpha * np.maximum(outline, shoulder)
    own = outline * alpha > OPAQUE
    own |= root & (shoulder * alpha > OPAQUE)
    owner = shares.argmax(0)
    owner[root & (torso > whole)] = UPPER
    sigma = MIX_SIGMA_HEAD_HEIGHTS * unit
    toward = []
    region = layer > 0.3
    for before, after in itertools.pairwise((torso, *shares)):
        share = _share_after(before, after, region, sigma)
        toward.append(share)
    return _ArmMaps(
        window=window,
        layer=layer,
        own=own,
        owner=owner,
        root=root,
        whole=whole,
        near=_joint_gates(places, joints, unit),
        toward=np.stack(toward),
        joints=joints,
    )


def _share_after(
    before: np.ndarray, after: np.ndarray, region: np.ndarray, sigma_px: float
) -> np.ndarray:
    """Return the smoothed share (H, W) of the part after a joint against the one before it."""
    both = before + after
    share = after / np.maximum(both, 1e-6)
    return smooth_within(share, region & (both > 0.3), sigma_px)


def _joint_gates(places: np.ndarray, joints: np.ndarray, unit: float) -> np.ndarray:
    """Return (3, H, W): 1 within half the reach of a joint, 0 beyond it."""
    upper = np.linalg.norm(joints[1] - joints[0])
    fore = np.linalg.norm(joints[2] - joints[1])
    bones = (upper, min(upper, fore), fore)
    gates = []
    for joint, bone, most in zip(joints, bones, REACH_HEAD_HEIGHTS, strict=True):
        reach = min(most * unit, REACH_OF_BONE * bone)
        reach = max(reach, 1.0)
        distance = np.linalg.norm(places - joint, axis=-1)
        gate = 2 - 2 * distance / reach
        gates.append(gate.clip(0, 1))
    return np.stack(gates).astype(np.float32)


def _piece_maps(maps: _ArmMaps, bone: int, unit: float) -> PieceMaps:
    """Return what the layer of one bone is made of."""
    none = np.zeros_like(maps.layer)
    after = none
    if bone < HAND:
        after = maps.near[bone + 1] * maps.toward[bone + 1]
    main = blur(maps.owner == bone, EDGE_SIGMA_PX)
    hidden = _hidden(maps, bone, unit)
    # one outline of both: two soft edges side by side would leave a gap
    covers = [blur((maps.owner == bone) | hidden, EDGE_SIGMA_PX)]
    if bone < HAND:
        covers.append(_lap_under_next(maps, bone, after))
    covers.append(_lap_over_previous(maps, bone) if bone > UPPER else maps.root)
    cover = np.maximum.reduce(covers)
    is_neighbor = np.abs(maps.owner - bone) < 2
    shown = maps.own & is_neighbor & ~hidden & (cover > 0.03)
    is_filled = hidden & (main < 0.5)
    return PieceMaps(
        alpha=maps.layer * cover,
        color=_colors(maps, main, shown),
        known=np.where(is_filled, np.float32(0), np.float32(1)),
        before=_share_of_own(maps, bone),
        after=after,
        partner=none,
    )


def _share_of_own(maps: _ArmMaps, bone: int) -> np.ndarray:
    """Return the share (H, W) of a bone against the one before it, 1 away from their joint."""
    return 1 - maps.near[bone] * (1 - maps.toward[bone])


def _colors(maps: _ArmMaps, main: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the photo's colors (H, W, 3) where they are shown, else filled from a part's own."""
    own = maps.own & (main > OPAQUE)
    filled = fill_from(maps.window.color, own)
    return np.where(shown[..., None], maps.window.color, filled)


def _whole_upper_arm(maps: _ArmMaps, unit: float) -> PieceMaps:
    """Return the upper arm down to the elbow, without a forearm that points at the camera."""
    none = np.zeros_like(maps.layer)
    is_upper = maps.owner == UPPER
    main = blur(is_upper, EDGE_SIGMA_PX)
    start, end = maps.joints[:2]
    distance, _ = segment_distance(maps.window.places(), start, end)
    covered = (maps.owner > UPPER) & (maps.whole > 0.5)
    covered &= distance < ELBOW_HEAD_HEIGHTS * unit
    cover = np.maximum(blur(is_upper | covered, EDGE_SIGMA_PX), maps.root)
    return PieceMaps(
        alpha=maps.layer * cover,
        color=_colors(maps, main, maps.own & is_upper),
        # a denoiser that takes what is filled for a hole paints background over it
        known=np.ones_like(none),
        before=_share_of_own(maps, UPPER),
        after=none,
        partner=none,
    )


def _half_width(
    maps: _ArmMaps, bone: int, distance: np.ndarray, along: np.ndarray, unit: float
) -> float:
    """Return how far (pixels) a bone's part reaches to its sides where the photo shows it."""
    usual = HIDDEN_HEAD_HEIGHTS[bone] * unit
    middle = (along > 0.1) & (along < 0.9)
    shown = middle & maps.own & (maps.owner == bone)
    if shown.sum() < FEWEST_PIXELS:
        return usual
    measured = float(np.percentile(distance[shown], 85))
    return float(np.clip(measured, usual / 2, 1.6 * usual))


def _hidden(maps: _ArmMaps, bone: int, unit: float) -> np.ndarray:
    """Return where (H, W) bool a part in front hides this bone's part."""
    if bone == HAND:
        return np.zeros_like(maps.root)
    start = maps.joints[bone]
    end = maps.joints[bone + 1]
    if bone == UPPER:
        start = start + 0.15 * (end - start)
    distance, along = segment_distance(maps.window.places(), start, end)
    under = (maps.owner > bone) & (maps.whole > 0.5)
    width = _half_width(maps, bone, distance, along, unit)
    return under & (along < 0.98) & (distance < width)


def _lap_under_next(maps: _ArmMaps, bone: int, after: np.ndarray) -> np.ndarray:
    """Return how far this piece goes on below the next part, near their joint."""
    next_part = maps.owner == bone + 1
    begins = ramp(after, 0.02, 0.06)
    ends = ramp(after, 0.8, 0.97)
    fade = begins * (1 - ends)
    is_near = ramp(maps.near[bone + 1], 0.85, 1)
    return next_part * is_near * fade


def _lap_over_previous(maps: _ArmMaps, bone: int) -> np.ndarray:
    """Return how far this piece fades in over the previous part, near their joint."""
    previous = maps.owner == bone - 1
    is_near = ramp(maps.near[bone], 0.85, 1)
    fade = ramp(maps.toward[bone], 0.05, 0.3)
    return previous * is_near * fade
