"""Signed distances in head heights to a person's parts on a coarse grid, negative inside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import (
    FOREARMS,
    HAND_EDGES,
    L_HIP,
    NECK,
    R_HIP,
    SHINS,
    SHOULDERS,
    THIGHS,
    UPPER_ARMS,
)
from pipeline.render.warp.geometry import Skeleton, bone, polygon
from pipeline.render.warp.maps import enlarge

HEAD_AXES = (0.44, 0.60)  # half width and half height of the head with some hair, in head heights
TORSO_PAD = 0.14
BLEND = 0.18  # head heights over which head and torso share a place
# radii in head heights of parts whose outline is known from points alone
NECK_RADIUS = 0.24
UPPER_ARM_RADIUS = 0.24
FOREARM_RADIUS = 0.18
THIGH_RADIUS = 0.34
SHIN_RADIUS = 0.24
HAND_RADIUS = 0.065
FIST_RADIUS = 0.18
FIST_LENGTH = 0.5  # head heights by which a hand without points goes on from the wrist
EDGE = 0.06  # width of an outline's edge, in head heights
FAR = 1e3  # distance of a part that is not there


def trunk_distances(nodes: Tensor, pose: Skeleton, unit: Tensor, head: Tensor) -> Tensor:
    """Return (N, 2, h, w) distances to head (given) and torso."""
    corners = pose.body[:, (*SHOULDERS, L_HIP, R_HIP)]
    scale = unit[:, None, None]
    torso = polygon(nodes, corners) / scale - TORSO_PAD
    return torch.stack([head, torso], 1)


def head_distance(places: Tensor, center: Tensor, up: Tensor, unit: Tensor) -> Tensor:
    """Return (N, h, w) distances of reference places (N, 2, h, w) to the reference's head."""
    offsets = places - center[:, :, None, None]
    x, y = offsets.unbind(1)
    up_x = up[:, 0, None, None]
    up_y = up[:, 1, None, None]
    scale = unit[:, None, None]
    half_width, half_height = HEAD_AXES
    to_side = x * up_y - y * up_x
    to_crown = x * up_x + y * up_y
    across = to_side / scale / half_width
    along = to_crown / scale / half_height
    square = across.square() + along.square()
    radius = (square + 1e-9).sqrt()
    return (radius - 1) * sum(HEAD_AXES) / 2


def shares_of(distances: Tensor, blend: float = BLEND) -> Tensor:
    """Return (N, K, h, w) how much each part counts at a place; `blend` in head heights."""
    return torch.softmax(-distances / blend, 1)


def outline_of_points(
    nodes: Tensor, pose: Skeleton, unit: Tensor, head: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return (B, 1, H, W) persons as their key points show them, where no mask is known.

    Args:
        nodes: (2, h, w) metric places.
        pose: B completed skeletons.
        unit: (B,) head heights.
        head: (B, 2) centers of the heads.
        size: (H, W) in pixels.
    """
    parts = [_neck(nodes, pose, unit, head)]
    radii = (UPPER_ARM_RADIUS, FOREARM_RADIUS, THIGH_RADIUS, SHIN_RADIUS)
    limbs = (UPPER_ARMS, FOREARMS, THIGHS, SHINS)
    for bones, radius in zip(limbs, radii, strict=True):
        for joints in bones:
            parts.append(_limb(nodes, pose, unit, joints, radius))
    for forearm, hand in zip(FOREARMS, (1, 0), strict=True):
        parts.append(_hand(nodes, pose, unit, forearm, hand))
    distances = torch.stack(parts, 1)
    nearest = distances.amin(1, keepdim=True)
    outline = 0.5 - nearest / EDGE
    return enlarge(outline.clamp(0, 1), size)


def _neck(nodes: Tensor, pose: Skeleton, unit: Tensor, head: Tensor) -> Tensor:
    neck = pose.body[:, NECK]
    return _bone_distance(nodes, neck, head, unit) - NECK_RADIUS


def _bone_distance(nodes: Tensor, start: Tensor, end: Tensor, unit: Tensor) -> Tensor:
    """Return (N, h, w) distances of nodes to bones from start (N, 2) to end, in head heights."""
    _, _, distance, _ = bone(nodes, start, end)
    return distance / unit[:, None, None]


def _limb(
    nodes: Tensor, pose: Skeleton, unit: Tensor, joints: tuple[int, int], radius: float
) -> Tensor:
    """Return the distance to a bone, FAR where one of its joints is not seen."""
    start, end = joints
    distance = _bone_distance(nodes, pose.body[:, start], pose.body[:, end], unit)
    is_seen = _both_seen(pose, start, end)
    return torch.where(is_seen, distance - radius, FAR)


def _both_seen(pose: Skeleton, start: int, end: int) -> Tensor:
    """Return (N, 1, 1) bool whether both joints of a bone are seen."""
    seen = pose.body_seen[:, start] & pose.body_seen[:, end]
    return seen[:, None, None]


def _hand(
    nodes: Tensor, pose: Skeleton, unit: Tensor, forearm: tuple[int, int], hand: int
) -> Tensor:
    """Return the distance to a hand's bones; to a fist at the wrist where they are not seen."""
    elbow, wrist = forearm
    points = pose.hands[:, hand]
    fingers = []
    for a, b in HAND_EDGES:
        fingers.append(_bone_distance(nodes, points[:, a], points[:, b], unit))
    nearest = torch.stack(fingers, 1).amin(1)
    start = pose.body[:, wrist]
    axis = F.normalize(start - pose.body[:, elbow], dim=-1)
    tip = start + FIST_LENGTH * unit[:, None] * axis
    fist = _bone_distance(nodes, start, tip, unit) - FIST_RADIUS
    fist = torch.where(_both_seen(pose, elbow, wrist), fist, FAR)
    is_seen = pose.hands_seen[:, hand, None, None]
    return torch.where(is_seen, nearest - HAND_RADIUS, fist)
