"""The 68 points of a drawn face in its own axes: each person's shape and expression."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.motion.average_face import average_face
from pipeline.training.data.presenters.degrees_of_freedom import Dofs
from pipeline.training.data.presenters.identity import Identities

_LIP_SEAM_Y = 0.327

# shares of the jaw's drop
_CHIN_SHARES = (0.05, 0.2, 0.45, 0.7, 0.9, 1.0, 0.9, 0.7, 0.45, 0.2, 0.05)  # points 3 to 13
_LIP_SHARES = (((55, 59), 0.75), ((56, 57, 58), 1.0), ((65, 67), 0.92), ((66,), 1.0))
_CORNERS = ((48, -1), (54, 1), (60, -1), (64, 1))  # of the lips, and their sign along x
_LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))  # upper and lower point
_SHUT_EYE_HEAD_HEIGHTS = 0.004


def canonical_face(people: Identities, dofs: Dofs) -> Tensor:
    """Return (N, 68, 3) the face of each person with its expression, before the head's turn."""
    average = torch.from_numpy(average_face()).to(people.head.device)
    face = average.repeat(len(people), 1, 1)
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
