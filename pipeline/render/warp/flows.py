"""Where every pixel of head and torso comes from in the reference, and what stands still.

All on a coarse grid (h, w) of metric nodes; N = B T frames, those of one reference image after each
other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import CORE_POINTS, HEAD_POINTS, RIGID_FACE
from pipeline.render.warp.distances import head_distance, shares_of, trunk_distances
from pipeline.render.warp.face import residual
from pipeline.render.warp.face_turn import hold_turn
from pipeline.render.warp.geometry import (
    Room,
    Skeleton,
    affine,
    apply_grid,
    bend,
    grid,
    similarity,
)
from pipeline.render.warp.head_turn import head_turn
from pipeline.render.warp.layers import Plates
from pipeline.render.warp.maps import looked_up, per_frame
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


@dataclass(frozen=True)
class Flow:
    """Maps of one call: metric places in the reference and what is known of them.

    Args:
        nodes: (2, h, w) the grid.
        reference: N skeletons, each frame's reference.
        target: N skeletons, completed.
        unit: (N,) head heights of the references.
        head_ratio: (N,) size of the target's head over the reference's.
        ratio: (N,) the same of the body.
        torso: (N, 2, 3) forward map of the torso, reference to target.
        body: (N, 4, h, w) places above the lips, places below.
        agree: (N, 1, h, w) visibility of the body.
        trunk_motion: (N, 1, h, w) squared shift of head and torso where they are near.
    """

    nodes: Tensor
    reference: Skeleton
    target: Skeleton
    unit: Tensor
    head_ratio: Tensor
    ratio: Tensor
    torso: Tensor
    body: Tensor
    agree: Tensor
    trunk_motion: Tensor


def flow_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the flow grid: a quarter of the picture, but 96 rows if it has them and at most
    192."""
    height, width = size
    rows = min(height, max(96, min(192, height // 4)))
    return rows, max(2, round(width * rows / height))


def in_texture(places: Tensor, aspect: float, room: Room) -> Tensor:
    """Metric places (...,2,h,w) from -1 to 1 in maps that span a reference image and its `room`."""
    tall = 1 + sum(room)
    scale = places.new_tensor([2 / aspect, 2 / tall])
    shift = places.new_tensor([-1, 2 * room[0] / tall - 1])
    return places * scale[:, None, None] + shift[:, None, None]


def flow(layers: Plates, target: Skeleton, size: tuple[int, int], aspect: float) -> Flow:
    """Return the Flow of target frames (N = B T) over the layers of B reference images.

    Args:
        layers: of the reference images.
        target: N skeletons.
        size: (H, W) of the picture to draw.
        aspect: of the reference images.
    """
    frames = len(target.body) // len(layers.image)
    rows = torch.arange(len(layers.image), device=layers.image.device).repeat_interleave(frames)
    reference = layers.pose.frames(rows)
    unit = layers.unit[rows]
    target, _, core_ratio = steady(reference, target, unit)
    head, head_ratio = _head(reference, target, core_ratio)
    turn = head_turn(reference, target, head, head_ratio, unit)
    head, head_ratio = turn.head, turn.ratio
    turn, face_points = hold_turn(turn, reference, target, unit)
    target = replace(target, face=face_points)
    low = head_ratio * SIZE_RANGE[0]
    high = head_ratio * SIZE_RANGE[1]
    ratio = torch.minimum(torch.maximum(core_ratio, low), high)
    nodes = grid(flow_size(size), size, aspect, layers.image)
    torso = _torso(reference, target)
    maps = torch.stack([turn.grid_places(nodes), apply_grid(torso, nodes)], 1)
    apart = head_distance(maps[:, 0], layers.head[rows], layers.up[rows], unit)
    distance = trunk_distances(nodes, target, unit * ratio, apart)
    shares = shares_of(distance)
    body = (shares[:, :, None] * maps).sum(1).repeat(1, 2, 1, 1)
    face = shares_of(distance, FACE_BLEND)[:, :1]
    body = body + residual(turn, reference, target, nodes, unit) * face
    above = in_texture(body[:, :2], aspect, layers.room)
    sampled = looked_up(per_frame(layers.shares, frames), above)
    agree = torch.minimum(sampled, shares).sum(1, keepdim=True)
    low, high = AGREE
    agree = (agree - low) / (high - low)
    agree = agree.clamp(0, 1)
    near = F.interpolate(layers.near, nodes.shape[1:], mode="bilinear", align_corners=True)
    squares = (maps - nodes).square().sum(2)
    motion = (near[rows].square() * squares).amax(1, keepdim=True)
    blended = (body.unflatten(1, (2, 2)) - nodes).square().sum(2).amax(1, keepdim=True)
    inside = near[rows].amax(1, keepdim=True).square()
    motion = torch.maximum(motion, inside * blended)
    return Flow(
        nodes=nodes,
        reference=reference,
        target=target,
        unit=unit,
        head_ratio=head_ratio,
        ratio=ratio,
        torso=inverse(torso),
        body=body,
        agree=agree,
        trunk_motion=motion,
    )


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


def _torso(reference: Skeleton, target: Skeleton) -> Tensor:
    """Return the torso's map (N, 2, 3) from the target to the reference."""
    a = target.body[:, CORE_POINTS]
    b = reference.body[:, CORE_POINTS]
    even = torch.ones_like(a[..., 0])
    linear, _, centers = similarity(a, b, even)
    matrix = affine(linear, centers[:, 0], centers[:, 1])
    return bend(matrix, a, b, even, TORSO_STIFFNESS)


def inverse(matrix: Tensor) -> Tensor:
    """Return the inverse of affine maps (N, 2, 3)."""
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -(linear @ matrix[..., 2:])], -1)


def stillness(motion: Tensor) -> Tensor:
    """Return 1 where squared shifts (picture heights) are 0, falling to 0 over STILL."""
    return torch.exp(-motion / STILL**2)
