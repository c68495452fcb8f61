"""Batched signed-distance shapes and the canvas that they are painted on (units: picture heights).

A canvas is a (C, N, H, W) tensor: red, green, blue, cloth weight, person mask, two texture coordinates in the
part's own axes, material. Channel first, so that one channel is one contiguous block and a paint is one
in-place `lerp_` per channel. A crop is a view: a limb costs what its bounding box over the batch costs (one
person in a few frames: little).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHANNELS = 8  # red, green, blue, cloth weight, person, u, v, material


def col(value: Tensor) -> Tensor:
    """(N,) as (N, 1, 1), to broadcast over pixels."""
    return value[:, None, None]


@dataclass
class Canvas:
    """Pixels `data` (8, N, h, w), centres at x (N or 1, 1, w), y (N or 1, h, 1); `scale` pixels per unit."""

    data: Tensor
    x: Tensor
    y: Tensor
    scale: float

    def cover(self, distance: Tensor) -> Tensor:
        """Anti-aliased coverage (N, h, w) of a shape whose signed distance is given."""
        return (0.5 - distance * self.scale).clamp_(0, 1)

    def paint(
        self,
        alpha: Tensor,
        colour: Tensor | Sequence[Tensor],
        shade: Tensor | float = 1.0,
        cloth=0.0,
    ) -> None:
        """Lays `colour` (N, 3), or three maps, times `shade` over pixels, coverage `alpha` (N, h, w)."""
        channels = [col(c) for c in colour.unbind(1)] if isinstance(colour, Tensor) else colour
        for channel in range(3):
            self.data[channel].lerp_(_full(channels[channel] * shade, alpha), alpha)
        self.data[3].lerp_(_full(cloth, alpha), alpha)
        self.data[4].lerp_(_full(1.0, alpha), alpha)

    def place(self, alpha: Tensor, u: Tensor, v: Tensor, material: Tensor | float) -> None:
        """Sets texture coordinates (head heights) and material of the pixels that a shape mostly covers."""
        where = alpha > 0.5
        for channel, value in ((5, u), (6, v), (7, material)):
            self.data[channel].copy_(torch.where(where, _full(value, alpha), self.data[channel]))

    def tint(self, alpha: Tensor, colour: Tensor) -> None:
        """As `paint`, but cloth weight and person mask stay (make-up, shadows, glasses)."""
        for channel in range(3):
            self.data[channel].lerp_(_full(col(colour[:, channel]), alpha), alpha)

    def darken(self, factor: Tensor) -> None:
        """Multiplies the colours by `factor` (N, h, w)."""
        self.data[:3].mul_(factor)

    def crop(self, low: Tensor, high: Tensor) -> Canvas | None:
        """View of the pixels between the corners `low` and `high` (2,), None when the picture has none."""
        _, _, height, width = self.data.shape
        left, top = (low * self.scale).floor().long().clamp_min(0).tolist()
        right, bottom = ((high * self.scale).ceil().long() + 1).tolist()
        right, bottom = min(right, width), min(bottom, height)
        if right <= left or bottom <= top:
            return None
        view = self.data[:, :, top:bottom, left:right]
        return Canvas(view, self.x[..., left:right], self.y[:, top:bottom], self.scale)

    def around(self, margin: Tensor, *points: Tensor) -> Canvas | None:
        """Crop that holds all `points` (N, 2) of the batch with a margin (N,) on every side."""
        stack = torch.stack(points, 1)
        room = margin[:, None] + 1.5 / self.scale
        return self.crop((stack.amin(1) - room).amin(0), (stack.amax(1) + room).amax(0))

    def patch(self, centre: Tensor, side: int) -> tuple[Canvas, tuple]:
        """Part of `side` x `side` pixels around `centre` (N, 2), with the index that `put` needs.

        Rows and columns beyond the border are clamped to it. Their coordinates are clamped with them, so a
        pixel that occurs twice gets the same colour twice and writing back is well defined.
        """
        _, count, height, width = self.data.shape
        steps = torch.arange(side, device=self.data.device)
        left = (centre[:, 0] * self.scale).round().long() - side // 2
        top = (centre[:, 1] * self.scale).round().long() - side // 2
        columns = (left[:, None] + steps).clamp_(0, width - 1)
        rows = (top[:, None] + steps).clamp_(0, height - 1)
        frame = torch.arange(count, device=self.data.device)[:, None, None]
        where = (slice(None), frame, rows[:, :, None], columns[:, None, :])
        x = (columns.float() + 0.5)[:, None, :] / self.scale
        y = (rows.float() + 0.5)[:, :, None] / self.scale
        return Canvas(self.data[where], x, y, self.scale), where

    def put(self, patch: Canvas, where: tuple) -> None:
        """Writes a painted patch back."""
        self.data[where] = patch.data


def blank(background: Tensor, frames: int) -> Canvas:
    """A canvas that shows `background` (B, 3, H, W), each repeated for `frames` frames."""
    count, _, height, width = background.shape
    data = torch.zeros((CHANNELS, count * frames, height, width), device=background.device)
    data[:3] = background.permute(1, 0, 2, 3).repeat_interleave(frames, 1)
    x = (torch.arange(width, device=background.device) + 0.5)[None, None, :] / height
    y = (torch.arange(height, device=background.device) + 0.5)[None, :, None] / height
    return Canvas(data, x, y, float(height))


def capsule(canvas: Canvas, start: Tensor, end: Tensor, first: Tensor, last: Tensor):
    """Distance (N, h, w), place along the axis [0, 1] and across it [-1, 1] of a tapered capsule, and the
    place along that goes on beyond its ends.

    `start`, `end` (N, 2); `first`, `last` (N,) radii. The across place is positive to the right of the axis.
    """
    axis = end - start
    length = axis.square().sum(1).clamp_min(1e-8)
    x, y = canvas.x - col(start[:, 0]), canvas.y - col(start[:, 1])
    beyond = x * col(axis[:, 0] / length) + y * col(axis[:, 1] / length)
    along = beyond.clamp(0, 1)
    across_x, across_y = x - along * col(axis[:, 0]), y - along * col(axis[:, 1])
    radius = along * col(last - first) + col(first)
    distance = torch.hypot(across_x, across_y)
    unit = axis / length.sqrt()[:, None]
    side = (across_x * col(-unit[:, 1]) + across_y * col(unit[:, 0])) / radius
    return distance - radius, along, side, beyond


def ellipse(x: Tensor, y: Tensor, rx: Tensor, ry: Tensor) -> Tensor:
    """Approximate signed distance (first order) of an axis-parallel ellipse at the origin of x, y."""
    k = torch.hypot(x / rx, y / ry)
    slope = torch.hypot(x / (rx * rx), y / (ry * ry)).clamp_min(1e-6)
    return k * (k - 1) / slope


def polygon(x: Tensor, y: Tensor, points: Tensor) -> Tensor:
    """Exact signed distance (N, h, w) of a closed polygon `points` (N, K, 2), of any shape."""
    first = points[:, 0]
    nearest = (x - col(first[:, 0])).square() + (y - col(first[:, 1])).square()
    inside = torch.zeros(nearest.shape, dtype=torch.bool, device=x.device)
    ends, starts = points, points.roll(1, 1)
    for k in range(points.shape[1]):
        px, py = x - col(ends[:, k, 0]), y - col(ends[:, k, 1])
        edge = starts[:, k] - ends[:, k]
        ex, ey = col(edge[:, 0]), col(edge[:, 1])
        along = ((px * ex + py * ey) / (ex * ex + ey * ey).clamp_min(1e-12)).clamp_(0, 1)
        nearest = torch.minimum(nearest, (px - ex * along).square_() + (py - ey * along).square_())
        below = py >= 0
        crosses = below != (y >= col(starts[:, k, 1]))
        inside ^= crosses & ((ex * py > ey * px) == (ey > 0))
    return torch.where(inside, -1.0, 1.0) * nearest.sqrt()


def polyline(x: Tensor, y: Tensor, points: Tensor) -> Tensor:
    """Unsigned distance (N, h, w) to an open chain of segments `points` (N, K, 2)."""
    nearest = None
    for k in range(points.shape[1] - 1):
        px, py = x - col(points[:, k, 0]), y - col(points[:, k, 1])
        edge = points[:, k + 1] - points[:, k]
        ex, ey = col(edge[:, 0]), col(edge[:, 1])
        along = ((px * ex + py * ey) / (ex * ex + ey * ey).clamp_min(1e-12)).clamp_(0, 1)
        square = (px - ex * along).square_() + (py - ey * along).square_()
        nearest = square if nearest is None else torch.minimum(nearest, square)
    return nearest.sqrt()


def blob(x: Tensor, y: Tensor, centre: Tensor, rx: Tensor, ry: Tensor) -> Tensor:
    """Gaussian bump (N, h, w) of height 1 around `centre` (N, 2); separable, hence cheap."""
    gx = torch.exp(-0.5 * ((x - col(centre[:, 0])) / col(rx)).square())
    return gx * torch.exp(-0.5 * ((y - col(centre[:, 1])) / col(ry)).square())


def _full(value: Tensor | float, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.expand_as(like)
    return torch.full((1, 1, 1), float(value), device=like.device).expand_as(like)
