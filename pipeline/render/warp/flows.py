"""Where every pixel of a target picture comes from in the reference: one flow for the body, six for
the arms.

All on a coarse grid (h,w) of metric nodes; N = B T frames, those of one reference image after each
other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import CORE_POINTS, HEAD_POINTS, RIGID_FACE, SHINS, THIGHS
from pipeline.render.warp.face import residual
from pipeline.render.warp.geometry import (
    ARMS,
    Room,
    Skeleton,
    affine,
    apply_grid,
    arm_bones,
    bend,
    bone,
    bone_map,
    grid,
    similarity,
)
from pipeline.render.warp.head_turn import head_turn
from pipeline.render.warp.layers import (
    FAR,
    Plates,
    arms_present,
    body_distances,
    head_distance,
    legs_present,
    shares_of,
)
from pipeline.render.warp.sleeves import Sources
from pipeline.render.warp.steadiness import steady

# picture heights: where nothing moves by more than this the reference's own pixels are shown
STILL = 0.004
# a place is hidden where the part that it comes from is not the part that it goes to
AGREE = (0.25, 0.6)
# head heights over which a face's own moves fade: a wider seam would hold lips and chin
FACE_BLEND = 0.08
TORSO_STIFFNESS = 0.05
# of the body's size ratio around the face's: a body that turns is not smaller
SIZE_RANGE = (0.8, 1.25)
HAND_SIZE = 1.6  # a hand is at most this much larger or smaller than the body's size says
FEW_POINTS = 6  # shared points of a hand below which it turns with its forearm


@dataclass(frozen=True)
class Flow:
    """Maps of one call: metric places in the reference and what is known of them.

    body (N,4,h,w): places above the lips, places below; agree (N,1,h,w) visibility of the body
    there; arms (N,6,2,h,w) places of the arm parts, on (N,6) which of them are in both poses; still
    (N,1,h,w) 1 where nothing near moves; head_ratio, ratio (N,) size of target over reference, of
    the head and of the body.
    """

    nodes: Tensor
    reference: Skeleton
    target: Skeleton
    unit: Tensor
    head_ratio: Tensor
    ratio: Tensor
    body: Tensor
    agree: Tensor
    arms: Tensor
    on: Tensor
    still: Tensor


def flow_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the flow grid: a quarter of the picture, but 96 rows if it has them and at most
    192."""
    height, width = size
    rows = min(height, max(96, min(192, height // 4)))
    return rows, max(2, round(width * rows / height))


def sample(maps: Tensor, places: Tensor, aspect: float, room: Room = (0.0, 0.0)) -> Tensor:
    """(N,C,h,w) maps (B,C,H,W) at metric places (N,2,h,w), N = B T; nothing outside what the maps
    span.

    `room`: picture heights above and below the reference that the maps span as well.
    """
    images, (h, w), tall = len(maps), places.shape[2:], 1 + sum(room)
    scale, shift = places.new_tensor([[2 / aspect, 2 / tall], [-1, 2 * room[0] / tall - 1]])
    where = places.permute(0, 2, 3, 1) * scale + shift
    picked = F.grid_sample(
        maps, where.reshape(images, -1, w, 2), mode="bilinear", align_corners=False
    )
    if len(where) == images:
        return picked
    return picked.unflatten(2, (-1, h)).transpose(1, 2).flatten(0, 1)


def flow(layers: Plates, target: Skeleton, size: tuple[int, int], aspect: float) -> Flow:
    """The Flow of target frames (N = B T) over the layers of B reference images, for a picture of
    `size`."""
    frames = len(target.body) // len(layers.image)
    rows = torch.arange(len(layers.image), device=layers.image.device).repeat_interleave(frames)
    reference = layers.pose.frames(rows)
    unit = layers.unit[rows]
    target, _, core_ratio = steady(reference, target, unit)
    head, head_ratio = _head(reference, target, core_ratio)
    turn = head_turn(reference, target, head, head_ratio, unit)
    head, head_ratio = turn.head, turn.ratio
    low, high = (head_ratio * k for k in SIZE_RANGE)
    ratio = torch.minimum(torch.maximum(core_ratio, low), high)
    nodes = grid(flow_size(size), size, aspect, layers.image)
    maps = torch.stack([turn.grid_places(nodes), *_trunk(reference, target, ratio, nodes)], 1)
    apart = head_distance(maps[:, 0], layers.head[rows], layers.up[rows], unit)
    distance = body_distances(nodes, target, unit * ratio, apart)
    shares = shares_of(distance, legs_present(reference))
    body = (shares[:, :, None] * maps).sum(1).repeat(1, 2, 1, 1)
    face = shares_of(distance, legs_present(reference), FACE_BLEND)[:, :1]
    own_moves = residual(turn, reference, target, nodes, unit) * face
    body = body + own_moves
    agree = torch.minimum(sample(layers.shares, body[:, :2], aspect, layers.room), shares).sum(
        1, keepdim=True
    )
    agree = ((agree - AGREE[0]) / (AGREE[1] - AGREE[0])).clamp(0, 1)
    arms, on = _arms(reference, target, layers.sources.frames(rows), ratio, nodes)
    still = _stillness(layers.near, rows, maps, arms, on, nodes)
    most = own_moves.unflatten(1, (2, 2)).square().sum(2).amax(1, keepdim=True)
    still = still * torch.exp(-most / STILL**2)
    return Flow(nodes, reference, target, unit, head_ratio, ratio, body, agree, arms, on, still)


def _head(reference: Skeleton, target: Skeleton, core_ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Target to reference similarity (N,2,3) of the head and its size ratio (N,): target over
    reference.

    By the face; else by the head's body points, which turn and shift it; else it goes with the
    core.
    """
    both = (reference.body_seen & target.body_seen).to(core_ratio.dtype)
    face = (reference.face_seen & target.face_seen).to(core_ratio.dtype)
    linear, _, centre = similarity(
        target.body[:, CORE_POINTS],
        reference.body[:, CORE_POINTS],
        torch.ones_like(both[:, CORE_POINTS]),
    )
    matrix = affine(linear, centre[:, 0], centre[:, 1])
    ratio = core_ratio
    linear, size, centre = similarity(
        target.body[:, HEAD_POINTS], reference.body[:, HEAD_POINTS], both[:, HEAD_POINTS]
    )
    linear = linear / (size * core_ratio)[:, None, None]
    use = both[:, HEAD_POINTS].sum(-1) >= 2
    matrix = torch.where(use[:, None, None], affine(linear, centre[:, 0], centre[:, 1]), matrix)
    points = (p.face[:, RIGID_FACE] for p in (target, reference))
    linear, size, centre = similarity(*points, face[:, RIGID_FACE])
    use = face.mean(-1) > 0.5
    matrix = torch.where(use[:, None, None], affine(linear, centre[:, 0], centre[:, 1]), matrix)
    return matrix, torch.where(use, 1 / size, ratio)


def _trunk(reference: Skeleton, target: Skeleton, ratio: Tensor, nodes: Tensor) -> list[Tensor]:
    """Places (N,2,h,w) under the maps of the torso, the thighs and the shins."""
    a = target.body[:, CORE_POINTS]
    b = reference.body[:, CORE_POINTS]
    even = torch.ones_like(a[..., 0])
    linear, _, centre = similarity(a, b, even)
    torso = bend(affine(linear, centre[:, 0], centre[:, 1]), a, b, even, TORSO_STIFFNESS)
    legs = [_bone(reference, target, joints, ratio, nodes) for joints in (*THIGHS, *SHINS)]
    return [apply_grid(torso, nodes), *legs]


def _bone(
    reference: Skeleton, target: Skeleton, joints: tuple[int, int], ratio: Tensor, nodes: Tensor
) -> Tensor:
    a, b = joints
    along, across, _, length = bone(nodes, target.body[:, a], target.body[:, b])
    return bone_map(along, across, length, reference.body[:, a], reference.body[:, b], ratio)


def _arms(
    reference: Skeleton, target: Skeleton, sources: Sources, ratio: Tensor, nodes: Tensor
) -> tuple[Tensor, Tensor]:
    """Places (N,6,2,h,w) of the arm parts and which of them are in both poses (N,6).

    A hand without points in one of the poses turns with its forearm.
    """
    maps = []
    for k, ends in enumerate(arm_bones(target).unbind(1)):
        along, across, _, length = bone(nodes, *ends.unbind(1))
        source = sources.bones[:, k].unbind(1)
        width = ratio * sources.width[:, k]
        maps.append(bone_map(along, across, length, *source, width))
    for (elbow, wrist), hand in ((ARMS[2], 1), (ARMS[3], 0)):
        shared = (reference.hand_points_seen & target.hand_points_seen)[:, hand]
        both = (reference.hands_seen & target.hands_seen)[:, hand] & (shared.sum(-1) >= FEW_POINTS)
        a = target.hands[:, hand]
        b = reference.hands[:, hand]
        linear, size, centre = similarity(a, b, shared.to(a.dtype))
        held = (size * ratio).clamp(1 / HAND_SIZE, HAND_SIZE)
        linear = linear * (held / (size * ratio))[:, None, None]
        by_points = affine(linear, centre[:, 0], centre[:, 1])
        ends = (target.body[:, wrist], reference.body[:, wrist])
        turn = _turn(target.body[:, elbow] - ends[0], reference.body[:, elbow] - ends[1])
        by_forearm = affine(turn / ratio[:, None, None], *ends)
        maps.append(apply_grid(torch.where(both[:, None, None], by_points, by_forearm), nodes))
    on = arms_present(reference) & arms_present(target)
    for hand, forearm in (
        (1, 2),
        (0, 3),
    ):  # without both hands' points it takes both forearms to place one
        both = (reference.hands_seen & target.hands_seen)[:, hand]
        on[:, 5 - hand] &= both | on[:, forearm]
    return torch.stack(maps, 1), on


def _turn(source: Tensor, target: Tensor) -> Tensor:
    """(N,2,2) rotation of directions (N,2) onto others."""
    a = F.normalize(source, dim=-1)
    b = F.normalize(target, dim=-1)
    cos = (a * b).sum(-1)
    sin = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))


def _stillness(
    near: Tensor, rows: Tensor, body: Tensor, arms: Tensor, on: Tensor, nodes: Tensor
) -> Tensor:
    """(N,1,h,w) 1 where no part near in the reference moves, falling to 0 over STILL picture
    heights."""
    near = F.interpolate(near, nodes.shape[1:], mode="bilinear", align_corners=True)
    squares = [(maps - nodes).square().sum(2) for maps in (body, arms)]
    squares[1] = torch.where(on[..., None, None], squares[1], FAR)
    most = (near[rows].square() * torch.cat(squares, 1)).amax(1, keepdim=True)
    return torch.exp(-most / STILL**2)
