"""Holes of a picture filled with texture from its own known places, once per reference image.

Patch-based completion over a pyramid (Wexler, Shechtman, Irani, "Space-time completion of video",
2007). The coarsest level is filled from the border inwards with all patches compared; on finer ones
nearest patches are found by random search and propagation (Barnes and others, "PatchMatch", 2009).
The search runs on a small grid; pixels are copied at full size, so that the filled place is as
sharp as the rest. Steps where copies meet each other or the known picture are closed by a screened
Poisson equation of the copies' own gradients (Pérez, Gangnet, Blake, "Poisson image editing", 2003;
Darabi and others, "Image melding", 2012).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp import seams

RADIUS = 3  # of a patch, in cells of the grid
# cells of the grid's shorter side: more costs time and brings no better copies
FINEST = 128
COARSEST = 24
# a coarser start has too few whole patches in what a person leaves of a room
LEVELS = 3
SHRINK = 0.62
CELLS = 40000  # of the finest grid at most: a long picture has a coarser one
ROUNDS = (3, 4, 3)  # search and vote this often per level, from the coarsest on
SWEEPS = 3  # of propagation and random search per round
SHARP = 0.35  # patches count by exp(-distance / (SHARP x median distance))
TRUST = 0.3  # of a cell one further into the hole: what is known decides what is copied next to it
# cells by which the coarsest level is filled at once, from the border inwards; RADIUS at most
STEP = 3
GUESS = 0.01  # trust in the smooth fill where the coarsest level is not filled yet
FAR = 0.02  # of squared color that a source a whole picture away must be better
# patches compared with all sources, and pixels copied, at once: memory
ATONCE = 1024
PIXELS = 65536
# colors so far apart are alike; the power by which like copies gain
LIKE = 0.06
NARROW = 5
SCREEN = 0.06  # of the shorter side, over which the colors that close a step fade
FEWEST = 24  # whole known patches below which nothing can be learnt from the picture


# color, known, needed, smooth -> filled; see `textured`
Fill = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class _Level:
    """A picture (3,h,w), what is known of it (h,w), and the patches that may be copied or are
    looked for."""

    def __init__(self, color: Tensor, known: Tensor, needed: Tensor) -> None:
        self.color = color
        self.known = known
        self.size = known.shape
        whole = _eroded(known)
        self.usable = whole.flatten()
        self.sources = self.usable.nonzero()[:, 0]
        wanted = (
            F.max_pool2d((needed & ~known)[None, None].float(), 2 * RADIUS + 1, 1, RADIUS)[0, 0] > 0
        )
        rows, columns = (torch.arange(n, device=known.device) for n in self.size)
        near = [v.clamp(RADIUS, len(v) - 1 - RADIUS) for v in (rows, columns)]
        # the next cell with a whole patch
        self.inside = (near[0][:, None] * self.size[1] + near[1]).flatten()
        whole_patch = self.inside == torch.arange(len(self.inside), device=known.device)
        self.wanted = wanted.flatten() & whole_patch
        self.aim(_trust(known).to(color.dtype))

    @cached_property
    def votes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Unknown cells (n,); the (n,k) cells whose patches hold them, h w outside the picture; the
        steps (k,) from there."""
        h, w = self.size
        hole = (~self.known).flatten().nonzero()[:, 0]
        reach = torch.arange(-RADIUS, RADIUS + 1, device=hole.device)
        down = reach.repeat_interleave(len(reach))
        across = reach.repeat(len(reach))
        row = (hole // w)[:, None] - down
        column = (hole % w)[:, None] - across
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        voters = torch.where(inside, row * w + column, h * w)
        return hole, voters, down * w + across

    def aim(self, trust: Tensor, near: Tensor | None = None) -> None:
        """Looks for patches around wanted cells, those of `near` (h,w) only, by what `trust` (h,w)
        counts."""
        self.trust = trust.flatten()
        targets = self.wanted if near is None else self.wanted & near.flatten()
        self.targets = targets.nonzero()[:, 0]
        weights = _patches(trust[None])[self.targets].repeat(1, len(self.color))
        self.weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)


def _patches(maps: Tensor) -> Tensor:
    """(h w, C (2 RADIUS + 1)^2) the patch around every cell of maps (C,h,w)."""
    return F.unfold(maps[None], 2 * RADIUS + 1, padding=RADIUS)[0].T.contiguous()


def _trust(known: Tensor) -> Tensor:
    """(h,w): 1 where known, falling by TRUST with every cell further into the hole."""
    trust = known.float()
    reached = known.float()[None, None]
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


def textured(
    color: Tensor, known: Tensor, needed: Tensor, smooth: Tensor, finest: int = FINEST
) -> Tensor:
    """Returns (3,H,W): `smooth` where nothing is needed, the picture where it is known, copies
    elsewhere.

    color, smooth (3,H,W) in [0,1]; known, needed (H,W) bool. `smooth` is the fill to start from,
    and the answer where too little is known. `finest`: cells of the search's grid along the shorter
    side.
    """
    levels = _pyramid(color, known, needed, smooth, finest)
    if not levels or len(levels[0].sources) < FEWEST or not len(levels[-1].targets):
        return torch.where(known, color, smooth)
    generator = torch.Generator(color.device).manual_seed(
        0
    )  # the same picture gives the same layers
    level = levels[0]
    places = _grown_in(level, generator)
    for index, level in enumerate(levels):
        if index:
            places = _finer(levels[index - 1], places, level, generator)
            level.color = _voted(level, places, None)
        for _ in range(ROUNDS[index]):
            if index:
                places, distance = _search(level, places, generator)
            else:
                places, distance = _nearest(level, places)
            level.color = _voted(level, places, distance)
    copied = _copied(color, level, places, known, needed)
    return torch.where(known | ~needed, torch.where(known, color, smooth), copied)


def _grown_in(level: _Level, generator: torch.Generator) -> Tensor:
    """(h w,) source cells found from the hole's border inwards; leaves the level's color filled
    so."""
    trust = level.trust.view(level.size)
    reached = level.known
    places = _anywhere(level, generator)
    distance = torch.zeros_like(level.trust)
    while not reached.all():
        wider = _wider(reached, STEP)
        settled = ~_wider(~reached, 2 * RADIUS)
        level.aim(trust * torch.where(reached, 1.0, GUESS), wider & ~settled)
        if len(level.targets):
            places, found = _nearest(level, places)
            distance = torch.where(settled.flatten(), distance, found)
            level.trust = (trust * wider).flatten()
            level.color = _voted(level, places, distance)
        reached = wider
    level.aim(trust)
    return places


def _wider(mask: Tensor, cells: int) -> Tensor:
    """(h,w) bool: within so many cells of the mask."""
    return F.max_pool2d(mask[None, None].float(), 2 * cells + 1, 1, cells)[0, 0] > 0


def _nearest(level: _Level, places: Tensor) -> tuple[Tensor, Tensor]:
    """As `_search`, but every source is tried: sum w (s - t)^2 as two products of matrices."""
    patches = _patches(level.color)
    sources = patches[level.sources]
    colors = len(level.color)
    squares = sources.square().unflatten(1, (colors, -1)).sum(1).T
    best = []
    distance = []
    for rows in torch.arange(len(level.targets), device=places.device).split(ATONCE):
        weights = level.weights[rows]
        targets = level.targets[rows]
        mine = patches[targets]
        once = weights[:, : len(squares)]  # the same for every color
        apart = torch.addmm(once @ squares, weights * mine, sources.T, alpha=-2)
        cost = torch.add(apart, _away(level, targets), alpha=FAR / max(level.size))
        pick = cost.argmin(1)
        best.append(level.sources[pick])
        distance.append(apart.gather(1, pick[:, None])[:, 0] + (weights * mine.square()).sum(1))
    return _found(level, places, torch.cat(best), torch.cat(distance).clamp_min(0))


def _away(level: _Level, targets: Tensor) -> Tensor:
    """(n,m) how many cells each of m sources is away from the targets (n,)."""
    w = level.size[1]
    dtype = level.color.dtype
    here = torch.stack([targets // w, targets % w], 1).to(dtype)
    there = torch.stack([level.sources // w, level.sources % w]).to(dtype)
    own = here.square().sum(1, keepdim=True)
    squares = torch.addmm(there.square().sum(0) + own, here, there, alpha=-2)  # whole numbers
    return squares.clamp_min_(0).sqrt_()


def _pyramid(
    color: Tensor, known: Tensor, needed: Tensor, smooth: Tensor, finest: int
) -> list[_Level]:
    """Levels from coarse to fine; a cell is known where all of its pixels are."""
    shown = torch.where(known, color, smooth)
    height, width = known.shape
    levels = []
    side = finest
    while side >= COARSEST and side <= min(height, width) and len(levels) < LEVELS:
        scale = min(side / min(height, width), (CELLS / (height * width)) ** 0.5 * side / finest)
        size = (round(height * scale), round(width * scale))
        small = F.interpolate(shown[None], size, mode="area")[0]
        maps = torch.stack([known, needed]).float()[None]
        share = F.interpolate(maps, size, mode="area")[0]
        levels.append(_Level(small, share[0] > 0.99, share[1] > 0))
        side = round(side * SHRINK)
    usable = [level for level in levels if len(level.sources) >= FEWEST and len(level.targets)]
    return usable[::-1]


def _anywhere(level: _Level, generator: torch.Generator) -> Tensor:
    """(h w,) for every cell a source cell: itself where usable, else a random one."""
    own = torch.arange(level.usable.numel(), device=level.color.device)
    pick = torch.randint(len(level.sources), own.shape, generator=generator, device=own.device)
    return torch.where(level.usable, own, level.sources[pick])


def _finer(coarse: _Level, places: Tensor, level: _Level, generator: torch.Generator) -> Tensor:
    """The same copies on the finer grid; where that leads out of the known, a random place."""
    (h, w), (ch, cw) = level.size, coarse.size
    y = torch.arange(h, device=places.device)
    x = torch.arange(w, device=places.device)
    cy = (y * ch // h)[:, None]
    cx = (x * cw // w)[None]
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
    targets = level.targets
    race = _Race(level)
    best = places[targets]
    distance = race.distances(best)
    steps = (1, -1, w, -w)
    for sweep in range(SWEEPS):
        jump = 2 ** (SWEEPS - 1 - sweep)
        for step in steps:
            neighbour = (targets - step * jump).clamp(0, h * w - 1)
            places = places.index_copy(0, targets, best)
            best, distance = race.better(best, distance, places[neighbour] + step * jump)
        radius = max(h, w)
        while radius >= 1:
            shift = torch.randint(
                -radius, radius + 1, (2, len(targets)), generator=generator, device=best.device
            )
            row = best // w + shift[0]
            column = best % w + shift[1]
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            candidate = torch.where(inside, row * w + column, best)
            best, distance = race.better(best, distance, candidate)
            radius //= 3
    return _found(level, places, best, distance)


class _Race:
    """Source cells that compete for a level's targets, by every other cell of their patches."""

    def __init__(self, level: _Level) -> None:
        area = (2 * RADIUS + 1) ** 2
        columns = F.unfold(level.color[None], 2 * RADIUS + 1, padding=RADIUS)[0]
        columns = columns.unflatten(0, (-1, area))[:, ::2]
        self._usable = level.usable
        self._patches = columns.transpose(1, 2).contiguous()
        self._mine = self._patches[:, level.targets]
        self._weights = level.weights[:, :area:2].contiguous()

    def distances(self, cells: Tensor) -> Tensor:
        """(n,) how far the patches around cells (n,) are from those of the n targets."""
        apart = self._patches[:, cells] - self._mine
        return (apart.square_() * self._weights).sum((0, 2))

    def better(self, best: Tensor, distance: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
        """The candidate cells (n,) where they are usable and their patches nearer.

        Most are too far in one color already: the next colors are compared for the others alone.
        """
        candidate = candidate.clamp(0, len(self._usable) - 1)
        rows = (self._usable[candidate] & (candidate != best)).nonzero()[:, 0]
        apart = distance.new_zeros(len(rows))
        for theirs, own in zip(self._patches, self._mine, strict=True):
            step = theirs.index_select(0, candidate[rows]) - own.index_select(0, rows)
            step = step.square_().mul_(self._weights.index_select(0, rows))
            apart = apart + step.sum(1)
            nearer = apart < distance[rows]
            rows = rows[nearer]
            apart = apart[nearer]
        return best.index_copy(0, rows, candidate[rows]), distance.index_copy(0, rows, apart)


def _found(level: _Level, places: Tensor, best: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Source cells of all cells and their distances, both (h w,), from those of the targets."""
    found = torch.zeros_like(places, dtype=distance.dtype).index_copy(0, level.targets, distance)
    return _bordered(level, places.index_copy(0, level.targets, best)), found[level.inside]


def _bordered(level: _Level, places: Tensor) -> Tensor:
    """Cells at the picture's edge copy along with the next cell that has a whole patch."""
    h, w = level.size
    own = torch.arange(h * w, device=places.device)
    there = places[level.inside]
    row = (there // w + own // w - level.inside // w).clamp(0, h - 1)
    return row * w + (there % w + own % w - level.inside % w).clamp(0, w - 1)


def _voted(level: _Level, places: Tensor, distance: Tensor | None) -> Tensor:
    """(3,h,w) what is known; every other cell's mean over what the patches around it would copy to
    it, near patches count more."""
    weight = level.trust
    if distance is not None:
        middle = distance[level.targets].median().clamp_min(1e-6)
        weight = weight * torch.exp(-distance / (SHARP * middle)).clamp_min(1e-6)
    colors = level.color.flatten(1).T.contiguous()
    hole, voters, steps = level.votes
    shape = voters.shape
    source = torch.cat([places, places[:1]]).index_select(0, voters.flatten()).view(shape)
    source = source.add_(steps).clamp_(0, len(colors) - 1)
    share = torch.cat([weight, weight.new_zeros(1)]).index_select(0, voters.flatten()).view(shape)
    total = F.embedding_bag(source, colors, mode="sum", per_sample_weights=share)
    count = share.sum(1, keepdim=True)
    voted = colors.index_copy(0, hole, total / count.clamp_min(1e-12))
    return voted.T.reshape(level.color.shape)


def _copied(color: Tensor, level: _Level, places: Tensor, known: Tensor, needed: Tensor) -> Tensor:
    """(3,H,W) at full size: what is needed and not known is copied, without steps where copies
    meet."""
    hole = (needed & ~known).nonzero()
    pixels = color.flatten(1).T.contiguous()
    parts = [_offsets(rows, level, places, pixels, known.shape) for rows in hole.split(PIXELS)]
    offsets, shares = (torch.cat(part) for part in zip(*parts, strict=True))
    copies = seams.Copies(pixels, hole, offsets, shares, known.shape)
    length = SCREEN * min(known.shape)
    return seams.joined(color, known, copies, 1 / length**2)


def _offsets(
    hole: Tensor, level: _Level, places: Tensor, pixels: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """(n,9,2) from where the nine cells around copy each pixel (n,2), relative to it, and shares
    (n,9).

    A share is a quadratic B-spline of the cell, times the sum of those of like copies to a power:
    so the line where two copies meet is as smooth as the spline, yet narrow, and does not show the
    cells.
    """
    (h, w), middles = level.size, torch.arange(-1, 2, device=hole.device)
    scale = hole.new_tensor([size[0] / h, size[1] / w], dtype=pixels.dtype)
    cells = torch.arange(h * w, device=hole.device)
    moved = torch.stack([places // w - cells // w, places % w - cells % w], 1) * scale
    at = (hole + 0.5) / scale
    cell = at.floor()
    apart = at - cell - 0.5
    spline = torch.stack(
        [(0.5 - apart).square() / 2, 0.75 - apart.square(), (0.5 + apart).square() / 2], 1
    )
    shares = (spline[:, :, None, 0] * spline[:, None, :, 1]).flatten(1)
    row, column = ((cell[:, i, None].long() + middles).clamp(0, level.size[i] - 1) for i in (0, 1))
    offsets = moved.round().int()[(row[:, :, None] * w + column[:, None]).flatten(1)]
    mixed = (offsets != offsets[:, :1]).flatten(1).any(1).nonzero()[:, 0]
    there = [(hole[mixed, i, None] + offsets[mixed, :, i]).clamp(0, size[i] - 1) for i in (0, 1)]
    copies = pixels[there[0] * size[1] + there[1]]
    like = torch.exp(-(torch.cdist(copies, copies) / LIKE).square())
    several = shares[mixed]
    several = several * (like @ several[..., None])[..., 0].pow(NARROW)
    shares = torch.zeros_like(shares)
    shares[:, 0] = 1.0  # all nine copy the same
    return offsets, shares.index_copy(0, mixed, several / several.sum(1, keepdim=True))
