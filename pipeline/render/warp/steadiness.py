"""What moves only within the detector's own noise stands still.

A detector finds a resting person a little elsewhere in every picture. A warp that follows it shifts
and blurs pixels that should be the photo's own. Each part's displacement d from the reference is
therefore shrunk by the noise n of its points:

    d' = d max(0, 1 - (n / |d|)^2)

Within n nothing moves. The result is continuous and monotone, and a gesture of several n keeps all
but n^2 / d of its way. The levels of noise are in head heights, so that they hold at every size of
a person. Lips, lids and jaw speak: of their motion only the head's as a whole is shrunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.motion.keypoints import (
    BROWS,
    CORE_POINTS,
    ELBOWS,
    HEAD_POINTS,
    HIPS,
    KNEES,
    L_ARM,
    LEG_POINTS,
    NECK,
    NOSTRILS,
    R_ARM,
    RIGID_FACE,
)
from pipeline.render.warp.geometry import (
    Skeleton,
    affine,
    apply,
    core_map,
    follow,
    has_face,
    similarity,
)

# Noise in head heights, as swept on five clips with gestures or dance and three of talking heads
# (PSNR of the warp alone). Half or twice of a level costs at most .15 dB of their means.
HEAD = 0.005  # twice as much holds heads that sway
FEATURE = 0.005  # ends of the jaw, brows and nose, within the head
TORSO = 0.01  # neck and shoulders
BUST = 0.05  # the same in a close picture: nothing below them tells where they are
FEW_BELOW = 2  # of hips and elbows that both show: below it the picture is a bust
HIP = 0.05
LOOSE_HIP = 0.3  # a hip without its knee: below it the picture ends, and detectors guess
ARM = 0.03  # elbow and wrist
HAND = 0.03
LEG = 0.06  # cloth hides knees and ankles
# What a neck can do before a torso that nobody sees must follow the head
NECK_WAY = 0.05  # head heights
NECK_TURN = 0.3  # radians
NECK_SIZE = 0.1  # of the head's size
# A place is unmoved from this stillness on: its way is less than .0006 picture heights
UNMOVED = 0.98

FEATURES = (0, 1, 2, 14, 15, 16, *range(BROWS.start, NOSTRILS.stop))


def share_beyond(distance: Tensor, noise: Tensor | float) -> Tensor:
    """Return the share of a displacement that is more than noise; both of one unit and shape."""
    share_of_noise = noise / distance.clamp_min(1e-9)
    share = 1 - share_of_noise.square()
    return share.clamp_min(0)


def unmoved_share(still: Tensor) -> Tensor:
    """Return where (any shape) the photo itself is shown, from the shares that keep still."""
    moved = (1 - still) / (1 - UNMOVED)
    return (1 - moved).clamp(0, 1)


def steady(reference: Skeleton, target: Skeleton, unit: Tensor) -> tuple[Skeleton, Tensor, Tensor]:
    """Take the detector's noise off the target, then place the joints that it does not show.

    Args:
        reference: N frames, completed.
        target: N frames as detected.
        unit: (N,) head heights of the reference, metric.

    Returns:
        The target with its core and legs placed; the torso's forward map (N,2,3), reference to
        target; the torso's size ratio (N,), target over reference.
    """
    target = _steady_head(reference, target, unit)
    target = _steady_trunk(reference, target, unit)
    for joints, hand in ((R_ARM, 1), (L_ARM, 0)):
        target = _steady_arm(reference, target, unit, list(joints[1:]), hand)
    forward, ratio = _torso(reference, target, unit)
    return follow(reference, target, forward), forward, ratio


def _beyond(reference: Tensor, target: Tensor, noise: Tensor) -> Tensor:
    """Shrink the ways of points (N,K,2) by the noise (N,K) or (N,1), metric."""
    way = target - reference
    length = way.norm(dim=-1)
    share = share_beyond(length, noise)
    return reference + share[..., None] * way


def _steady_head(reference: Skeleton, target: Skeleton, unit: Tensor) -> Skeleton:
    """Shrink the head's motion as a whole, and within it that of jaw ends, brows and nose.

    A head that moves also turns: then the ways of its features are motion, and they are free.
    """
    moved, way = _head_motion(reference, target)
    back = _inverse(moved)
    share = share_beyond(way, HEAD * unit)
    still = torch.eye(2, 3, device=unit.device, dtype=unit.dtype)
    calmed = still + share[:, None, None] * (moved - still)
    face = apply(back, target.face)
    calm = reference.face[:, FEATURES]
    held = unit * (1 - share)
    noise = FEATURE * held[:, None]
    face[:, FEATURES] = _beyond(calm, face[:, FEATURES], noise)
    face = apply(calmed, face)
    points = apply(back, target.body[:, HEAD_POINTS])
    body = target.body.clone()
    body[:, HEAD_POINTS] = apply(calmed, points)
    faced = _faced(reference, target)[:, None, None]
    face = torch.where(faced, face, target.face)
    return replace(target, body=body, face=face)


def _faced(reference: Skeleton, target: Skeleton) -> Tensor:
    """Return (N,) bool: both show a face."""
    return has_face(reference) & has_face(target)


def _head_motion(reference: Skeleton, target: Skeleton) -> tuple[Tensor, Tensor]:
    """Fit the similarity (N,2,3) from reference to target, and measure its mean way (N,), metric.

    By the face where both show it, else by the head's body points.
    """
    seen = reference.face_seen & target.face_seen
    face, face_way = _fit(reference.face, target.face, seen, RIGID_FACE)
    seen = reference.body_seen & target.body_seen
    body, body_way = _fit(reference.body, target.body, seen, HEAD_POINTS)
    faced = _faced(reference, target)
    matrix = torch.where(faced[:, None, None], face, body)
    way = torch.where(faced, face_way, body_way)
    return matrix, way


def _fit(
    source: Tensor, target: Tensor, seen: Tensor, points: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Fit a similarity (N,2,3) to some of the points (N,K,2), and measure its mean way (N,).

    The mean is the root of the mean square. `seen` (N,K) tells which points count.
    """
    source = source[:, points]
    target = target[:, points]
    weight = seen[:, points].to(source.dtype)
    linear, _, center = similarity(source, target, weight)
    matrix = affine(linear, center[:, 0], center[:, 1])
    way = apply(matrix, source) - source
    square = way.square().sum(-1)
    total = (square * weight).sum(1)
    count = weight.sum(1).clamp_min(1)
    mean = total / count
    return matrix, mean.sqrt()


def _inverse(matrix: Tensor) -> Tensor:
    """Invert similarities (N,2,3)."""
    linear = matrix[..., :2]
    shift = matrix[..., 2:]
    square = linear.square().sum((-1, -2), keepdim=True)
    size_square = square / 2
    back = linear.transpose(-1, -2) / size_square
    return torch.cat([back, -back @ shift], -1)


def _steady_trunk(reference: Skeleton, target: Skeleton, unit: Tensor) -> Skeleton:
    """Shrink the way of each point of torso and legs."""
    seen = reference.body_seen & target.body_seen
    noise = torch.zeros_like(target.body[..., 0])
    noise[:, LEG_POINTS] = LEG
    few = seen[:, (*HIPS, *ELBOWS)].sum(-1, keepdim=True) < FEW_BELOW
    noise[:, CORE_POINTS] = torch.where(few, BUST, TORSO)
    for hip, knee in zip(HIPS, KNEES, strict=True):
        noise[:, hip] = torch.where(seen[:, knee], HIP, LOOSE_HIP)
    noise = noise * unit[:, None]
    body = _beyond(reference.body, target.body, noise)
    return replace(target, body=body)


def _steady_arm(
    reference: Skeleton, target: Skeleton, unit: Tensor, joints: list[int], hand: int
) -> Skeleton:
    """Shrink the ways of elbow, wrist and hand by one share: a hand that gestures moves its arm."""
    body_way = (target.body - reference.body)[:, joints]
    hand_way = (target.hands - reference.hands)[:, hand]
    both = reference.body_seen & target.body_seen
    joint_lengths = body_way.norm(dim=-1) * both[:, joints]
    both = reference.hand_points_seen & target.hand_points_seen
    points = both[:, hand]
    total = (hand_way.norm(dim=-1) * points).sum(1)
    count = points.sum(1).clamp_min(1)
    shown = (reference.hands_seen & target.hands_seen)[:, hand]
    hand_length = total / count * shown
    joint_length = joint_lengths.amax(1)
    most = torch.maximum(joint_length / ARM, hand_length / HAND)
    share = share_beyond(most, unit)[:, None, None]
    body = target.body.clone()
    body[:, joints] = reference.body[:, joints] + share * body_way
    hands = target.hands.clone()
    calmed = reference.hands[:, hand] + share * hand_way
    shown = shown[:, None, None]
    hands[:, hand] = torch.where(shown, calmed, target.hands[:, hand])
    return replace(target, body=body, hands=hands)


def _torso(reference: Skeleton, target: Skeleton, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the torso's forward map (N,2,3) and size ratio (N,).

    A torso that nobody sees stays where it is while a neck can do what the head does.
    """
    forward, ratio = core_map(reference, target)
    both = reference.body_seen & target.body_seen
    seen = both[:, CORE_POINTS].sum(-1) >= 2
    neck = reference.body[:, NECK]
    placed = apply(forward, neck[:, None])
    placed = _beyond(neck[:, None], placed, NECK_WAY * unit[:, None])
    turn = torch.atan2(forward[:, 1, 0], forward[:, 0, 0])
    turn = turn * share_beyond(turn.abs(), NECK_TURN)
    growth = ratio.log()
    growth = growth * share_beyond(growth.abs(), NECK_SIZE)
    size = growth.exp()
    cos = turn.cos() * size
    sin = turn.sin() * size
    rows = torch.stack([cos, -sin, sin, cos], -1)
    linear = rows.unflatten(-1, (2, 2))
    free = affine(linear, neck, placed[:, 0])
    forward = torch.where(seen[:, None, None], forward, free)
    return forward, torch.where(seen, ratio, size)
