"""From identities and degrees of freedom to points in the picture: forward kinematics, face, hands.

All points are in picture heights (x from the left border, y from the top). Rows N are frames of people.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.data.presenters.identity import Dofs, Identities

# left half and middle of the face, (x, y, z) in head heights from its middle; eye line y = 0, z forward
_JAW = ((-.345, -.02, -.20), (-.342, .07, -.18), (-.33, .16, -.15), (-.305, .245, -.10), (-.265, .325, -.04),
        (-.21, .39, .03), (-.145, .445, .09), (-.075, .485, .13), (0, .5, .145))  # fmt: skip
_BROW = (
    (-0.275, -0.085, 0.10),
    (-0.235, -0.118, 0.155),
    (-0.18, -0.13, 0.19),
    (-0.125, -0.12, 0.205),
    (-0.07, -0.10, 0.215),
)
_BRIDGE = ((0, -0.02, 0.23), (0, 0.045, 0.26), (0, 0.105, 0.295), (0, 0.16, 0.32))
_NOSTRIL = ((-0.07, 0.20, 0.22), (-0.037, 0.212, 0.25), (0, 0.22, 0.265))
_EYE = ((-.205, .0, .13), (-.172, -.028, .162), (-.115, -.027, .175), (-.08, .006, .165),
        (-.118, .023, .17), (-.17, .022, .16))  # fmt: skip
_LIPS = ((-0.125, 0.325, 0.16), (-0.08, 0.300, 0.2), (-0.03, 0.285, 0.225), (0, 0.291, 0.23))
_LOWER = ((0.08, 0.362, 0.195), (0.036, 0.379, 0.21), (0, 0.382, 0.213))
_INNER = ((-0.105, 0.326, 0.165), (-0.045, 0.322, 0.205), (0, 0.324, 0.21))
_INNER_LOW = ((0.045, 0.331, 0.205), (0, 0.332, 0.21))
_PIVOT = (0.0, 0.30, -0.12)
_PIVOT_HEIGHT = 0.49  # of the pivot above the shoulder line
_EAR = (0.35, 0.06, -0.21)
_HIDDEN_EAR_YAW = 25.0  # degrees from which the far ear is behind the cheek


@dataclass
class Figure:
    """Points of N frames: body (N, 18, 2), hands (N, 2, 21, 2), face (N, 68, 3; depth in head heights)."""

    body: Tensor
    hands: Tensor
    face: Tensor
    head: Tensor  # (N,) head height
    centre: Tensor  # (N, 2) middle of the head
    rotation: Tensor  # (N, 3, 3)
    down: Tensor  # (N, 2) unit vector from the neck to the hips
    across: Tensor  # (N, 2) unit vector to the image right
    hips: Tensor  # (N, 2) middle of the hips
    far_ear: Tensor  # (N, 2) 1 where the ear (image left, right) is hidden


def figure(who: Identities, dof: Dofs, aspect: float) -> Figure:
    """Key points of flat rows (N people, N frames) in a picture `aspect` = width / height."""
    h = who.head
    bones = who.bones.unbind(1)
    shoulder, torso, upper, fore, hand, hip, _, _ = bones
    legs = bones[6] + bones[7]
    hips = (
        torch.stack((aspect / 2 + who.offset, who.crown + (1.34 + torso) * h), 1)
        + dof.sway * h[:, None]
    )
    down = torch.stack((-torch.sin(dof.lean), torch.cos(dof.lean)), 1)
    across = torch.stack((down[:, 1], -down[:, 0]), 1)
    neck = hips - down * (torso * h)[:, None]
    body = torch.zeros((len(h), 18, 2), device=h.device)
    hands = torch.zeros((len(h), 2, 21, 2), device=h.device)
    turn = torch.cos(dof.twist) * h
    neck = neck - down * (dof.shrug * h)[:, None]
    body[:, 1] = neck
    for side, sign, joint in ((0, 1.0, 5), (1, -1.0, 2)):
        start = neck + across * (sign * shoulder / 2 * turn)[:, None]
        elbow = start + _swing(
            dof.arms[:, side, 0] * sign, dof.arms[:, side, 1], upper * h, dof.lean
        )
        wrist = elbow + _swing(
            dof.arms[:, side, 2] * sign, dof.arms[:, side, 3], fore * h, dof.lean
        )
        body[:, joint], body[:, joint + 1], body[:, joint + 2] = start, elbow, wrist
        hands[:, side] = _hand(wrist, dof, side, sign, hand * h)
        thigh = hips + across * (sign * hip / 2 * turn)[:, None]
        ground = who.crown + (1.34 + torso + legs) * h
        stance = aspect / 2 + who.offset + sign * (hip / 2 + 0.1) * h
        ankle = torch.stack(
            (stance + sign * dof.feet[:, side, 0] * h, ground - dof.feet[:, side, 1] * h), 1
        )
        bone = joint + 6
        body[:, bone], body[:, bone + 2] = thigh, ankle
        body[:, bone + 1] = _knee(thigh, ankle, legs * h, sign, across)
    body[:, 1] = (body[:, 2] + body[:, 5]) / 2  # the detectors' neck rule
    return _with_head(body, hands, who, dof, down, across, hips, neck)


def _swing(angle: Tensor, depth: Tensor, length: Tensor, lean: Tensor) -> Tensor:
    """Bone vector (N, 2): direction from straight down (positive to the image right), shortened by depth."""
    reach = length * torch.cos(depth)
    return torch.stack((torch.sin(angle - lean), torch.cos(angle - lean)), 1) * reach[:, None]


def _knee(hip: Tensor, ankle: Tensor, legs: Tensor, sign: float, across: Tensor) -> Tensor:
    """Middle of the leg; what the leg is too long for goes mostly towards the viewer, a quarter outwards."""
    slack = (legs.square() - (ankle - hip).square().sum(1)).clamp_min(0).sqrt() / 2
    return (hip + ankle) / 2 + across * (0.25 * sign * slack)[:, None]


def _hand(wrist: Tensor, dof: Dofs, side: int, sign: float, length: Tensor) -> Tensor:
    """(N, 21, 2) wrist, then thumb to little finger, four points each; curled fingers fold back."""
    arm = dof.arms[:, side]
    angle = sign * (arm[:, 2] + dof.wrist[:, side]) - dof.lean
    forward = torch.stack((torch.sin(angle), torch.cos(angle)), 1)
    sideways = (
        torch.stack((forward[:, 1], -forward[:, 0]), 1)
        * (-sign * torch.cos(dof.turn[:, side]))[:, None]
    )
    curl = dof.curl[:, side]
    bend = 1 - 0.25 * torch.sin(arm[:, 3]).abs()  # a hand that points at the viewer is shorter
    points = [torch.zeros_like(forward)]
    for finger, (base, spread, bones) in enumerate(_FINGERS):
        place = points[0] + forward * (base[1] * bend)[:, None] + sideways * base[0]
        points.append(place)
        direction = spread * (1 - 0.5 * curl)
        for joint, bone in enumerate(bones):
            fold = curl * (0.5 if finger == 0 else 0.55 + 0.75 * joint)
            along = bone * torch.cos(fold) * torch.cos(direction) * bend
            place = (
                place + forward * along[:, None] + sideways * (bone * torch.sin(direction))[:, None]
            )
            points.append(place)
    return wrist[:, None] + torch.stack(points, 1) * length[:, None, None]


# per finger: base (across, along) on the palm, spread in radians, three bones; in hand lengths (thumb side +)
_FINGERS = (
    ((0.13, 0.10), 0.75, (0.19, 0.16, 0.13)),
    ((0.13, 0.46), 0.18, (0.21, 0.13, 0.11)),
    ((0.04, 0.48), 0.03, (0.23, 0.15, 0.12)),
    ((-0.05, 0.46), -0.10, (0.21, 0.14, 0.11)),
    ((-0.13, 0.41), -0.24, (0.17, 0.10, 0.10)),
)


def _with_head(body, hands, who: Identities, dof: Dofs, down, across, hips, neck) -> Figure:
    """Adds the face and the head's five body points."""
    h = who.head
    rotation = rotations(dof.head)
    pivot = torch.tensor(_PIVOT, device=h.device)
    mix = torch.stack((0.5 * down[:, 0], 0.5 + 0.5 * down[:, 1]), 1)
    mix = mix / mix.norm(dim=1, keepdim=True)
    anchor = neck - mix * (_PIVOT_HEIGHT * h)[:, None]

    def place(points: Tensor) -> Tensor:
        turned = torch.einsum("nij,nkj->nki", rotation, points - pivot)
        xy = anchor[:, None] + turned[..., :2] * h[:, None, None]
        return torch.cat((xy, turned[..., 2:]), -1)

    face = place(canonical(who, dof))
    width = 1 + 0.07 * who.shape[:, 0]
    ears = torch.tensor(((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0)), device=h.device) * torch.tensor(
        _EAR, device=h.device
    )
    ears = (
        ears[None]
        * torch.stack((width, torch.ones_like(width), torch.ones_like(width)), 1)[:, None]
    )
    body[:, 16:18] = place(ears)[..., :2]
    body[:, 0] = face[:, 30, :2]
    body[:, 14], body[:, 15] = face[:, 36:42, :2].mean(1), face[:, 42:48, :2].mean(1)
    centre = place(torch.zeros((len(h), 1, 3), device=h.device))[:, 0, :2]
    yaw = dof.head[:, 0]
    far = torch.stack((yaw < -_HIDDEN_EAR_YAW, yaw > _HIDDEN_EAR_YAW), 1).float()
    return Figure(body, hands, face, h, centre, rotation, down, across, hips, far)


def rotations(degrees: Tensor) -> Tensor:
    """(N, 3, 3) from yaw (nose to image right), pitch (nose down), roll (clockwise): roll * pitch * yaw."""
    (sy, sp, sr), (cy, cp, cr) = (
        f(torch.deg2rad(degrees)).unbind(1) for f in (torch.sin, torch.cos)
    )
    zero, one = torch.zeros_like(sy), torch.ones_like(sy)

    def matrix(*values: Tensor) -> Tensor:
        return torch.stack(values, 1).view(-1, 3, 3)

    yaw = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    pitch = matrix(one, zero, zero, zero, cp, sp, zero, -sp, cp)
    roll = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return roll @ pitch @ yaw


def _mirrored(points: tuple) -> tuple:
    return tuple((-x, y, z) for x, y, z in reversed(points))


def _template(device: torch.device) -> Tensor:
    """(68, 3) plain face at rest in iBUG order."""
    jaw = _JAW + _mirrored(_JAW[:-1])
    brows = _BROW + _mirrored(_BROW)
    nose = _BRIDGE + _NOSTRIL + _mirrored(_NOSTRIL[:-1])
    right = tuple((-_EYE[k][0], *_EYE[k][1:]) for k in (3, 2, 1, 0, 5, 4))
    outer = (
        _LIPS
        + _mirrored(_LIPS[:-1])
        + _LOWER
        + tuple((-x, y, z) for x, y, z in reversed(_LOWER[:-1]))
    )
    inner = (
        _INNER
        + _mirrored(_INNER[:-1])
        + _INNER_LOW
        + tuple((-x, y, z) for x, y, z in _INNER_LOW[:1])
    )
    return torch.tensor(jaw + brows + nose + _EYE + right + outer + inner, device=device)


def canonical(who: Identities, dof: Dofs) -> Tensor:
    """(N, 68, 3) face of each person with its expression, before the head's turn."""
    face = _template(who.head.device).repeat(len(who), 1, 1)
    width, jaw, eye, gap, nose, mouth, lips, brow = who.shape[:, :, None].unbind(1)
    x, y, z = face.unbind(-1)
    x[:, :17] *= 1 + 0.07 * width + (0.10 * jaw) * (y[:, :17].clamp_min(0) * 2 - 0.2)
    for part in (slice(36, 42), slice(42, 48)):
        mx, my = x[:, part].mean(1, keepdim=True), y[:, part].mean(1, keepdim=True)
        side = mx.sign()
        x[:, part] = mx + (x[:, part] - mx) * (1.04 + 0.12 * eye) + side * 0.012 * gap
        y[:, part] = my + (y[:, part] - my) * (1.15 + 0.25 * eye)
    x[:, 27:36] *= 1 + 0.18 * nose
    y[:, 28:36] += 0.015 * nose
    y[:, 17:27] -= 0.018 * brow
    x[:, 48:] *= 1 + 0.12 * mouth
    fat = (y[:, 48:] - 0.327) * 0.28 * lips
    y[:, 48:60] += fat[:, :12]
    _expression(x, y, dof)
    return torch.stack((x, y, z), -1)


# share of the jaw's drop: chin line 3..13, lower lip outer 55..59, inner 65..67
_CHIN = (0.05, 0.2, 0.45, 0.7, 0.9, 1.0, 0.9, 0.7, 0.45, 0.2, 0.05)


def _expression(x: Tensor, y: Tensor, dof: Dofs) -> None:
    """Mouth, blink and brow on the canonical points, in place."""
    opened, rounded, smile = dof.mouth[:, :, None].unbind(1)
    y[:, 3:14] += 0.10 * opened * torch.tensor(_CHIN, device=x.device)
    drop = 0.125 * opened
    for points, share in (((55, 59), 0.75), ((56, 57, 58), 1.0), ((65, 67), 0.92), ((66,), 1.0)):
        y[:, list(points)] += drop * share
    for corner, sign in ((48, -1), (54, 1), (60, -1), (64, 1)):
        x[:, corner] += sign * (0.018 * smile - 0.012 * opened)[:, 0]
        y[:, corner] += (0.042 * opened - 0.032 * smile)[:, 0]
    y[:, 49:54] -= 0.012 * opened
    y[:, 61:64] -= 0.010 * opened
    x[:, 48:] *= 1 - 0.36 * rounded + 0.06 * smile
    pout = 0.012 * rounded
    y[:, 50:53] -= pout
    y[:, 56:59] += pout
    y[:, 61:64] -= 0.4 * pout * (1 + opened)
    y[:, 65:68] += 0.6 * pout * (1 + opened)
    blink = dof.blink[:, None]
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        y[:, upper] += (y[:, lower] - y[:, upper] - 0.004) * blink[:, 0]
    y[:, 17:27] -= 0.032 * dof.brow[:, None] - 0.01 * blink
