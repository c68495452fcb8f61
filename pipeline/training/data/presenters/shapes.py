"""Batched signed-distance shapes and the canvas that they are painted on (units: picture heights).

A canvas is a (C, N, H, W) tensor: red, green, blue, cloth weight, person mask, two texture
coordinates in the part's own axes, material. The channel comes first, so that one channel is one
contiguous block and a paint is one in-place `lerp_` per channel. A crop is a view: a limb costs
what its bounding box over the batch costs (one person in a few frames: little).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHANNELS = 8
COLORS = range(3)
CLOTH, PERSON, U, V, MATERIAL = range(3, 8)


def as_map(values: Tensor) -> Tensor:
    """Reshape (N,) to (N, 1, 1), to broadcast over pixels."""
    return values[:, None, None]


@dataclass
class Canvas:
    """Pixels `data` (8, N, h, w) with centers at x (N or 1, 1, w), y (N or 1, h, 1).

    `scale` is in pixels per unit.
    """

    data: Tensor
    x: Tensor
    y: Tensor
    scale: float

    def cover(self, distance: Tensor) -> Tensor:
        """Return the anti-aliased coverage (N, h, w) of a shape with this signed distance."""
        return (0.5 - distance * self.scale).clamp_(0, 1)

    def paint(
        self,
        alpha: Tensor,
        color: Tensor | Sequence[Tensor],
        shade: Tensor | float = 1.0,
        cloth: Tensor | float = 0.0,
    ) -> None:
        """Lay a color over the pixels.

        Args:
            alpha: (N, h, w) coverage.
            color: (N, 3), or three maps.
            shade: brightness, a factor of the color.
            cloth: weight of the clothes' pattern.
        """
        channels = [as_map(c) for c in color.unbind(1)] if isinstance(color, Tensor) else color
        for channel in COLORS:
            value = channels[channel] * shade
            self.data[channel].lerp_(_full(value, alpha), alpha)
        self.data[CLOTH].lerp_(_full(cloth, alpha), alpha)
        self.data[PERSON].lerp_(_full(1.0, alpha), alpha)

    def set_texture(self, alpha: Tensor, u: Tensor, v: Tensor, material: Tensor | float) -> None:
        """Set texture coordinates (head heights) and material of the pixels with alpha > 0.5."""
        covered = alpha > 0.5
        for channel, value in ((U, u), (V, v), (MATERIAL, material)):
            old = self.data[channel]
            old.copy_(torch.where(covered, _full(value, alpha), old))

    def tint(self, alpha: Tensor, color: Tensor) -> None:
        """Paint without a change of cloth weight and person mask (make-up, shadows, glasses)."""
        for channel in COLORS:
            value = as_map(color[:, channel])
            self.data[channel].lerp_(_full(value, alpha), alpha)

    def darken(self, factor: Tensor) -> None:
        """Multiply the colors by `factor` (N, h, w)."""
        self.data[:3].mul_(factor)

    def crop(self, low: Tensor, high: Tensor) -> Canvas | None:
        """View the pixels between the corners `low` and `high` (2,).

        Returns None when the picture has none of them.
        """
        height, width = self.data.shape[-2:]
        first = (low * self.scale).floor().long()
        last = (high * self.scale).ceil().long() + 1
        left, top = first.clamp_min(0).tolist()
        right, bottom = last.tolist()
        right = min(right, width)
        bottom = min(bottom, height)
        if right <= left or bottom <= top:
            return None
        view = self.data[:, :, top:bottom, left:right]
        return Canvas(view, self.x[..., left:right], self.y[:, top:bottom], self.scale)

    def around(self, margin: Tensor, *points: Tensor) -> Canvas | None:
        """View a crop that holds all `points` (N, 2) of the batch with a margin (N,) around."""
        stack = torch.stack(points, 1)
        border = margin[:, None] + 1.5 / self.scale
        low = stack.amin(1) - border
        high = stack.amax(1) + border
        return self.crop(low.amin(0), high.amax(0))

    def patch(self, center: Tensor, side: int) -> tuple[Canvas, tuple]:
        """Copy `side` x `side` pixels around `center` (N, 2), with the index that `put` needs.

        Rows and columns beyond the border are clamped to it. Their coordinates are clamped with
        them, so a pixel that occurs twice gets the same color twice and writing back is well
        defined.
        """
        _, count, height, width = self.data.shape
        steps = torch.arange(side, device=self.data.device)
        left = (center[:, 0] * self.scale).round().long() - side // 2
        top = (center[:, 1] * self.scale).round().long() - side // 2
        columns = (left[:, None] + steps).clamp_(0, width - 1)
        rows = (top[:, None] + steps).clamp_(0, height - 1)
        index = _patch_index(rows, columns)
        x = (columns.float() + 0.5)[:, None, :] / self.scale
        y = (rows.float() + 0.5)[:, :, None] / self.scale
        return Canvas(self.data[index], x, y, self.scale), index

    def patch_of_patch(self, center: Tensor, size: Tensor) -> tuple[Canvas, tuple]:
        """Copy a part of a patch around `center` (N, 2), as large as the largest `size` (N,).

        The columns of a patch may repeat at the picture's border. Therefore the nearest column is
        searched, and the part stays within the patch.
        """
        side = int(size.max() * self.scale) + 4
        height, width = self.data.shape[-2:]
        steps = torch.arange(side, device=center.device)
        x = self.x[:, 0]
        y = self.y[:, :, 0]
        nearest_x = torch.searchsorted(x.contiguous(), center[:, :1].contiguous())
        nearest_y = torch.searchsorted(y.contiguous(), center[:, 1:].contiguous())
        left = nearest_x[:, 0] - side // 2
        top = nearest_y[:, 0] - side // 2
        columns = (left[:, None] + steps).clamp_(0, width - 1)
        rows = (top[:, None] + steps).clamp_(0, height - 1)
        index = _patch_index(rows, columns)
        part_x = x.gather(1, columns)[:, None, :]
        part_y = y.gather(1, rows)[:, :, None]
        return Canvas(self.data[index], part_x, part_y, self.scale), index

    def put(self, patch: Canvas, index: tuple) -> None:
        """Write a painted patch back."""
        self.data[index] = patch.data


def _patch_index(rows: Tensor, columns: Tensor) -> tuple:
    """Return the index of rows (N, side) and columns (N, side) into a canvas (8, N, H, W)."""
    frame = torch.arange(len(rows), device=rows.device)[:, None, None]
    return (slice(None), frame, rows[:, :, None], columns[:, None, :])


def blank_canvas(background: Tensor, frames: int) -> Canvas:
    """Make a canvas that shows `background` (B, 3, H, W), each repeated for `frames` frames."""
    count, _, height, width = background.shape
    device = background.device
    data = torch.zeros((CHANNELS, count * frames, height, width), device=device)
    data[:3] = background.permute(1, 0, 2, 3).repeat_interleave(frames, 1)
    x = (torch.arange(width, device=device) + 0.5)[None, None, :] / height
    y = (torch.arange(height, device=device) + 0.5)[None, :, None] / height
    return Canvas(data, x, y, float(height))


@dataclass(frozen=True)
class Capsule:
    """Maps (N, h, w) of a tapered capsule."""

    distance: Tensor  # signed
    along: Tensor  # position along the axis, [0, 1]
    side: Tensor  # position across it, [-1, 1] inside, positive to the right of the axis
    beyond: Tensor  # position along the axis that goes on beyond its ends


def capsule(canvas: Canvas, start: Tensor, end: Tensor, first: Tensor, last: Tensor) -> Capsule:
    """Measure a capsule from `start` to `end` (N, 2) with radii `first` to `last` (N,)."""
    axis = end - start
    square = axis.square().sum(1).clamp_min(1e-8)
    x = canvas.x - as_map(start[:, 0])
    y = canvas.y - as_map(start[:, 1])
    share_x = x * as_map(axis[:, 0] / square)
    share_y = y * as_map(axis[:, 1] / square)
    beyond = share_x + share_y
    along = beyond.clamp(0, 1)
    across_x = x - along * as_map(axis[:, 0])
    across_y = y - along * as_map(axis[:, 1])
    radius = along * as_map(last - first) + as_map(first)
    distance = torch.hypot(across_x, across_y)
    unit = axis / square.sqrt()[:, None]
    across = across_x * as_map(-unit[:, 1]) + across_y * as_map(unit[:, 0])
    return Capsule(distance - radius, along, across / radius, beyond)


def ellipse(x: Tensor, y: Tensor, rx: Tensor, ry: Tensor) -> Tensor:
    """Return the signed distance, to first order, of an ellipse at the origin of x, y."""
    k = torch.hypot(x / rx, y / ry)
    slope = torch.hypot(x / (rx * rx), y / (ry * ry)).clamp_min(1e-6)
    return k * (k - 1) / slope


def ellipse_around(canvas: Canvas, center: Tensor, rx: Tensor, ry: Tensor) -> Tensor:
    """Return the signed distance (N, h, w) of ellipses around `center` (N, 2), radii (N,)."""
    x = canvas.x - as_map(center[:, 0])
    y = canvas.y - as_map(center[:, 1])
    return ellipse(x, y, as_map(rx), as_map(ry))


def distance_to(canvas: Canvas, point: Tensor) -> Tensor:
    """Return the distance (N, h, w) to one point (N, 2)."""
    x = canvas.x - as_map(point[:, 0])
    y = canvas.y - as_map(point[:, 1])
    return torch.hypot(x, y)


def polygon(canvas: Canvas, points: Tensor) -> Tensor:
    """Return the exact signed distance (N, h, w) of a closed polygon (N, K, 2) of any shape."""
    x = canvas.x
    y = canvas.y
    first = points[:, 0]
    nearest = (x - as_map(first[:, 0])).square() + (y - as_map(first[:, 1])).square()
    inside = torch.zeros(nearest.shape, dtype=torch.bool, device=x.device)
    ends = points
    starts = points.roll(1, 1)
    for k in range(points.shape[1]):
        px = x - as_map(ends[:, k, 0])
        py = y - as_map(ends[:, k, 1])
        edge = starts[:, k] - ends[:, k]
        ex = as_map(edge[:, 0])
        ey = as_map(edge[:, 1])
        nearest = torch.minimum(nearest, _segment_square(px, py, ex, ey))
        below_end = py >= 0
        below_start = y >= as_map(starts[:, k, 1])
        crosses = below_end != below_start
        inside ^= crosses & ((ex * py > ey * px) == (ey > 0))
    return torch.where(inside, -1.0, 1.0) * nearest.sqrt()


def polyline(canvas: Canvas, points: Tensor) -> Tensor:
    """Return the unsigned distance (N, h, w) to an open chain of segments (N, K, 2)."""
    squares = []
    for k in range(points.shape[1] - 1):
        px = canvas.x - as_map(points[:, k, 0])
        py = canvas.y - as_map(points[:, k, 1])
        edge = points[:, k + 1] - points[:, k]
        ex = as_map(edge[:, 0])
        ey = as_map(edge[:, 1])
        squares.append(_segment_square(px, py, ex, ey))
    return smallest(squares).sqrt()


def _segment_square(px: Tensor, py: Tensor, ex: Tensor, ey: Tensor) -> Tensor:
    """Return the square distance of pixels px, py to the segment from the origin to ex, ey."""
    square = (ex * ex + ey * ey).clamp_min(1e-12)
    along = ((px * ex + py * ey) / square).clamp_(0, 1)
    return (px - ex * along).square_() + (py - ey * along).square_()


def smallest(maps: Sequence[Tensor]) -> Tensor:
    """Return the smallest value per pixel of several maps (N, h, w)."""
    least = maps[0]
    for other in maps[1:]:
        least = torch.minimum(least, other)
    return least


def blob(canvas: Canvas, center: Tensor, rx: Tensor, ry: Tensor) -> Tensor:
    """Return a Gaussian bump (N, h, w) of height 1 around `center` (N, 2); separable and cheap."""
    x = (canvas.x - as_map(center[:, 0])) / as_map(rx)
    y = (canvas.y - as_map(center[:, 1])) / as_map(ry)
    return torch.exp(-0.5 * x.square()) * torch.exp(-0.5 * y.square())


def _full(value: Tensor | float, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.expand_as(like)
    return torch.full((1, 1, 1), float(value), device=like.device).expand_as(like)
