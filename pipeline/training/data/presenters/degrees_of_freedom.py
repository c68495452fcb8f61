"""What moves in a drawn presenter: the degrees of freedom of every frame."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pipeline.training.data.presenters.rows import Rows

_HANGING_ARM = (0.2, 0.1, 0.05, 0.2)  # upper, upper depth, fore, fore depth in radians
# axes after (B, T) of the fields that have some and are 0 at rest
_AXES_AT_REST = {
    "sway": (2,),
    "head": (3,),
    "wrist": (2,),
    "feet": (2, 2),
    "mouth": (3,),
    "gaze": (2,),
}


@dataclass
class Dofs(Rows):
    """What moves, for (B, T) frames. A caller may replace any field, for instance the mouth.

    Angles are radians except `head`, which is degrees: yaw (nose to image right), pitch (nose
    down), roll (clockwise). An arm is [upper, upper depth, fore, fore depth]: directions from
    straight down, outwards positive; a depth shortens the drawn bone by its cosine.
    """

    sway: Tensor  # (B, T, 2) hips, head heights
    lean: Tensor  # (B, T)
    twist: Tensor  # (B, T)
    shrug: Tensor  # (B, T) head heights
    head: Tensor  # (B, T, 3) degrees
    arms: Tensor  # (B, T, 2, 4)
    wrist: Tensor  # (B, T, 2)
    turn: Tensor  # (B, T, 2) of the palm about the forearm, 0 = flat to the viewer
    curl: Tensor  # (B, T, 2) 0 = stretched fingers, 1 = fist
    feet: Tensor  # (B, T, 2, 2) ankle steps: outwards, upwards, head heights
    mouth: Tensor  # (B, T, 3) open 0..1, round 0..1, smile -1..1
    blink: Tensor  # (B, T) 0 open, 1 shut
    brow: Tensor  # (B, T) -1..1
    gaze: Tensor  # (B, T, 2) -1..1

    def frames(self, part: slice) -> Dofs:
        """Select some of the frames of the same people."""
        columns = [getattr(self, field.name)[:, part] for field in fields(self)]
        return Dofs(*columns)

    def then(self, later: Dofs) -> Dofs:
        """Append further frames of the same people."""
        columns = []
        for field in fields(self):
            both = [getattr(self, field.name), getattr(later, field.name)]
            columns.append(torch.cat(both, 1))
        return Dofs(*columns)


def stand_still(count: int, frames: int, device: torch.device | str = "cpu") -> Dofs:
    """Make people who stand with hanging arms, straight head and shut mouth.

    It is the base for authored motion.
    """
    columns = {}
    for field in fields(Dofs):
        shape = (count, frames, *_AXES_AT_REST.get(field.name, ()))
        columns[field.name] = torch.zeros(shape, device=device)
    arm = torch.tensor(_HANGING_ARM, device=device)
    columns["arms"] = arm.expand(count, frames, 2, 4).clone()
    columns["turn"] = torch.full((count, frames, 2), 0.6, device=device)
    columns["curl"] = torch.full((count, frames, 2), 0.25, device=device)
    return Dofs(**columns)
