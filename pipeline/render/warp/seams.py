"""Close the steps where copied pixels meet: a screened Poisson equation of the copies' own
gradients.

After Pérez, Gangnet and Blake, "Poisson image editing" (2003), and Darabi and others, "Image
melding" (2012).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE = 0.15  # of a step in color between copies that is closed no more
TURNS = 40  # of conjugate gradients


def copy_pixels(
    pixels: Tensor, at: Tensor, offsets: Tensor, shares: Tensor, size: tuple[int, int]
) -> Tensor:
    """(n,3) what comes from pixels (H W,3) to the places `at` (n,2) by each one's offsets and
    shares."""
    total = _copies(pixels, at, offsets[:, 0], size)
    mixed = (shares[:, 0] < 1).nonzero()[:, 0]  # the others copy from one place
    at = at[mixed]
    offsets = offsets[mixed]
    shares = shares[mixed]
    blend = total[mixed] * shares[:, :1]
    for k in range(1, offsets.shape[1]):
        blend += _copies(pixels, at, offsets[:, k], size) * shares[:, k, None]
    return total.index_copy(0, mixed, blend)


def _copies(pixels: Tensor, at: Tensor, offset: Tensor, size: tuple[int, int]) -> Tensor:
    """(n,3) the pixels (H W,3) at places `at` (n,2) plus an offset (n,2) each."""
    row, column = ((at[:, i] + offset[:, i]).clamp_(0, size[i] - 1) for i in (0, 1))
    return pixels.index_select(0, row * size[1] + column)


def measure_pull(
    filled: Tensor, pixels: Tensor, hole: Tensor, offsets: Tensor, shares: Tensor, known: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """(n,3) by how much neighbours differ from what a pixel's source shows next to it, and who they
    are.

    Neighbours (4,n) are indices into the hole's n pixels, n where known or none; `count` (n,1)
    those that are there. A difference above EDGE is taken for an edge between two things, which
    stays.
    """
    (height, width), n = known.shape, len(hole)
    flat = hole[:, 0] * width + hole[:, 1]
    index = torch.full((height * width,), n, device=hole.device)
    index[flat] = torch.arange(n, device=hole.device)
    mates = []
    steps = []
    count = 0
    for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        there = hole + hole.new_tensor(step)
        inside = ((there >= 0) & (there < hole.new_tensor([height, width]))).all(1)
        other = torch.where(inside, there[:, 0] * width + there[:, 1], flat)
        mates.append(torch.where(inside, index[other], n))
        there_too = (inside & ((mates[-1] < n) | known.flatten()[other]))[:, None].to(filled.dtype)
        count = count + there_too
        steps.append(
            (filled[other] - copy_pixels(pixels, there, offsets, shares, known.shape)) * there_too
        )
    pull = torch.zeros_like(steps[0])
    for k, (mate, step) in enumerate(zip(mates, steps, strict=True)):
        back = F.pad(steps[(k + 2) % 4], (0, 0, 0, 1))[
            mate
        ]  # the same two pixels, seen from the other one
        step = torch.where((mate < n)[:, None], (step - back) / 2, step)
        pull += step * torch.exp(-step.square().sum(1, keepdim=True) / EDGE**2)
    return pull, (torch.stack(mates), count)


def solve_membrane(pull: Tensor, mates: Tensor, count: Tensor, screen: float) -> Tensor:
    """(n,3) x of (count + screen) x - sum of neighbours' x = pull, 0 outside, by conjugate
    gradients."""
    diagonal = count + screen
    x = torch.zeros_like(pull)
    rest = pull
    along = step = rest / diagonal
    power = (rest * step).sum(0)
    for _ in range(TURNS):
        padded = F.pad(along, (0, 0, 0, 1))
        applied = diagonal * along - sum(padded.index_select(0, mate) for mate in mates)
        length = power / (along * applied).sum(0).clamp_min(1e-12)
        x = x + length * along
        rest = rest - length * applied
        step = rest / diagonal
        before = power
        power = (rest * step).sum(0)
        along = step + power / before.clamp_min(1e-12) * along
    return x
