"""Holes of a picture filled with texture from its own known places, once per reference image.

Patch-based completion over a pyramid (Wexler, Shechtman, Irani, "Space-time completion of video", 2007) whose
nearest patches are found by random search and propagation (Barnes and others, "PatchMatch", 2009). The
search runs on a small grid; pixels are copied at full size, so that the filled place is as sharp as the rest.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 3  # of a patch, in cells of the grid
FINEST, COARSEST = 128, 24  # cells of the grid's shorter side: more costs time and brings no better copies
ROUNDS = (8, 5, 3, 2)  # search and vote this often per level, from the coarsest on; the last for the rest
SWEEPS = 3  # of propagation and random search per round
SHARP = 0.35  # patches count by exp(-distance / (SHARP x median distance))
TRUST = 0.7  # of a cell one further into the hole: what is known decides what is copied next to it
FEWEST = 24  # whole known patches below which nothing can be learnt from the picture


class _Level:
    """A picture (3,h,w), what is known of it (h,w), and the patches that may be copied or are looked for."""

    def __init__(self, colour: Tensor, known: Tensor, needed: Tensor) -> None:
        self.colour, self.known = colour, known
        self.size = known.shape
        whole = _eroded(known)
        self.usable = whole.flatten()
        self.sources = self.usable.nonzero()[:, 0]
        wanted = F.max_pool2d((needed & ~known)[None, None].float(), 2 * RADIUS + 1, 1, RADIUS)[0, 0] > 0
        rows, columns = (torch.arange(n, device=known.device) for n in self.size)
        near = [v.clamp(RADIUS, len(v) - 1 - RADIUS) for v in (rows, columns)]
        self.inside = (
            near[0][:, None] * self.size[1] + near[1]
        ).flatten()  # the next cell with a whole patch
        whole_patch = self.inside == torch.arange(len(self.inside), device=known.device)
        self.targets = (wanted.flatten() & whole_patch).nonzero()[:, 0]
        trust = _trust(known)
        self.trust = trust.flatten()
        weights = _patches(trust[None])[self.targets].repeat(1, len(colour))
        self.weights = weights / weights.sum(1, keepdim=True)


def _patches(maps: Tensor) -> Tensor:
    """(h w, C (2 RADIUS + 1)^2) the patch around every cell of maps (C,h,w)."""
    return F.unfold(maps[None], 2 * RADIUS + 1, padding=RADIUS)[0].T.contiguous()


def _trust(known: Tensor) -> Tensor:
    """(h,w): 1 where known, falling by TRUST with every cell further into the hole."""
    trust, reached = known.float(), known.float()[None, None]
    share = 1.0
    while share > 1e-3 and reached.min() < 1:
        share *= TRUST
        wider = F.max_pool2d(reached, 3, 1, 1)
        trust = torch.where((wider > reached)[0, 0], share, trust)
        reached = wider
    return trust.clamp_min(share)


def _eroded(known: Tensor) -> Tensor:
    """(h,w) bool: the whole patch around is known and inside the picture."""
    unknown = F.pad((~known)[None, None].float(), [RADIUS] * 4, value=1.0)
    return F.max_pool2d(unknown, 2 * RADIUS + 1, 1)[0, 0] == 0


def textured(colour: Tensor, known: Tensor, needed: Tensor, smooth: Tensor, finest: int = FINEST) -> Tensor:
    """Returns (3,H,W): `smooth` where nothing is needed, the picture where it is known, copies elsewhere.

    colour, smooth (3,H,W) in [0,1]; known, needed (H,W) bool. `smooth` is the fill to start from, and the
    answer where too little is known. `finest`: cells of the search's grid along the shorter side.
    """
    levels = _pyramid(colour, known, needed, smooth, finest)
    if not levels or len(levels[0].sources) < FEWEST or not len(levels[-1].targets):
        return torch.where(known, colour, smooth)
    generator = torch.Generator(colour.device).manual_seed(0)  # the same picture gives the same layers
    level, places = levels[0], None
    for index, level in enumerate(levels):
        if places is None:
            places = _anywhere(level, generator)
        else:
            places = _finer(levels[index - 1], places, level, generator)
            level.colour = torch.where(level.known, level.colour, _voted(level, places, None))
        for _ in range(ROUNDS[min(index, len(ROUNDS) - 1)]):
            places, distance = _search(level, places, generator)
            level.colour = torch.where(level.known, level.colour, _voted(level, places, distance))
    copied = _copied(colour, level, places)
    return torch.where(known | ~needed, torch.where(known, colour, smooth), copied)


def _pyramid(colour: Tensor, known: Tensor, needed: Tensor, smooth: Tensor, finest: int) -> list[_Level]:
    """Levels from coarse to fine; a cell is known where all of its pixels are."""
    shown = torch.where(known, colour, smooth)
    height, width = known.shape
    levels, side = [], finest
    while side >= COARSEST and side <= min(height, width):
        scale = side / min(height, width)
        size = (round(height * scale), round(width * scale))
        small = F.interpolate(shown[None], size, mode="area")[0]
        maps = torch.stack([known, needed]).float()[None]
        share = F.interpolate(maps, size, mode="area")[0]
        levels.append(_Level(small, share[0] > 0.99, share[1] > 0))
        side //= 2
    usable = [level for level in levels if len(level.sources) >= FEWEST and len(level.targets)]
    return usable[::-1]


def _anywhere(level: _Level, generator: torch.Generator) -> Tensor:
    """(h w,) for every cell a source cell: itself where usable, else a random one."""
    own = torch.arange(level.usable.numel(), device=level.colour.device)
    pick = torch.randint(len(level.sources), own.shape, generator=generator, device=own.device)
    return torch.where(level.usable, own, level.sources[pick])


def _finer(coarse: _Level, places: Tensor, level: _Level, generator: torch.Generator) -> Tensor:
    """The same copies on the finer grid; where that leads out of the known, a random place."""
    (h, w), (ch, cw) = level.size, coarse.size
    y, x = torch.arange(h, device=places.device), torch.arange(w, device=places.device)
    cy, cx = (y * ch // h)[:, None], (x * cw // w)[None]
    there = places[(cy * cw + cx)]
    sy = y[:, None] + ((there // cw - cy) * h) // ch
    sx = x[None] + ((there % cw - cx) * w) // cw
    inside = (sy >= 0) & (sy < h) & (sx >= 0) & (sx < w)
    moved = torch.where(inside, sy * w + sx, 0).flatten()
    good = inside.flatten() & level.usable[moved]
    return torch.where(good, moved, _anywhere(level, generator))


def _search(level: _Level, places: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Better source cells for all target cells, and their patches' distances, both (h w,)."""
    h, w = level.size
    patches, targets = _patches(level.colour), level.targets
    mine = patches[targets]
    best = places[targets]
    distance = ((patches[best] - mine).square() * level.weights).sum(1)
    steps = (1, -1, w, -w)
    for sweep in range(SWEEPS):
        jump = 2 ** (SWEEPS - 1 - sweep)
        for step in steps:
            neighbour = (targets - step * jump).clamp(0, h * w - 1)
            places = places.index_copy(0, targets, best)
            best, distance = _better(level, patches, mine, best, distance, places[neighbour] + step * jump)
        radius = max(h, w)
        while radius >= 1:
            shift = torch.randint(
                -radius, radius + 1, (2, len(targets)), generator=generator, device=best.device
            )
            row, column = best // w + shift[0], best % w + shift[1]
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            candidate = torch.where(inside, row * w + column, best)
            best, distance = _better(level, patches, mine, best, distance, candidate)
            radius //= 3
    found = torch.zeros_like(places, dtype=distance.dtype).index_copy(0, targets, distance)
    return _bordered(level, places.index_copy(0, targets, best)), found[level.inside]


def _bordered(level: _Level, places: Tensor) -> Tensor:
    """Cells at the picture's edge copy along with the next cell that has a whole patch."""
    h, w = level.size
    own = torch.arange(h * w, device=places.device)
    there = places[level.inside]
    row = (there // w + own // w - level.inside // w).clamp(0, h - 1)
    return row * w + (there % w + own % w - level.inside % w).clamp(0, w - 1)


def _better(
    level: _Level, patches: Tensor, mine: Tensor, best: Tensor, distance: Tensor, candidate: Tensor
) -> tuple[Tensor, Tensor]:
    """The candidate cells (n,) where they are usable and their patches nearer."""
    candidate = candidate.clamp(0, level.usable.numel() - 1)
    tried = (level.usable[candidate] & (candidate != best)).nonzero()[:, 0]
    there = candidate[tried]
    apart = ((patches[there] - mine[tried]).square() * level.weights[tried]).sum(1)
    nearer = apart < distance[tried]
    rows = tried[nearer]
    return best.index_copy(0, rows, there[nearer]), distance.index_copy(0, rows, apart[nearer])


def _voted(level: _Level, places: Tensor, distance: Tensor | None) -> Tensor:
    """(3,h,w) every cell's mean over what the patches around it would copy to it; near patches count more."""
    h, w = level.size
    flat = level.colour.flatten(1)
    weight = level.trust
    if distance is not None:
        middle = distance[level.targets].median().clamp_min(1e-6)
        weight = weight * torch.exp(-distance / (SHARP * middle)).clamp_min(1e-6)
    total, count = torch.zeros_like(level.colour), torch.zeros_like(level.colour[:1])
    grid = places.view(h, w)
    weights = weight.view(h, w)
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            rows, columns = slice(max(0, dy), h + min(0, dy)), slice(max(0, dx), w + min(0, dx))
            there = slice(max(0, -dy), h + min(0, -dy)), slice(max(0, -dx), w + min(0, -dx))
            source = (grid[there] + dy * w + dx).clamp(0, h * w - 1)
            share = weights[there]
            total[:, rows, columns] += flat[:, source] * share
            count[:, rows, columns] += share
    return total / count.clamp_min(1e-12)


def _copied(colour: Tensor, level: _Level, places: Tensor) -> Tensor:
    """(3,H,W) at full size: each pixel copied by the four cells around it, blended bilinearly."""
    (height, width), (h, w) = colour.shape[1:], level.size
    sy, sx = height / h, width / w
    y = torch.arange(height, device=colour.device)
    x = torch.arange(width, device=colour.device)
    fy, fx = (y + 0.5) / sy - 0.5, (x + 0.5) / sx - 0.5
    top, left = fy.floor(), fx.floor()
    total = torch.zeros_like(colour)
    for oy in (0, 1):
        for ox in (0, 1):
            cy, cx = (top + oy).clamp(0, h - 1), (left + ox).clamp(0, w - 1)
            share = (1 - (fy - top - oy).abs())[:, None] * (1 - (fx - left - ox).abs())[None]
            cell = places[(cy[:, None] * w + cx[None]).long()]
            row = (y[:, None] + ((cell // w - cy[:, None]) * sy)).round().clamp(0, height - 1).long()
            column = (x[None] + ((cell % w - cx[None]) * sx)).round().clamp(0, width - 1).long()
            total += colour[:, row, column] * share
    return total
