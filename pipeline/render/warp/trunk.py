"""The completed body without its arms and legs: head and torso, with what the arms hide.

Its outline behind an arm is guessed from the outline beside it and from the torso's points; its
color is filled, with texture where cloth is. Above the picture a cut-off head goes on to its crown,
below it the torso goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.anatomy import Anatomy, Part
from pipeline.render.warp.crown import crown
from pipeline.render.warp.cutout import (
    OPAQUE,
    TRUNK,
    Cutout,
    blur,
    bones_of_hand,
    box_of_region,
    grow,
    planes,
    shrink,
)
from pipeline.render.warp.fill import Fill
from pipeline.render.warp.hidden_outline import outline_beside
from pipeline.render.warp.maps import blurred, crisp, enlarge, extended, grown, push_pull
from pipeline.render.warp.tones import features

ARM_SHARE = 0.4  # share of an arm from which on a place is taken to be hidden by it
# picture heights over which the outline that an arm hides is smoothed
SMOOTH_PICTURE_HEIGHTS = 0.01
# share from which on a place behind an arm is the body's
HIDDEN = 0.45
# of the guess by the outline beside the arm; the rest is by the torso's points
GUESS_SHARE = 0.6
# how far the edge's colors count beyond the picture, so that each column goes on in its own
HINT = 0.05
# outlines that the picture shows tell of one that an arm hides
FARTHEST_OUTLINE = 0.3  # head heights from the points' shape; what is farther is a skirt or hair
OUTLINE_SIGMA = 0.35  # head heights
OFFSET_ROWS = 128  # of the grid on which they are averaged
FEW_OUTLINE = 0.002  # share of that grid's pixels near by that counts as much as the points
SKIN_APART = 0.08  # distance of `features` from the nose's color up to which a trunk is bare
BESIDE_PICTURE_HEIGHTS = 0.01  # around what is filled
# share of the pixels there from which on their color is the cloth's: nobody dressed of 7 photos has
# over .2, a coat of that color .7
MOST_SKIN = 0.4
HEAD_ROOM = 0.06  # head heights around the head that take no part in filling the body
FAR = 1e3  # distance of a part that is not there


@dataclass(frozen=True)
class TrunkShape:
    """Distances (1, 1, h, w) in head heights to head and torso, on a grid that spans the margins.

    Args:
        head: negative inside the head.
        torso: negative inside the torso.
        margins: pixels above and below the picture.
    """

    head: Tensor
    torso: Tensor
    margins: tuple[int, int]


def complete_trunk(
    cutout: Cutout,
    picture: Tensor,
    anatomy: Anatomy,
    shape: TrunkShape,
    skin: Tensor,
    fill: Fill | None,
) -> Tensor:
    """Return the layer of head and torso (1, 5, H', W): color times alpha, alpha, known.

    Args:
        cutout: the person.
        picture: (1, 3, H, W) the photo.
        anatomy: the person's points.
        shape: distances to head and torso.
        skin: (1, 3) `features` of the skin, NaN where it is not known.
        fill: how holes are filled with texture; None fills them smoothly.
    """
    height = cutout.size[0]
    margins = shape.margins
    top = margins[0]
    visible, hole = _visible_and_hole(cutout, anatomy)
    free = visible * (1 - hole)
    size = (height + sum(margins), cutout.size[1])
    both = torch.cat([shape.head, shape.torso], 1)
    distances = enlarge(both, size)
    head, torso = distances.split(1, 1)
    nearest = distances[0, :, top : top + height].amin(0).numpy()
    offset = _outline_offset(cutout.alpha, visible, hole, nearest, anatomy.unit)
    under = _hidden_outline(visible, hole, nearest - offset)
    outline = planes(free) + under * planes(hole)
    alpha = extended(outline, margins)
    color = extended(planes(cutout.color), margins)
    image = extended(picture, margins)
    free_alpha = extended(planes(free), margins)
    seen = F.pad(torch.ones_like(outline), (0, 0, *margins))
    alone = shrink(free > OPAQUE).astype(np.float32)
    weight = extended(planes(alone), margins)
    hint = HINT * weight * (1 - seen)
    smooth = push_pull(color, weight * seen + hint)
    is_head = torch.where(head < torso, head, FAR)
    above, alpha[:, :, :top] = crown(image, is_head, free_alpha, skin, top)
    if fill is not None:  # a face must not be copied, nor hair be filled with cloth
        clothed = (head > HEAD_ROOM) & (head > torso)
        known = (weight * seen > 0.5) & clothed
        needed = (alpha > 0) & clothed
        known &= ~_bare_skin(color, known, needed, skin)
        smooth = _filled(fill, color, known, needed, smooth)
    is_own = (free_alpha > OPAQUE) & (seen > 0)
    smooth = torch.where(is_own, image, smooth)
    smooth = torch.cat([above, smooth[:, :, top:]], 2)
    is_known = (free_alpha > 0.5) * seen
    return torch.cat([smooth * alpha, alpha, is_known * alpha], 1)


def _bare_skin(color: Tensor, known: Tensor, needed: Tensor, skin: Tensor) -> Tensor:
    """Return where (1, 1, H, W) a trunk shows skin that is not to be copied to its cloth.

    None where skin, or cloth of its color, lies around most of what is to be filled.

    Args:
        color: (1, 3, H, W) of the trunk.
        known: (1, 1, H, W) bool, where it is seen.
        needed: (1, 1, H, W) bool, where it is filled or seen.
        skin: (1, 3) `features` of the skin; NaN, like nothing, where it is not known.
    """
    offset = features(color) - skin[:, :, None, None]
    distance = offset.norm(dim=1, keepdim=True)
    bare = known & (distance < SKIN_APART)
    hidden = needed & ~known
    radius = max(1, round(BESIDE_PICTURE_HEIGHTS * color.shape[2]))
    beside = grown(hidden.to(color.dtype), radius) > 0
    beside &= known
    is_like_skin = (bare & beside).sum() > MOST_SKIN * beside.sum()
    return bare & ~is_like_skin


def _filled(fill: Fill, color: Tensor, known: Tensor, needed: Tensor, smooth: Tensor) -> Tensor:
    """Return `smooth` (1, 3, H, W) with the hole filled from what is known.

    The fill sees the body alone: in a small person a grid over the whole picture has too few cells.
    """
    box = box_of_region((known | needed)[0, 0].numpy(), 2)
    if box is None:
        return smooth
    top, bottom, left, right = box
    window = (slice(top, bottom), slice(left, right))
    is_known = known[0, 0][window]
    is_needed = needed[0, 0][window]
    within = (0, slice(None), *window)
    filled = fill(color[within], is_known, is_needed, smooth[within])
    is_new = is_needed & ~is_known
    result = smooth.clone()
    result[within] = torch.where(is_new, filled, result[within])
    return result


def _visible_and_hole(cutout: Cutout, anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Return the trunk's visible alpha (H, W), and where arms make a hole in it."""
    arms = cutout.shares[Part.R_UPPER_ARM : Part.L_HAND + 1].sum(0)
    visible = cutout.alpha * cutout.outline(TRUNK)
    radius = max(1, round(cutout.size[0] / 400))
    hole = grow(arms, radius) > ARM_SHARE
    hole |= _near_fingers(cutout.size, anatomy)
    # shares go on outside the person; what arms hide does not
    hole &= grow(cutout.alpha > 0.05, radius)
    return visible, blur(hole, 0.7)


def _near_fingers(size: tuple[int, int], anatomy: Anatomy) -> np.ndarray:
    """Return where (H, W) bool hands that are cut out have their bones."""
    near = np.zeros(size, bool)
    for arm in anatomy.arms:
        if arm is not None and arm.hand is not None:
            near |= bones_of_hand(size, arm.hand, anatomy.unit)
    return near


def _outline_offset(
    alpha: np.ndarray, visible: np.ndarray, hole: np.ndarray, distance: np.ndarray, unit: float
) -> np.ndarray:
    """Return how far (H, W), in head heights, the body's outline lies outside its points' shape.

    Beside the arms the picture shows it: a waist is slimmer, a coat wider than shoulders and hips.

    Args:
        alpha: (H, W) of the person.
        visible: (H, W) alpha of the body where nothing hides it.
        hole: (H, W) share of what hides it.
        distance: (H, W) head heights to the shape, negative inside.
        unit: head height in pixels.
    """
    height, width = alpha.shape
    is_free = hole < 0.05
    is_behind = alpha < 0.1
    is_behind &= is_free
    outline = visible > 0.5
    outline &= is_free
    outline &= grow(is_behind, 2)
    outline &= np.abs(distance) < FARTHEST_OUTLINE
    factor = OFFSET_ROWS / height
    columns = max(2, round(width * factor))
    size = (columns, OFFSET_ROWS)
    sigma_px = OUTLINE_SIGMA * unit * factor
    weights = cv2.resize(outline.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(outline * distance, size, interpolation=cv2.INTER_AREA)
    near = blur(weights, sigma_px)
    total = blur(weighted, sigma_px)
    offset = total / (near + FEW_OUTLINE)
    return cv2.resize(offset, (width, height), interpolation=cv2.INTER_LINEAR)


def _hidden_outline(visible: np.ndarray, hole: np.ndarray, distance: np.ndarray) -> Tensor:
    """Return the body's outline (1, 1, H, W) in the hole, as sharp as a mask's.

    It is the harmonic function between the trunk (1) and all else (0) beside the hole, drawn
    towards the torso's points, from which it is `distance` (H, W) head heights away.
    """
    height = len(visible)
    by_points = 0.5 - planes(distance) / 0.1
    by_points = by_points.clamp(0, 1)
    beside = planes(outline_beside(visible, hole))
    beside = blurred(beside, round(SMOOTH_PICTURE_HEIGHTS * height))
    mixed = GUESS_SHARE * beside + (1 - GUESS_SHARE) * by_points
    return crisp(mixed, HIDDEN, height)
