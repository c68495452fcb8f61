"""Prepared once per reference image: the layers that are moved.

From the bottom: the background without the person, the legs, the body without arms and legs, the
arms in three overlapping pieces each. Every layer is filled from its own pixels only, so that
nothing of one layer shows as a ghost in another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.arm_trust import rests
from pipeline.motion.keypoints import L_HIP, L_SHOULDER, R_HIP, R_SHOULDER
from pipeline.render.warp.alpha import refine_alpha
from pipeline.render.warp.anatomy import Anatomy, Part, locate
from pipeline.render.warp.arms import cut_arm
from pipeline.render.warp.background import fill_background
from pipeline.render.warp.cutout import Cutout, blur, bones_of_hand, grow
from pipeline.render.warp.distances import (
    EDGE,
    head_distance,
    outline_of_points,
    shares_of,
    trunk_distances,
)
from pipeline.render.warp.face import lips_color
from pipeline.render.warp.fill import Fill
from pipeline.render.warp.geometry import (
    Room,
    Skeleton,
    complete,
    grid,
    head_frame,
    head_unit,
    skeleton,
)
from pipeline.render.warp.hand_cut import cut_hands
from pipeline.render.warp.islands import join_islands
from pipeline.render.warp.legs import cut_leg
from pipeline.render.warp.maps import enlarge
from pipeline.render.warp.part_map import cut_parts
from pipeline.render.warp.part_stability import part_stability, upper_arms_shown
from pipeline.render.warp.skinning import Piece
from pipeline.render.warp.tones import nose_features
from pipeline.render.warp.trunk import TrunkShape, complete_trunk

SHAPE_ROWS = 192  # distances to head and torso lie on a grid no higher than this
# picture heights beyond its edges to which a person who is cut off there goes on
ABOVE = 0.12
BELOW = 0.3
# head heights around a limb in which the photo's own pixels are not shown once it moves
SPOT_HEAD_HEIGHTS = 0.06
# picture rows from which on a picture is a photo to show, not a training clip
STABILITY_ROWS = 256
REACH_PX = 2  # half the way between two places of the grid that tells where a layer is drawn
# rows of the right and the left limb
ARM_ROWS = (0, 1)
LEG_ROWS = (2, 3)


@dataclass(frozen=True)
class Limb:
    """An arm or a leg.

    Args:
        row: 0 right arm, 1 left arm, 2 right leg, 3 left leg.
        pieces: its layers from the bottom one up.
        spot: (1, 1, h, w) 1 where the photo shows the limb, 0 away from it.
    """

    row: int
    pieces: tuple[Piece, ...]
    spot: Tensor

    def shrunk(self, factor: float) -> Limb:
        """Return the limb with textures smaller by a factor, area-averaged."""
        pieces = []
        for piece in self.pieces:
            size = [max(1, round(side * factor)) for side in piece.texture.shape[2:]]
            texture = F.interpolate(piece.texture, size, mode="area")
            pieces.append(replace(piece, texture=texture))
        return replace(self, pieces=tuple(pieces))


@dataclass(frozen=True)
class Plates:
    """The layers of B reference images and their geometry; colors are multiplied by their alpha.

    Args:
        image: (B, 3, H, W) the photos.
        background: (B, 4, H, W) color, known.
        body: (B, 5, H', W) color, alpha, known of head and torso.
        limbs: the limbs of each of the B images, legs and arms.
        shares: (B, 2, h, w) of head and torso on a coarse grid.
        near: (B, 2, h, w) how near head and torso are, on a coarse grid.
        lips: (B, 3) color.
        pose: B skeletons.
        unit: (B,) head heights.
        head: (B, 2) centers of the heads.
        up: (B, 2) unit vectors towards the crowns.
        room: picture heights above and below the image that body and shares span as well.
        stability: (B, 2) how far the right and the left arm's part stays the same when points and
            outline are a little off, at most the share of the upper arm that is shown; 1 where no
            mask is known or there is no such arm.
    """

    image: Tensor
    background: Tensor
    body: Tensor
    limbs: tuple[tuple[Limb, ...], ...]
    shares: Tensor
    near: Tensor
    lips: Tensor
    pose: Skeleton
    unit: Tensor
    head: Tensor
    up: Tensor
    room: Room
    stability: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.image.shape[2], self.image.shape[3]

    @cached_property
    def body_reach(self) -> Tensor:
        """(B, 1, H', W') above 0 within REACH_PX of what is not transparent in the body."""
        return F.max_pool2d(self.body[:, 3:4], 2 * REACH_PX + 1, 1, REACH_PX)

    def shrunk(self, size: tuple[int, int]) -> Plates:
        """Return the same layers at a smaller size, area-averaged."""
        tall = (round(size[0] * (1 + sum(self.room))), size[1])
        factor = size[0] / self.size[0]
        limbs = [tuple(limb.shrunk(factor) for limb in person) for person in self.limbs]
        return replace(
            self,
            image=F.interpolate(self.image, size, mode="area"),
            background=F.interpolate(self.background, size, mode="area"),
            body=F.interpolate(self.body, tall, mode="area"),
            limbs=tuple(limbs),
        )


@dataclass(frozen=True)
class _Frame:
    """The grid that head and torso are measured on: rows and columns, room and margins in pixels.

    margins: pixels above and below the picture.
    """

    rows: int
    columns: int
    more: tuple[int, int]
    margins: tuple[int, int]
    room: Room


def plates(
    image: Tensor, body: Tensor, hands: Tensor, face: Tensor, mask: Tensor | None, fill: Fill | None
) -> Plates:
    """Return the layers of reference images.

    Args:
        image: (B, 3, H, W) in [0, 1].
        body: (B, 18, 3) points, fractions and scores.
        hands: (B, 42, 3).
        face: (B, 68, 3).
        mask: (B, 1, H, W) the persons; None takes their outlines from the points.
        fill: how holes are filled with texture; None fills them smoothly.
    """
    size = (image.shape[2], image.shape[3])
    aspect = size[1] / size[0]
    pose = skeleton(body, hands, face, aspect)
    unit = head_unit(pose)
    pose = complete(pose, unit)
    head, up = head_frame(pose, unit)
    frame = _plan_frame(size)
    nodes = grid((frame.rows + sum(frame.more), frame.columns), size, aspect, image, frame.room)
    trunk = _trunk(nodes, pose, unit, head, up)
    inner = grid((frame.rows, frame.columns), size, aspect, image)
    inside = _trunk(inner, pose, unit, head, up)
    near = (1 - (inside - inside.amin(1, keepdim=True).clamp_min(0) - 0.1) / 0.3).clamp(0, 1)
    is_photo = mask is not None and size[0] >= STABILITY_ROWS
    if mask is None:
        mask = _outline(inner, inside, pose, unit, head, size)
    skin = nose_features(image, pose, aspect)
    backgrounds = []
    bodies = []
    limbs = []
    stability = torch.ones(len(image), 2)
    for row in range(len(image)):
        anatomy = locate(pose, unit, head, up, row, size)
        one = slice(row, row + 1)
        cutout = _cut_out(image[row], mask[row, 0], anatomy)
        if is_photo:
            cutout, anatomy, stability[row] = _mend_photo(_colors(image[row]), cutout, anatomy)
        shape = TrunkShape(trunk[one, :1].cpu(), trunk[one, 1:].cpu(), frame.margins)
        person = torch.maximum(mask[one], torch.from_numpy(cutout.alpha).to(mask)[None, None])
        backgrounds.append(fill_background(image[one], person, fill))
        picture = image[one].cpu()
        bodies.append(complete_trunk(cutout, picture, anatomy, shape, skin[one].cpu(), fill))
        limbs.append(_cut_limbs(cutout, anatomy, frame, image.device))
    return Plates(
        image=image,
        background=torch.cat(backgrounds),
        body=torch.cat(bodies).to(image),
        limbs=tuple(limbs),
        shares=shares_of(trunk),
        near=near,
        lips=lips_color(image, pose.face, aspect),
        pose=pose,
        unit=unit,
        head=head,
        up=up,
        room=frame.room,
        stability=stability,
    )


def _trunk(nodes: Tensor, pose: Skeleton, unit: Tensor, head: Tensor, up: Tensor) -> Tensor:
    """Return (B, 2, h, w) distances of nodes (2, h, w) to the references' heads and torsos."""
    to_head = head_distance(nodes[None], head, up, unit)
    return trunk_distances(nodes, pose, unit, to_head)


def _outline(
    nodes: Tensor,
    trunk: Tensor,
    pose: Skeleton,
    unit: Tensor,
    head: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Return (B, 1, H, W) persons without a mask, as their points and trunks show them."""
    nearest = trunk.amin(1, keepdim=True)
    trunk_outline = enlarge((0.5 - nearest / EDGE).clamp(0, 1), size)
    return torch.maximum(trunk_outline, outline_of_points(nodes, pose, unit, head, size))


def _plan_frame(size: tuple[int, int]) -> _Frame:
    """Plan the coarse grid: whole rows beyond the picture, so that it stays as it was inside."""
    height, width = size
    rows = min(height, max(96, min(SHAPE_ROWS, height // 2)))
    columns = max(2, round(width * rows / height))
    more = (round(ABOVE * rows), round(BELOW * rows))
    margins = (round(more[0] * height / rows), round(more[1] * height / rows))
    room = (margins[0] / height, margins[1] / height)
    return _Frame(rows, columns, more, margins, room)


def _cut_out(image: Tensor, mask: Tensor, anatomy: Anatomy) -> Cutout:
    """Cut the person (3, H, W) with a mask (H, W) into parts."""
    picture = _colors(image)
    soft_mask = mask.cpu().float().numpy()
    alpha, color = refine_alpha(picture, soft_mask, anatomy)
    torso = anatomy.body[[R_SHOULDER, L_SHOULDER, L_HIP, R_HIP]]
    shares = join_islands(cut_parts(picture, alpha, anatomy), alpha, torso)
    return Cutout(color, alpha, shares)


def _colors(image: Tensor) -> np.ndarray:
    """Return an image (3, H, W) as (H, W, 3) float32."""
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().float().numpy())


def _mend_photo(
    picture: np.ndarray, cutout: Cutout, anatomy: Anatomy
) -> tuple[Cutout, Anatomy, Tensor]:
    """Cut the hands of a photo (H, W, 3) out, and leave arms that are not to move in the body.

    Also return (2,) the stability of the right and the left arm.
    """
    cutout = cut_hands(picture, cutout, anatomy)
    stability = _arm_stability(picture, cutout, anatomy)
    cutout, anatomy = _without_resting_arms(cutout, anatomy, stability.tolist())
    return cutout, anatomy, stability


def _arm_stability(picture: np.ndarray, cutout: Cutout, anatomy: Anatomy) -> Tensor:
    """Return (2,) the stability of the right and the left arm's part, 1 where there is none.

    It is no higher than the share of the upper arm that the picture shows.
    """
    measured = part_stability(picture, cutout.alpha, anatomy)[: len(anatomy.arms)]
    measured = np.minimum(measured, upper_arms_shown(cutout.shares, anatomy))
    is_cut = [arm is not None for arm in anatomy.arms]
    return torch.from_numpy(np.where(is_cut, measured, 1.0)).float()


def _without_resting_arms(
    cutout: Cutout, anatomy: Anatomy, stability: list[float]
) -> tuple[Cutout, Anatomy]:
    """Leave arms that are not to move in the body, as the photo shows them."""
    shares = cutout.shares.copy()
    arms = list(anatomy.arms)
    for side, arm in enumerate(anatomy.arms):
        if arm is not None and rests(stability[side]):
            parts = slice(arm.first, arm.first + 3)
            shares[Part.TORSO] += shares[parts].sum(0)
            shares[parts] = 0
            arms[side] = None
    right, left = arms
    return replace(cutout, shares=shares), replace(anatomy, arms=(right, left))


def _cut_limbs(
    cutout: Cutout, anatomy: Anatomy, frame: _Frame, device: torch.device
) -> tuple[Limb, ...]:
    """Cut legs and arms into pieces; a leg without a foot goes on below the picture."""
    longer = _prolonged(cutout, frame.margins[1])
    limbs = []
    for side, leg in enumerate(anatomy.legs):
        if leg is None:
            continue
        row = LEG_ROWS[side]
        source = longer if leg.ankle is None else cutout
        pieces = cut_leg(source, leg, anatomy.legs[1 - side], row, anatomy)
        shares = cutout.shares[leg.first : leg.first + 2].sum(0)
        limbs.append(_limb(row, pieces, shares * cutout.alpha, anatomy, frame, device))
    for side, arm in enumerate(anatomy.arms):
        if arm is None:
            continue
        row = ARM_ROWS[side]
        pieces = cut_arm(cutout, arm, row, anatomy)
        shares = cutout.shares[arm.first : arm.first + 3].sum(0)
        visible = shares * cutout.alpha
        if arm.hand is not None:
            visible = np.maximum(visible, bones_of_hand(cutout.size, arm.hand, anatomy.unit))
        limbs.append(_limb(row, pieces, visible, anatomy, frame, device))
    return tuple(limbs)


def _limb(
    row: int,
    pieces: tuple[Piece, ...],
    visible: np.ndarray,
    anatomy: Anatomy,
    frame: _Frame,
    device: torch.device,
) -> Limb:
    """Return a limb on a device; `visible` (H, W) is where the photo shows it."""
    wide = grow(visible > 0.1, max(1, round(SPOT_HEAD_HEIGHTS * anatomy.unit)))
    soft = blur(wide, max(0.5, SPOT_HEAD_HEIGHTS / 2 * anatomy.unit))
    size = (frame.columns, frame.rows)
    spot = cv2.resize(soft, size, interpolation=cv2.INTER_AREA)
    moved = tuple(_on_device(piece, device) for piece in pieces)
    return Limb(row, moved, torch.from_numpy(spot)[None, None].to(device))


def _on_device(piece: Piece, device: torch.device) -> Piece:
    """Return a piece whose tensors lie on a device."""
    tensors = {name: value for name, value in vars(piece).items() if torch.is_tensor(value)}
    return replace(piece, **{name: value.to(device) for name, value in tensors.items()})


def _prolonged(cutout: Cutout, rows: int) -> Cutout:
    """Return the cutout with its last row repeated below it."""
    below = ((0, rows), (0, 0))
    return Cutout(
        np.pad(cutout.color, (*below, (0, 0)), mode="edge"),
        np.pad(cutout.alpha, below, mode="edge"),
        np.pad(cutout.shares, ((0, 0), *below), mode="edge"),
    )
