"""The head's own axes in the picture, and the shapes that hair and face share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import Canvas, as_map, blob, ellipse


@dataclass
class HeadAxes:
    """Pixels (N, h, w) in the head's axes without yaw and pitch, head heights from its middle."""

    x: Tensor
    y: Tensor
    forward: Tensor  # (N, 2) where the nose points in these axes

    @property
    def forward_x(self) -> Tensor:
        """(N, 1, 1), positive where the nose points to the head's image right."""
        return as_map(self.forward[:, 0])

    @property
    def forward_y(self) -> Tensor:
        """(N, 1, 1), positive where the nose points down."""
        return as_map(self.forward[:, 1])


def head_axes(canvas: Canvas, figure: Figure) -> HeadAxes:
    """Compute the head's axes at the pixels of a canvas."""
    down = figure.rotation[:, :2, 1]
    down = down / down.norm(dim=1, keepdim=True)
    right = torch.stack((down[:, 1], -down[:, 0]), 1)
    x = canvas.x - as_map(figure.center[:, 0])
    y = canvas.y - as_map(figure.center[:, 1])
    h = figure.head[:, None]
    right_unit = right / h
    down_unit = down / h
    local_x = x * as_map(right_unit[:, 0]) + y * as_map(right_unit[:, 1])
    local_y = x * as_map(down_unit[:, 0]) + y * as_map(down_unit[:, 1])
    nose = figure.rotation[:, :2, 2]
    forward = torch.stack(((nose * right).sum(1), (nose * down).sum(1)), 1)
    return HeadAxes(local_x, local_y, forward)


def skull(axes: HeadAxes, people: Identities, grow: float | Tensor) -> Tensor:
    """Return the distance to the skull, grown by `grow`, in head heights."""
    width = 0.352 * (1 + 0.07 * as_map(people.shape[:, 0]))
    rx = torch.hypot(width, 0.22 * axes.forward_x) + grow
    ry = torch.full_like(rx, 0.40) + grow
    x = axes.x + 0.10 * axes.forward_x
    y = axes.y + 0.10 + 0.10 * axes.forward_y
    return ellipse(x, y, rx, ry)


def down(figure: Figure, amount: float) -> Tensor:
    """Return (N, 2) a step down in the head's axes; `amount` in head heights."""
    return figure.rotation[:, :2, 1] * (amount * figure.head)[:, None]


def right(figure: Figure, amount: float) -> Tensor:
    """Return (N, 2) a step to the image right in the head's axes; `amount` in head heights."""
    return figure.rotation[:, :2, 0] * (amount * figure.head)[:, None]


def brighten(
    patch: Canvas,
    figure: Figure,
    center: Tensor,
    radii: tuple[float, float],
    strength: Tensor | float,
) -> None:
    """Brighten softly around a point; a negative strength darkens. Radii in head heights."""
    rx, ry = radii
    bump = blob(patch, center, rx * figure.head, ry * figure.head)
    patch.darken(1 + strength * bump)
