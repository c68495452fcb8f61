"""Head and torso of one call, drawn over pictures a few frames at a time.

Maps are known on the coarse grid of the `Flow`. They are enlarged inside the window of the frames
that are drawn. N = B T frames, n of them drawn at once, h x w = grid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.face import mouth, paint, side
from pipeline.render.warp.flows import Flow, in_texture
from pipeline.render.warp.layers import Plates
from pipeline.render.warp.maps import looked_up, per_frame

# head heights around eyes and lips within which the fields of their two edges differ
FACE_ROOM = 0.35
CELLS_AROUND = 2  # of the grid: the mouth's maps look one cell aside


@dataclass(frozen=True)
class Box:
    """A window of a picture, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @staticmethod
    def within(
        size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
    ) -> Box | None:
        """Return the part of some rows and columns that lies in a picture (H, W)."""
        height, width = size
        top, bottom = rows
        left, right = columns
        box = Box(max(0, top), min(height, bottom), max(0, left), min(width, right))
        return box if box.top < box.bottom and box.left < box.right else None

    def of(self, maps: Tensor) -> Tensor:
        """Return the window of maps (..., H, W)."""
        return maps[..., self.top : self.bottom, self.left : self.right]

    def inside(self, other: Box) -> Box:
        """Return the box as rows and columns of another one that holds it."""
        top = self.top - other.top
        bottom = self.bottom - other.top
        left = self.left - other.left
        right = self.right - other.left
        return Box(top, bottom, left, right)


class MovedBody:
    """Head and torso of B reference images in N frames of a size (H, W)."""

    def __init__(self, layers: Plates, found: Flow, size: tuple[int, int]) -> None:
        self._layers = layers
        self._size = size
        self._frames = len(found.unit) // len(layers.image)
        aspect = layers.size[1] / layers.size[0]
        both = found.body.unflatten(1, (2, 2))
        places = in_texture(both, aspect, layers.room)
        middle = places.mean(1)
        self._maps = torch.cat([middle, found.agree], 1)
        self._pixels = _pixels(found.unit, size)
        faces = _face_boxes(found, size, aspect)
        firsts = range(0, len(faces), self._frames)
        self._faces = [_around(faces[first : first + self._frames]) for first in firsts]
        self._cells = _cells(_around(faces), size, found.nodes.shape[1:])
        nodes = self._cells.of(found.nodes)
        inside = mouth(found.reference, found.target, nodes, found.unit, found.head_ratio)
        self._teeth = inside.teeth
        fields = self._cells.of(places).flatten(1, 2)
        maps = [fields, inside.depth, inside.outside, inside.paint]
        self._slits = torch.cat(maps, 1)
        reach = per_frame(layers.body_reach, self._frames)
        there = looked_up(reach, middle)[:, 0] > 0
        self._boxes = _boxes(there, size)

    def draw(self, picture: Tensor, still: Tensor, rows: slice) -> None:
        """Draw some frames of one person over pictures (n, 4, H, W).

        What is painted is taken from `still` (n, 1, H, W), which says where the photo is shown.
        """
        person = rows.start // self._frames
        face = self._faces[person]
        box = _around([*self._boxes[rows], face])
        if box is None:
            return
        maps = self._enlarged(self._maps[rows], box)
        places = maps[:, :2]
        agree = maps[:, 2:]
        texture = self._layers.body[person : person + 1]
        if face is None:
            body = looked_up(texture, places)
        else:
            slits = self._enlarged(self._slits[rows], face, self._cells)
            window = face.inside(box)
            window.of(places)[:] = self._on_one_side(slits)
            body = looked_up(texture, places)
            painted = self._paint(window.of(body), slits, rows)
            face.of(still).mul_(1 - painted)
        body *= agree
        color = body[:, :3]
        alpha = body[:, 3:4]
        known = body[:, 4:]
        below = box.of(picture)
        below *= 1 - alpha
        below[:, :3] += color
        below[:, 3:] += known

    def _on_one_side(self, slits: Tensor) -> Tensor:
        """Return places (n, 2, h, w) around eyes and lips, each edge by its own field."""
        above = slits[:, :2]
        below = slits[:, 2:4]
        depth = slits[:, 4:6]
        outside = slits[:, 6:7]
        share = side(depth, outside, 1 / self._size[0])
        return torch.lerp(above, below, share)

    def _paint(self, window: Tensor, slits: Tensor, rows: slice) -> Tensor:
        """Paint the mouth over a window (n, 5, h, w); return where (n, 1, h, w)."""
        person = rows.start // self._frames
        lips = self._layers.lips[person : person + 1]
        teeth = self._teeth[rows]
        color, amount = paint(window[:, :3], slits[:, 4:], teeth, lips, 1 / self._size[0])
        window[:, :3] = color
        window[:, 4:] *= 1 - amount
        return amount

    def _enlarged(self, maps: Tensor, box: Box, cells: Box | None = None) -> Tensor:
        """Return the window `box` of maps (n, C, h, w) at the picture's size.

        `cells`: the window of the grid that the maps span, if not all of it.
        """
        where = self._pixels[:, box.top : box.bottom, box.left : box.right]
        if cells is not None:
            height, width = self._maps.shape[2:]
            x = _of_part(where[..., 0], width, cells.left, cells.right)
            y = _of_part(where[..., 1], height, cells.top, cells.bottom)
            where = torch.stack([x, y], -1)
        where = where.expand(len(maps), -1, -1, -1)
        return F.grid_sample(maps, where, padding_mode="border", align_corners=True)


def _of_part(places: Tensor, count: int, first: int, stop: int) -> Tensor:
    """Return places, -1 to 1 on a line of `count` nodes, as such on its part first..stop."""
    at = (places + 1) * ((count - 1) / 2)
    return (at - first) * (2 / (stop - 1 - first)) - 1


def _cells(box: Box | None, size: tuple[int, int], grid: tuple[int, int]) -> Box:
    """Return the window of a grid (h, w) that a window of a picture (H, W) is enlarged from."""
    if box is None:
        return Box(0, 2, 0, 2)
    height, width = grid
    rows = (height - 1) / (size[0] - 1)
    columns = (width - 1) / (size[1] - 1)
    top = int(box.top * rows) - CELLS_AROUND
    bottom = int(box.bottom * rows) + 2 + CELLS_AROUND
    left = int(box.left * columns) - CELLS_AROUND
    right = int(box.right * columns) + 2 + CELLS_AROUND
    return Box.within(grid, (top, bottom), (left, right)) or Box(0, 2, 0, 2)


def _pixels(like: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (1, H, W, 2) x and y of the pixels, from -1 at the first to 1 at the last one."""
    height, width = size
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    y = torch.arange(height, device=like.device, dtype=like.dtype)
    x = x * (2 / (width - 1)) - 1
    y = y * (2 / (height - 1)) - 1
    grid = torch.meshgrid(x, y, indexing="xy")
    return torch.stack(grid, -1)[None]


def _around(boxes: Iterable[Box | None]) -> Box | None:
    """Return the window that holds all boxes."""
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    top = min(box.top for box in known)
    bottom = max(box.bottom for box in known)
    left = min(box.left for box in known)
    right = max(box.right for box in known)
    return Box(top, bottom, left, right)


def _boxes(there: Tensor, size: tuple[int, int]) -> list[Box | None]:
    """Return the window of each frame that holds what is `there` (N, h, w) on the grid."""
    height, width = there.shape[1:]
    lines = torch.cat([there.any(2), there.any(1)], 1)
    boxes = []
    for line in lines.cpu().numpy():  # one sync
        rows = _span(line[:height], size[0])
        columns = _span(line[height:], size[1])
        boxes.append(Box.within(size, rows, columns))
    return boxes


def _span(line: np.ndarray, pixels: int) -> tuple[int, int]:
    """Return the first pixel where a line (n,) bool is true and that after the last, widened."""
    places = np.flatnonzero(line)
    if not len(places):
        return 0, 0
    step = pixels / len(line)
    first = (places[0] - 1) * step
    last = (places[-1] + 2) * step
    return int(first), int(last) + 1


def _face_boxes(found: Flow, size: tuple[int, int], aspect: float) -> list[Box | None]:
    """Return the window of each frame that holds eyes and lips, if they are seen."""
    target = found.target
    both = found.reference.face_seen & target.face_seen
    is_seen = both.float().mean(-1) > 0.5
    reach = (found.unit * found.ratio * FACE_ROOM)[:, None]
    eyes_and_lips = target.face[:, 36:]
    scale = reach.new_tensor([size[1] / aspect, size[0]])
    low = (eyes_and_lips.amin(1) - reach) * scale
    high = (eyes_and_lips.amax(1) + reach) * scale
    corners = torch.cat([low.floor(), high.ceil()], 1)
    corners = torch.where(is_seen[:, None], corners, 0.0)
    boxes = []
    for left, top, right, bottom in corners.int().tolist():  # one sync
        boxes.append(Box.within(size, (top, bottom), (left, right)))
    return boxes
