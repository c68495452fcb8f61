"""Close the steps where copied pixels meet: a screened Poisson equation of the copies' own
gradients.

After Pérez, Gangnet and Blake, "Poisson image editing" (2003), and Darabi and others, "Image
melding" (2012). Maps span the hole's window with a margin of one pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE = 0.15  # of a step in color between copies that is closed no more
TURNS = 40  # of conjugate gradients
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # to the neighbors, rows first


class Copies:
    """What n places (n,2) of a picture copy from its pixels (H W,3).

    offsets (n,k,2): from where, relative to them; shares (n,k): of each of these sources. A place
    whose first share is 1 copies from the first one alone.
    """

    def __init__(
        self, pixels: Tensor, hole: Tensor, offsets: Tensor, shares: Tensor, size: tuple[int, int]
    ) -> None:
        self.pixels = pixels
        self.size = size
        self.rows, self.columns = hole.unbind(-1)
        down, across = offsets.unbind(-1)
        rows = self.rows.int()[:, None] + down
        columns = self.columns.int()[:, None] + across
        self._mixed = (shares[:, 0] < 1).nonzero()[:, 0]
        self._shares = shares[self._mixed]
        self._first = (rows[:, 0], columns[:, 0])
        self._all = (rows[self._mixed], columns[self._mixed])

    def beside(self, step: tuple[int, int]) -> Tensor:
        """(n,3) what their sources show a step of pixels (down, across) further."""
        alone = self.pixels.index_select(0, self._index(self._first, step))
        index = self._index(self._all, step)
        mixed = F.embedding_bag(index, self.pixels, mode="sum", per_sample_weights=self._shares)
        return alone.index_copy(0, self._mixed, mixed)

    def _index(self, places: tuple[Tensor, Tensor], step: tuple[int, int]) -> Tensor:
        """Rows among the pixels, a step beside places; what lies outside takes the edge."""
        height, width = self.size
        row = (places[0] + step[0]).clamp_(0, height - 1)
        column = (places[1] + step[1]).clamp_(0, width - 1)
        return row * width + column


class _Window:
    """The window of a hole, with one pixel around it."""

    def __init__(self, copies: Copies) -> None:
        self.top = int(copies.rows.min()) - 1
        self.left = int(copies.columns.min()) - 1
        self.height = int(copies.rows.max()) + 2 - self.top
        self.width = int(copies.columns.max()) + 2 - self.left
        self._index = (copies.rows - self.top) * self.width + copies.columns - self.left

    def spread(self, values: Tensor) -> Tensor:
        """(C,h,w) the values (n,C) of the hole, 0 beside it."""
        maps = values.new_zeros(values.shape[1], self.height * self.width)
        maps = maps.index_copy_(1, self._index, values.T)
        return maps.unflatten(1, (self.height, self.width))

    def cut(self, maps: Tensor) -> Tensor:
        """(C,h,w) of maps (C,H,W), 0 outside the picture."""
        height, width = maps.shape[1:]
        bottom = self.top + self.height - height
        right = self.left + self.width - width
        return F.pad(maps, (-self.left, right, -self.top, bottom))

    def values(self, maps: Tensor) -> Tensor:
        """(C,n) of maps (C,h,w) in the hole."""
        return maps.flatten(1).index_select(1, self._index)


def joined(color: Tensor, known: Tensor, copies: Copies, screen: float) -> Tensor:
    """Return the picture (3,H,W) with its hole filled by copies whose steps are closed.

    known (H,W) bool; screen: how fast the colors that close a step fade, per square pixel.
    """
    window = _Window(copies)
    own = copies.beside((0, 0))
    hole = window.spread(torch.ones_like(own[:, :1]))
    there = torch.maximum(window.cut(known[None].to(own.dtype)), hole)
    filled = torch.lerp(window.cut(color), window.spread(own), hole)
    pull, count = measure_pull(filled, hole, there, copies, window)
    closed = solve_membrane(pull, hole, count + screen)
    values = window.values(filled + closed).clamp_(0, 1)
    at = copies.rows * color.shape[2] + copies.columns
    return color.flatten(1).index_copy(1, at, values).view_as(color)


def _moved(maps: Tensor, step: tuple[int, int]) -> Tensor:
    """(C,h,w) what maps show a step (down, across) beside each pixel; around the edge the other
    side."""
    return maps.roll((-step[0], -step[1]), (1, 2))


def measure_pull(
    filled: Tensor, hole: Tensor, there: Tensor, copies: Copies, window: _Window
) -> tuple[Tensor, Tensor]:
    """(3,h,w) by how much neighbors differ from what a pixel's source shows next to it; (1,h,w) how
    many neighbors there are.

    hole, there (1,h,w): 1 in the hole, 1 where anything is shown. A difference above EDGE is taken
    for an edge between two things, which stays.
    """
    steps = []
    count = torch.zeros_like(hole)
    for step in STEPS:
        is_there = _moved(there, step) * hole
        count += is_there
        shown = window.spread(copies.beside(step))
        steps.append((_moved(filled, step) - shown) * is_there)
    pull = torch.zeros_like(filled)
    for index, step in enumerate(STEPS):
        own = steps[index]
        back = _moved(steps[index - 2], step)  # the same two pixels, seen from the other one
        both = _moved(hole, step)
        mean = torch.lerp(own, (own - back) / 2, both)
        square = mean.square().sum(0, keepdim=True)
        pull += mean * torch.exp(-square / EDGE**2)
    return pull * hole, count


def solve_membrane(pull: Tensor, hole: Tensor, diagonal: Tensor) -> Tensor:
    """(3,h,w) x of diagonal x - sum of neighbors' x = pull in the hole, 0 beside it, by conjugate
    gradients.

    pull (3,h,w) is 0 beside the hole; hole, diagonal (1,h,w); the window's margin is no hole.
    """
    x = torch.zeros_like(pull)
    rest = pull.clone()
    step = rest / diagonal
    along = step.clone()
    power = _dot(rest, step)
    for _ in range(TURNS):
        applied = diagonal * along
        applied[:, 1:] -= along[:, :-1]
        applied[:, :-1] -= along[:, 1:]
        applied[:, :, 1:] -= along[:, :, :-1]
        applied[:, :, :-1] -= along[:, :, 1:]
        applied *= hole
        length = power / _dot(along, applied).clamp_min(1e-12)
        x += length * along
        rest -= length * applied
        step = torch.div(rest, diagonal, out=step)
        before = power
        power = _dot(rest, step)
        along *= power / before.clamp_min(1e-12)
        along += step
    return x


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """(3,1,1) of maps (3,h,w)."""
    return (first * second).sum((1, 2), keepdim=True)
