"""From identities and degrees of freedom to points in the picture: kinematics, face, hands.

All points are in picture heights (x from the left border, y from the top). Rows N are frames of
people.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.data.presenters.degrees_of_freedom import Dofs
from pipeline.training.data.presenters.face_shape import canonical_face
from pipeline.training.data.presenters.identity import Identities

_CROWN_TO_SHOULDERS_HEAD_HEIGHTS = 1.34
_STANCE_HEAD_HEIGHTS = 0.1  # the ankles stand that much farther apart than the hip joints
_PIVOT = (0.0, 0.30, -0.12)  # the head turns about it; head heights from its middle, z forward
_PIVOT_HEAD_HEIGHTS = 0.49  # of the pivot above the shoulder line
_EAR = (0.35, 0.06, -0.21)  # head heights from the middle of the head, image right
_HIDDEN_EAR_DEG = 25.0  # yaw from which the far ear is behind the cheek

_ROOT_JOINTS = ((0, 1.0, 5), (1, -1.0, 2))  # side, its sign along image x, shoulder in OpenPose
_LEG_AFTER_ARM = 6  # the hip's number less that of the same side's shoulder


@dataclass(frozen=True)
class _Finger:
    """One finger in hand lengths; across is positive towards the thumb."""

    base_across: float
    base_along: float
    spread_rad: float
    bones: tuple[float, float, float]


_FINGERS = (
    _Finger(0.13, 0.10, 0.75, (0.19, 0.16, 0.13)),
    _Finger(0.13, 0.46, 0.18, (0.21, 0.13, 0.11)),
    _Finger(0.04, 0.48, 0.03, (0.23, 0.15, 0.12)),
    _Finger(-0.05, 0.46, -0.10, (0.21, 0.14, 0.11)),
    _Finger(-0.13, 0.41, -0.24, (0.17, 0.10, 0.10)),
)


@dataclass
class Figure:
    """Points and axes of N frames."""

    body: Tensor  # (N, 18, 2)
    hands: Tensor  # (N, 2, 21, 2)
    face: Tensor  # (N, 68, 3), the depth in head heights
    head: Tensor  # (N,) head height
    center: Tensor  # (N, 2) middle of the head
    rotation: Tensor  # (N, 3, 3) of the head
    down: Tensor  # (N, 2) unit vector from the neck to the hips
    across: Tensor  # (N, 2) unit vector to the image right
    hips: Tensor  # (N, 2) middle of the hips
    far_ear: Tensor  # (N, 2) 1 where the ear (image left, right) is hidden


@dataclass
class _Trunk:
    """What arms, legs and head are attached to; see `Figure`."""

    hips: Tensor
    neck: Tensor
    down: Tensor
    across: Tensor
    width: Tensor  # (N,) picture heights per head height across the trunk, shortened by its twist


def place_figure(people: Identities, dofs: Dofs, aspect: float) -> Figure:
    """Compute the points of flat rows (N people, N frames); `aspect` is picture width / height."""
    trunk = _place_trunk(people, dofs, aspect)
    count = len(people.head)
    device = people.head.device
    body = torch.zeros((count, 18, 2), device=device)
    hands = torch.zeros((count, 2, 21, 2), device=device)
    for side, sign, shoulder in _ROOT_JOINTS:
        arm = _place_arm(people, dofs, trunk, side, sign)
        leg = _place_leg(people, dofs, trunk, side, sign, aspect)
        hip = shoulder + _LEG_AFTER_ARM
        for joint in range(3):
            body[:, shoulder + joint] = arm[joint]
            body[:, hip + joint] = leg[joint]
        length = people.bones[:, 4] * people.head
        hands[:, side] = _place_hand(arm[2], dofs, side, sign, length)
    body[:, 1] = (body[:, 2] + body[:, 5]) / 2  # the detectors' definition of the neck
    return _with_head(body, hands, people, dofs, trunk)


def _place_trunk(people: Identities, dofs: Dofs, aspect: float) -> _Trunk:
    """Place hips and neck: the hips sway, the trunk leans over them, the shoulders shrug."""
    h = people.head
    torso = people.bones[:, 1]
    x = aspect / 2 + people.offset
    y = people.crown + (_CROWN_TO_SHOULDERS_HEAD_HEIGHTS + torso) * h
    hips = torch.stack((x, y), 1) + dofs.sway * h[:, None]
    down = torch.stack((-torch.sin(dofs.lean), torch.cos(dofs.lean)), 1)
    across = torch.stack((down[:, 1], -down[:, 0]), 1)
    neck = hips - down * (torso * h)[:, None]
    neck = neck - down * (dofs.shrug * h)[:, None]
    return _Trunk(hips, neck, down, across, torch.cos(dofs.twist) * h)


def _place_arm(
    people: Identities, dofs: Dofs, trunk: _Trunk, side: int, sign: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Place shoulder, elbow and wrist (N, 2) of one side."""
    h = people.head
    shoulders = people.bones[:, 0]
    upper, upper_depth, fore, fore_depth = dofs.arms[:, side].unbind(-1)
    upper_length = people.bones[:, 2] * h
    fore_length = people.bones[:, 3] * h
    shoulder = trunk.neck + trunk.across * (sign * shoulders / 2 * trunk.width)[:, None]
    elbow = shoulder + _bone(upper * sign, upper_depth, upper_length, dofs.lean)
    wrist = elbow + _bone(fore * sign, fore_depth, fore_length, dofs.lean)
    return shoulder, elbow, wrist


def _bone(angle: Tensor, depth: Tensor, length: Tensor, lean: Tensor) -> Tensor:
    """Return bone vectors (N, 2) at an angle from straight down, positive to the image right.

    The bone is shortened by the cosine of `depth`.
    """
    visible_length = length * torch.cos(depth)
    direction = torch.stack((torch.sin(angle - lean), torch.cos(angle - lean)), 1)
    return direction * visible_length[:, None]


def _place_leg(
    people: Identities, dofs: Dofs, trunk: _Trunk, side: int, sign: float, aspect: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Place hip, knee and ankle (N, 2) of one side; the feet stay on the ground unless they
    step."""
    h = people.head
    torso = people.bones[:, 1]
    hips = people.bones[:, 5]
    legs = people.bones[:, 6] + people.bones[:, 7]
    outwards, upwards = dofs.feet[:, side].unbind(-1)
    hip = trunk.hips + trunk.across * (sign * hips / 2 * trunk.width)[:, None]
    ground = people.crown + (_CROWN_TO_SHOULDERS_HEAD_HEIGHTS + torso + legs) * h
    stance = aspect / 2 + people.offset + sign * (hips / 2 + _STANCE_HEAD_HEIGHTS) * h
    ankle = torch.stack((stance + sign * outwards * h, ground - upwards * h), 1)
    knee = _place_knee(hip, ankle, legs * h, sign, trunk.across)
    return hip, knee, ankle


def _place_knee(hip: Tensor, ankle: Tensor, legs: Tensor, sign: float, across: Tensor) -> Tensor:
    """Place the knee in the middle of the leg.

    A leg that is longer than the way bends: mostly towards the viewer, a quarter outwards.
    """
    square = (ankle - hip).square().sum(1)
    slack = (legs.square() - square).clamp_min(0).sqrt() / 2
    return (hip + ankle) / 2 + across * (0.25 * sign * slack)[:, None]


def _place_hand(wrist: Tensor, dofs: Dofs, side: int, sign: float, length: Tensor) -> Tensor:
    """Place (N, 21, 2): wrist, then thumb to little finger, four points each.

    Curled fingers fold back. A hand that points at the viewer is shorter.
    """
    fore = dofs.arms[:, side, 2]
    fore_depth = dofs.arms[:, side, 3]
    angle = sign * (fore + dofs.wrist[:, side]) - dofs.lean
    forward = torch.stack((torch.sin(angle), torch.cos(angle)), 1)
    thumb_side = -sign * torch.cos(dofs.turn[:, side])
    sideways = torch.stack((forward[:, 1], -forward[:, 0]), 1) * thumb_side[:, None]
    curl = dofs.curl[:, side]
    shortening = 1 - 0.25 * torch.sin(fore_depth).abs()
    origin = torch.zeros_like(forward)
    points = [origin]
    for number, finger in enumerate(_FINGERS):
        along = finger.base_along * shortening
        point = origin + forward * along[:, None] + sideways * finger.base_across
        points.append(point)
        direction = finger.spread_rad * (1 - 0.5 * curl)
        for joint, bone in enumerate(finger.bones):
            fold = curl * (0.5 if number == 0 else 0.55 + 0.75 * joint)
            along = bone * torch.cos(fold) * torch.cos(direction) * shortening
            across = bone * torch.sin(direction)
            point = point + forward * along[:, None] + sideways * across[:, None]
            points.append(point)
    return wrist[:, None] + torch.stack(points, 1) * length[:, None, None]


def _with_head(
    body: Tensor, hands: Tensor, people: Identities, dofs: Dofs, trunk: _Trunk
) -> Figure:
    """Add the face and the head's five body points."""
    h = people.head
    rotation = rotation_matrices(dofs.head)
    pivot = h.new_tensor(_PIVOT)
    # the neck follows half of the trunk's lean
    down = torch.stack((0.5 * trunk.down[:, 0], 0.5 + 0.5 * trunk.down[:, 1]), 1)
    down = down / down.norm(dim=1, keepdim=True)
    anchor = trunk.neck - down * (_PIVOT_HEAD_HEIGHTS * h)[:, None]

    def place(points: Tensor) -> Tensor:
        turned = torch.einsum("nij,nkj->nki", rotation, points - pivot)
        xy = anchor[:, None] + turned[..., :2] * h[:, None, None]
        return torch.cat((xy, turned[..., 2:]), -1)

    face = place(canonical_face(people, dofs))
    ears = place(_ears(people))
    middle = place(torch.zeros((len(h), 1, 3), device=h.device))
    body[:, 0] = face[:, 30, :2]
    body[:, 14] = face[:, 36:42, :2].mean(1)
    body[:, 15] = face[:, 42:48, :2].mean(1)
    body[:, 16:18] = ears[..., :2]
    yaw = dofs.head[:, 0]
    far_ear = torch.stack((yaw < -_HIDDEN_EAR_DEG, yaw > _HIDDEN_EAR_DEG), 1)
    return Figure(
        body=body,
        hands=hands,
        face=face,
        head=h,
        center=middle[:, 0, :2],
        rotation=rotation,
        down=trunk.down,
        across=trunk.across,
        hips=trunk.hips,
        far_ear=far_ear.float(),
    )


def _ears(people: Identities) -> Tensor:
    """Return (N, 2, 3) both ears, image left first, in head heights before the head's turn."""
    h = people.head
    mirror = h.new_tensor(((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0)))
    ears = mirror * h.new_tensor(_EAR)
    width = 1 + 0.07 * people.shape[:, 0]
    plain = torch.ones_like(width)
    scale = torch.stack((width, plain, plain), 1)
    return ears[None] * scale[:, None]


def rotation_matrices(degrees: Tensor) -> Tensor:
    """Return (N, 3, 3) roll * pitch * yaw of angles (N, 3): yaw, pitch, roll.

    Yaw turns the nose to the image right, pitch turns it down, roll is clockwise.
    """
    angles = torch.deg2rad(degrees)
    sin_yaw, sin_pitch, sin_roll = torch.sin(angles).unbind(1)
    cos_yaw, cos_pitch, cos_roll = torch.cos(angles).unbind(1)
    zero = torch.zeros_like(sin_yaw)
    one = torch.ones_like(sin_yaw)

    def matrix(*values: Tensor) -> Tensor:
        return torch.stack(values, 1).view(-1, 3, 3)

    yaw = matrix(cos_yaw, zero, sin_yaw, zero, one, zero, -sin_yaw, zero, cos_yaw)
    pitch = matrix(one, zero, zero, zero, cos_pitch, sin_pitch, zero, -sin_pitch, cos_pitch)
    roll = matrix(cos_roll, -sin_roll, zero, sin_roll, cos_roll, zero, zero, zero, one)
    return roll @ pitch @ yaw
