"""The 68 points of a drawn face in its own axes: each person's shape and expression."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.training.data.presenters.degrees_of_freedom import Dofs
from pipeline.training.data.presenters.identity import Identities

Points = tuple[tuple[float, float, float], ...]

# left half and middle of the face, (x, y, z) in head heights from the middle of the head; the eye
# line is y = 0, z points forward
_JAW: Points = (
    (-0.345, -0.02, -0.20),
    (-0.342, 0.07, -0.18),
    (-0.33, 0.16, -0.15),
    (-0.305, 0.245, -0.10),
    (-0.265, 0.325, -0.04),
    (-0.21, 0.39, 0.03),
    (-0.145, 0.445, 0.09),
    (-0.075, 0.485, 0.13),
    (0, 0.5, 0.145),
)
_BROW: Points = (
    (-0.275, -0.085, 0.10),
    (-0.235, -0.118, 0.155),
    (-0.18, -0.13, 0.19),
    (-0.125, -0.12, 0.205),
    (-0.07, -0.10, 0.215),
)
_BRIDGE: Points = ((0, -0.02, 0.23), (0, 0.045, 0.26), (0, 0.105, 0.295), (0, 0.16, 0.32))
_NOSTRIL: Points = ((-0.07, 0.20, 0.22), (-0.037, 0.212, 0.25), (0, 0.22, 0.265))
_EYE: Points = (
    (-0.205, 0.0, 0.13),
    (-0.172, -0.028, 0.162),
    (-0.115, -0.027, 0.175),
    (-0.08, 0.006, 0.165),
    (-0.118, 0.023, 0.17),
    (-0.17, 0.022, 0.16),
)
_UPPER_LIP: Points = (
    (-0.125, 0.325, 0.16),
    (-0.08, 0.300, 0.2),
    (-0.03, 0.285, 0.225),
    (0, 0.291, 0.23),
)
_LOWER_LIP: Points = ((0.08, 0.362, 0.195), (0.036, 0.379, 0.21), (0, 0.382, 0.213))
_UPPER_INNER_LIP: Points = ((-0.105, 0.326, 0.165), (-0.045, 0.322, 0.205), (0, 0.324, 0.21))
_LOWER_INNER_LIP: Points = ((0.045, 0.331, 0.205), (0, 0.332, 0.21))
_RIGHT_EYE_ORDER = (3, 2, 1, 0, 5, 4)  # points of the mirrored left eye in iBUG order
_LIP_SEAM_Y = 0.327

# shares of the jaw's drop
_CHIN_SHARES = (0.05, 0.2, 0.45, 0.7, 0.9, 1.0, 0.9, 0.7, 0.45, 0.2, 0.05)  # points 3 to 13
_LIP_SHARES = (((55, 59), 0.75), ((56, 57, 58), 1.0), ((65, 67), 0.92), ((66,), 1.0))
_CORNERS = ((48, -1), (54, 1), (60, -1), (64, 1))  # of the lips, and their sign along x
_LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))  # upper and lower point
_SHUT_EYE_HEAD_HEIGHTS = 0.004


def canonical_face(people: Identities, dofs: Dofs) -> Tensor:
    """Return (N, 68, 3) the face of each person with its expression, before the head's turn."""
    face = _template(people.head.device).repeat(len(people), 1, 1)
    width, jaw, eye, gap, nose, mouth, lips, brow = people.shape[:, :, None].unbind(1)
    x, y, z = face.unbind(-1)
    below_eyes = y[:, :17].clamp_min(0)
    x[:, :17] *= 1 + 0.07 * width + (0.10 * jaw) * (below_eyes * 2 - 0.2)
    for part in (slice(36, 42), slice(42, 48)):
        middle_x = x[:, part].mean(1, keepdim=True)
        middle_y = y[:, part].mean(1, keepdim=True)
        side = middle_x.sign()
        widened = middle_x + (x[:, part] - middle_x) * (1.04 + 0.12 * eye)
        x[:, part] = widened + side * 0.012 * gap
        y[:, part] = middle_y + (y[:, part] - middle_y) * (1.15 + 0.25 * eye)
    x[:, 27:36] *= 1 + 0.18 * nose
    y[:, 28:36] += 0.015 * nose
    y[:, 17:27] -= 0.018 * brow
    x[:, 48:] *= 1 + 0.12 * mouth
    thickness = (y[:, 48:] - _LIP_SEAM_Y) * 0.28 * lips
    y[:, 48:60] += thickness[:, :12]
    _move_mouth(x, y, dofs.mouth)
    _move_eyes(y, dofs)
    return torch.stack((x, y, z), -1)


def _template(device: torch.device) -> Tensor:
    """Return (68, 3) a plain face at rest in iBUG order."""
    jaw = _JAW + _mirror(_JAW[:-1])
    brows = _BROW + _mirror(_BROW)
    nose = _BRIDGE + _NOSTRIL + _mirror(_NOSTRIL[:-1])
    right_eye = tuple((-_EYE[k][0], *_EYE[k][1:]) for k in _RIGHT_EYE_ORDER)
    outer = _UPPER_LIP + _mirror(_UPPER_LIP[:-1]) + _LOWER_LIP + _mirror(_LOWER_LIP[:-1])
    inner = _UPPER_INNER_LIP + _mirror(_UPPER_INNER_LIP[:-1])
    inner += _LOWER_INNER_LIP + _mirror(_LOWER_INNER_LIP[:1])
    points = jaw + brows + nose + _EYE + right_eye + outer + inner
    return torch.tensor(points, device=device)


def _mirror(points: Points) -> Points:
    """Return the points of the other half of the face, in reversed order."""
    return tuple((-x, y, z) for x, y, z in reversed(points))


def _move_mouth(x: Tensor, y: Tensor, mouth: Tensor) -> None:
    """Open, round and smile: moves jaw and lips of canonical points (N, 68) in place."""
    opening, rounding, smile = mouth[:, :, None].unbind(1)
    chin = torch.tensor(_CHIN_SHARES, device=x.device)
    y[:, 3:14] += 0.10 * opening * chin
    drop = 0.125 * opening
    for points, share in _LIP_SHARES:
        y[:, list(points)] += drop * share
    outwards = (0.018 * smile - 0.012 * opening)[:, 0]
    downwards = (0.042 * opening - 0.032 * smile)[:, 0]
    for corner, sign in _CORNERS:
        x[:, corner] += sign * outwards
        y[:, corner] += downwards
    y[:, 49:54] -= 0.012 * opening
    y[:, 61:64] -= 0.010 * opening
    x[:, 48:] *= 1 - 0.36 * rounding + 0.06 * smile
    pout = 0.012 * rounding
    y[:, 50:53] -= pout
    y[:, 56:59] += pout
    y[:, 61:64] -= 0.4 * pout * (1 + opening)
    y[:, 65:68] += 0.6 * pout * (1 + opening)


def _move_eyes(y: Tensor, dofs: Dofs) -> None:
    """Blink and raise the brows: moves canonical points (N, 68) in place."""
    blink = dofs.blink[:, None]
    for upper, lower in _LIDS:
        way = y[:, lower] - y[:, upper] - _SHUT_EYE_HEAD_HEIGHTS
        y[:, upper] += way * blink[:, 0]
    y[:, 17:27] -= 0.032 * dofs.brow[:, None] - 0.01 * blink
