"""Maps between a target pose and the reference pose, part by part: similarities, bones and
distances.

All coordinates are metric: x times the picture's aspect, y as it is, so that 1 is the picture's
height. Maps run backward, from a place in the target picture to one in the reference image. N =
frames, h x w = flow grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.motion.keypoints import (
    BROWS,
    CHIN,
    CORE_POINTS,
    ELBOWS,
    FOREARMS,
    HEAD_POINTS,
    L_EAR,
    L_HIP,
    L_SHOULDER,
    NECK,
    R_EAR,
    R_HIP,
    R_SHOULDER,
    RIGID_FACE,
    SHINS,
    THIGHS,
    UPPER_ARMS,
    WRISTS,
    head_height_from,
)
from pipeline.values import VISIBLE

ARMS = (*UPPER_ARMS, *FOREARMS)  # the right one first
LIMB_RADIUS = (0.24, 0.24, 0.18, 0.18)  # of ARMS, in head heights
AT_EDGE = 0.02  # of the picture: a joint without a score that is nearer to its edge lies beyond it

Room = tuple[float, float]  # picture heights above and below the picture


@dataclass(frozen=True)
class Skeleton:
    """Metric key points: body (N,18,2), hands (N,2,21,2), face (N,68,2) and which of them are seen
    (bool).

    `hands_seen` (N,2): half of a hand or more; `hand_points_seen` (N,2,21): its single points;
    `body_beyond` (N,18): not seen, and put to the picture's edge or beyond.
    """

    body: Tensor
    hands: Tensor
    face: Tensor
    body_seen: Tensor
    hands_seen: Tensor
    face_seen: Tensor
    hand_points_seen: Tensor
    body_beyond: Tensor

    def frames(self, rows: Tensor) -> Skeleton:
        return Skeleton(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def skeleton(body: Tensor, hands: Tensor, face: Tensor, aspect: float) -> Skeleton:
    """The Skeleton of key points (N,K,3), fractions with scores; a hand counts when half of it is
    seen.

    A missing point of a hand lies at the middle of the seen ones: its own place may be anything.
    """
    scale = body.new_tensor([aspect, 1.0])
    hands = hands.unflatten(1, (2, 21))
    known = hands[..., 2:] > VISIBLE
    places = torch.where(known, hands[..., :2] * scale, 0.0)
    middle = places.sum(-2, keepdim=True) / known.sum(-2, keepdim=True).clamp_min(1)
    seen = body[..., 2] > VISIBLE
    body_places = body[..., :2]
    outside = (body_places < AT_EDGE) | (body_places > 1 - AT_EDGE)
    placed = body_places != 0  # files put what is missing into the corner
    return Skeleton(
        body[..., :2] * scale,
        torch.where(known, places, middle),
        face[..., :2] * scale,
        seen,
        known[..., 0].float().mean(-1) > 0.5,
        face[..., 2] > VISIBLE,
        known[..., 0],
        outside.any(-1) & placed.any(-1) & ~seen,
    )


def has_face(pose: Skeleton) -> Tensor:
    """(N,) bool: most of the 68 points are seen."""
    return pose.face_seen.float().mean(-1) > 0.5


def grid(
    size: tuple[int, int],
    full: tuple[int, int],
    aspect: float,
    like: Tensor,
    room: Room = (0.0, 0.0),
) -> Tensor:
    """(2,h,w) metric nodes that span the pixel centres of a `full` picture: affine maps upsample
    exactly.

    `room`: picture heights above and below it that the h rows span as well.
    """
    (h, w), (height, width), (above, below) = size, full, room
    x = (
        torch.linspace(0.5 / width, 1 - 0.5 / width, w, device=like.device, dtype=like.dtype)
        * aspect
    )
    ends = 0.5 / height - above, 1 + below - 0.5 / height
    y = torch.linspace(*ends, h, device=like.device, dtype=like.dtype)
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)])


def apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (N,K,2) under affine maps (N,2,3)."""
    return points @ matrix[..., :2].transpose(-1, -2) + matrix[:, None, :, 2]


def apply_grid(matrix: Tensor, nodes: Tensor) -> Tensor:
    """Nodes (2,h,w) or (N,2,h,w) under affine maps (N,2,3), as (N,2,h,w)."""
    x = nodes[..., 0, :, :]
    y = nodes[..., 1, :, :]
    row = [
        matrix[:, i, 0, None, None] * x
        + matrix[:, i, 1, None, None] * y
        + matrix[:, i, 2, None, None]
        for i in (0, 1)
    ]
    return torch.stack(row, 1)


def affine(linear: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """(N,2,3) map with the given linear part (N,2,2) that takes point `source` (N,2) to `target`
    (N,2)."""
    return torch.cat([linear, (target - (linear @ source[..., None])[..., 0])[..., None]], -1)


def similarity(source: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns linear part (N,2,2), size ratio (N,) and centroids (N,2,2) of the weighted Procrustes
    fit.

    The size is the ratio of the spreads, so the inverse fit is the inverse map. Weights (N,K) may
    be zero.
    """
    w = weight / weight.sum(-1, keepdim=True).clamp_min(1e-6)
    centre = torch.stack([(w[..., None] * p).sum(1) for p in (source, target)], 1)
    a = source - centre[:, 0, None]
    b = target - centre[:, 1, None]
    cos = (w * (a * b).sum(-1)).sum(-1)
    sin = (w * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(-1)
    spread = [(w * p.square().sum(-1)).sum(-1) for p in (a, b)]
    known = torch.minimum(*spread) > 1e-5
    ratio = torch.where(known, ((spread[1] + 1e-12) / (spread[0] + 1e-12)).sqrt(), 1.0)
    length = (cos.square() + sin.square()).sqrt()
    cos, sin = (
        torch.where(known & (length > 1e-9), v / length.clamp_min(1e-9), d)
        for v, d in ((cos, 1.0), (sin, 0.0))
    )
    turn = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))
    return turn * ratio[:, None, None], ratio, centre


def bend(
    matrix: Tensor, source: Tensor, target: Tensor, weight: Tensor, stiffness: float
) -> Tensor:
    """(N,2,3): the map corrected to the affine least-squares fit, held back by `stiffness`."""
    w = (weight / weight.sum(-1, keepdim=True).clamp_min(1e-6))[..., None]
    placed = apply(matrix, source)
    goal = (w * target).sum(1, keepdim=True)
    a = placed - (w * placed).sum(1, keepdim=True)
    b = target - goal
    spread = (w * a).transpose(1, 2) @ a
    ridge = stiffness * spread.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None] + 1e-6
    eye = torch.eye(2, device=a.device, dtype=a.dtype)
    gain = (
        torch.linalg.solve(spread + ridge * eye, (w * a).transpose(1, 2) @ (b - a)).transpose(1, 2)
        + eye
    )
    return affine(gain @ matrix[..., :2], (w * source).sum(1), goal[:, 0])


def head_unit(pose: Skeleton) -> Tensor:
    """Measure the head from chin to crown: (N,), metric. See `keypoints.head_height_from`."""
    brow = pose.face[:, BROWS].mean(1)
    chin = pose.face[:, CHIN]
    shoulders = pose.body[:, R_SHOULDER] - pose.body[:, L_SHOULDER]
    ears = pose.body[:, R_EAR] - pose.body[:, L_EAR]
    seen = pose.body_seen
    return head_height_from(
        face=((brow - chin).norm(dim=-1), has_face(pose)),
        shoulders=(shoulders.norm(dim=-1), seen[:, R_SHOULDER] & seen[:, L_SHOULDER]),
        ears=(ears.norm(dim=-1), seen[:, R_EAR] & seen[:, L_EAR]),
        picture_height=1.0,
        where=torch.where,
    )


def head_frame(pose: Skeleton, unit: Tensor) -> tuple[Tensor, Tensor]:
    """(N,2) centre and (N,2) unit vector towards the crown of the reference's head."""
    brow = pose.face[:, BROWS].mean(1)
    chin = pose.face[:, CHIN]
    up = torch.nn.functional.normalize(brow - chin, dim=-1)
    seen = pose.body_seen[:, HEAD_POINTS, None].to(up.dtype)
    middle = (pose.body[:, HEAD_POINTS] * seen).sum(1) / seen.sum(1).clamp_min(1)
    middle = torch.where(
        seen.sum(1) > 0, middle, pose.body[:, NECK] - unit[:, None] * unit.new_tensor([0, 0.75])
    )
    face = has_face(pose)[:, None]
    up = torch.where(face, up, up.new_tensor([0.0, -1.0]))
    return torch.where(face, chin + up * unit[:, None] * 0.53, middle), up


def complete(pose: Skeleton, unit: Tensor) -> Skeleton:
    """The reference with neck, shoulders and hips that are out of the picture put where they
    usually are."""
    body = pose.body.clone()
    seen = pose.body_seen
    head, _ = head_frame(pose, unit)
    down = unit[:, None] * unit.new_tensor([0.0, 1.0])
    side = unit[:, None] * unit.new_tensor([1.0, 0.0])
    both = (seen[:, R_SHOULDER] & seen[:, L_SHOULDER])[:, None]
    neck = torch.where(both, (body[:, R_SHOULDER] + body[:, L_SHOULDER]) / 2, head + down * 0.85)
    body[:, NECK] = torch.where(seen[:, NECK, None], body[:, NECK], neck)
    for joint, sign in ((R_SHOULDER, -1), (L_SHOULDER, 1)):
        body[:, joint] = torch.where(
            seen[:, joint, None], body[:, joint], body[:, NECK] + sign * 0.8 * side
        )
    for joint, sign in ((R_HIP, -1), (L_HIP, 1)):
        body[:, joint] = torch.where(
            seen[:, joint, None], body[:, joint], body[:, NECK] + sign * 0.5 * side + 2.2 * down
        )
    return Skeleton(body, *(getattr(pose, name) for name in list(pose.__dataclass_fields__)[1:]))


def core_map(reference: Skeleton, target: Skeleton) -> tuple[Tensor, Tensor]:
    """(N,2,3) forward similarity reference -> target of the torso, else of the head; (N,) its size
    ratio."""
    weight = (reference.body_seen & target.body_seen).float()
    face = (reference.face_seen & target.face_seen).float()
    fits = []
    for a, b, w in (
        (reference.body[:, CORE_POINTS], target.body[:, CORE_POINTS], weight[:, CORE_POINTS]),
        (reference.face[:, RIGID_FACE], target.face[:, RIGID_FACE], face[:, RIGID_FACE]),
        (reference.body[:, HEAD_POINTS], target.body[:, HEAD_POINTS], weight[:, HEAD_POINTS]),
    ):
        linear, ratio, centre = similarity(a, b, w)
        fits.append((affine(linear, centre[:, 0], centre[:, 1]), ratio, w.sum(-1)))
    matrix = torch.eye(2, 3, device=weight.device, dtype=linear.dtype).repeat(len(weight), 1, 1)
    ratio = torch.ones_like(fits[0][1])
    for fit, size, seen in reversed(fits):  # the best source last
        use = seen >= 2
        matrix = torch.where(use[:, None, None], fit, matrix)
        ratio = torch.where(use, size, ratio)
    return matrix, ratio


def follow(reference: Skeleton, target: Skeleton, core: Tensor) -> Skeleton:
    """The target with unseen core and leg joints placed where the core's map puts the
    reference's; those of arms stay."""
    both = reference.body_seen & target.body_seen
    both[:, (*ELBOWS, *WRISTS)] = True
    carried = apply(core, reference.body)
    body = torch.where(both[..., None], target.body, carried)
    for thigh, shin in zip(THIGHS, SHINS, strict=True):
        for parent, joint in (thigh, shin):
            hung = body[:, parent] + carried[:, joint] - carried[:, parent]
            body[:, joint] = torch.where(both[:, joint, None], target.body[:, joint], hung)
    return Skeleton(
        body, *(getattr(target, name) for name in list(target.__dataclass_fields__)[1:])
    )


def bone(nodes: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Along and across coordinates (N,h,w) of nodes in a bone's frame, distance to it, its length
    (N,1,1)."""
    axis = end - start
    # a bone without length (points of a hand that are out of the picture) is a point, wherever it
    # looks to
    axis = torch.where(axis.norm(dim=-1, keepdim=True) < 1e-4, axis.new_tensor((1e-4, 0.0)), axis)
    length = axis.norm(dim=-1).clamp_min(1e-4)[:, None, None]
    ux = axis[:, 0, None, None] / length
    uy = axis[:, 1, None, None] / length
    x = nodes[..., 0, :, :] - start[:, 0, None, None]
    y = nodes[..., 1, :, :] - start[:, 1, None, None]
    along = x * ux + y * uy
    across = y * ux - x * uy
    past = along - torch.minimum(along.clamp_min(0), length)
    return along, across, (past.square() + across.square() + 1e-12).sqrt(), length


def polygon(nodes: Tensor, corners: Tensor) -> Tensor:
    """(N,h,w) signed distance to a polygon with corners (N,K,2), negative inside (even-odd
    rule)."""
    x = nodes[..., 0, :, :]
    y = nodes[..., 1, :, :]
    nearest = inside = None
    for k in range(corners.shape[1]):
        (ax, ay), (bx, by) = (corners[:, j, :, None, None].unbind(1) for j in (k, k - 1))
        ex = bx - ax
        ey = by - ay
        px = x - ax
        py = y - ay
        t = ((px * ex + py * ey) / (ex * ex + ey * ey + 1e-9)).clamp(0, 1)
        d = (px - ex * t).square() + (py - ey * t).square()
        crosses = _crosses(px, py, ex, ey, y, ay, by)
        nearest = d if nearest is None else torch.minimum(nearest, d)
        inside = crosses if inside is None else inside ^ crosses
    return (nearest + 1e-12).sqrt() * torch.where(inside, -1.0, 1.0)


def _crosses(
    px: Tensor, py: Tensor, ex: Tensor, ey: Tensor, y: Tensor, ay: Tensor, by: Tensor
) -> Tensor:
    """Whether a ray to the right from each node crosses the edge."""
    slope = torch.where(ey.abs() < 1e-9, 1e-9, ey)
    return ((ay > y) != (by > y)) & (px < py * ex / slope)
