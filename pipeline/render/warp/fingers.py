"""Bend the fingers of a hand: five chains of three bones over a palm that moves as a whole.

Coordinates are metric; T = frames, n = nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.render.warp.geometry import apply

ROOT, PALM_MIDDLE = 0, 9
KNUCKLES = (1, 5, 9, 13, 17)
PALM = (*((ROOT, knuckle) for knuckle in KNUCKLES), (5, 9), (9, 13), (13, 17))
STARTS = tuple(first + k for first in KNUCKLES for k in range(3))  # of the fingers' bones
ENDS = tuple(start + 1 for start in STARTS)
SOFT = 0.06  # palm lengths over which one bone's share gives way to the next one's
POINTS_SEEN = 19  # of 21: with fewer a hand moves as a whole
# a bone's length over what the palm's size says: longer ones are a detector's mistake, or were
# hidden in the reference
LONG = (1.6, 2.4)
# area between wrist and outer knuckles, over what the palm's size says: smaller ones are palms that
# turn their edge or their back
AREA = (0.15, 0.45)
# larger ones are palms that the reference shows from the side: their fingers lie over each other
WIDE_AREA = (1.5, 2.2)
SHORTEST = 1e-5  # picture heights
SMALLEST = 1e-8  # its square, at least
CRUSHED = 0.15  # of the area that the palm's size says: fingers that lie over each other
# of a hand that may be crushed. Shares of .01 to .03 cost .05 dB of each other; at .08 hands break
CRUSHED_SHARE = 0.02


def bent(nodes: Tensor, reference: Tensor, target: Tensor, palm: Tensor, both: Tensor) -> Tensor:
    """(T,n,2) places of nodes (n,2) of a hand with points (21,2) in the reference and (T,21,2) in
    the target; palm (T,2,3): how it moves as a whole; both (T,21): the points that both show.

    Fingers without plausible points move with the palm.
    """
    frames = len(palm)
    rigid = apply(palm, nodes.expand(frames, -1, -1))
    carried = apply(palm, reference.expand(frames, -1, -1))
    trust = trusted(target, carried, both)
    goal = torch.lerp(carried, target, trust[..., None])
    size = palm[:, :, 0].norm(dim=-1)
    shares = bone_shares(nodes, reference)
    place = _on_bones(nodes, reference) * shares[:, None]
    axes = _bone_axes(reference, goal, size)
    moved = place.flatten(1) @ axes.flatten(1, 2)
    rest = 1 - shares.sum(1, keepdim=True)
    seen = both.sum(-1) >= POINTS_SEEN
    return torch.where(seen[:, None, None], moved + rest * rigid, rigid)


def uncrushed_share(rigid: Tensor, moved: Tensor, beside: Tensor, solid: Tensor) -> Tensor:
    """(T,) 0 to 1: how far a hand can go from its `rigid` places (T,n,2) towards the `moved` ones
    before more than CRUSHED_SHARE of it is crushed.

    beside (4,n): rows of the nodes to the left, right, above and below; solid (n,) bool: the nodes
    that show something.
    """
    across, down = _cell_axes(rigid, beside)
    goal_across, goal_down = _cell_axes(moved, beside)
    area = _cross(across, down)
    goal = _cross(goal_across, goal_down)
    mixed = _cross(across, goal_down)
    mixed = mixed + _cross(goal_across, down)
    # at a share s: area (1 - s)^2 + mixed s (1 - s) + goal s^2, which is to stay above CRUSHED area
    square = area - mixed + goal
    slope = mixed - 2 * area
    start = (1 - CRUSHED) * area
    root = _first_root(square, slope, start)
    root = torch.where(area > 0, root, 1.0)
    root = root[:, solid]
    count = root.shape[1]
    if count == 0:
        return torch.ones_like(root.sum(1))
    rank = min(count, 1 + int(CRUSHED_SHARE * count))
    return root.kthvalue(rank, 1).values


def _first_root(square: Tensor, slope: Tensor, start: Tensor) -> Tensor:
    """(...) where square s^2 + slope s + start, positive at 0, first gets to 0; at most 1."""
    inside = slope.square() - 4 * square * start
    length = inside.clamp_min(0).sqrt()
    below = length - slope
    reached = inside >= 0
    reached &= below > 2 * start
    root = 2 * start / below.clamp_min(SMALLEST**2)
    return torch.where(reached, root, 1.0)


def _cell_axes(places: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    """From left to right and from above to below (T,n,2), around every node at places (T,n,2)."""
    left, right, above, below = beside.unbind(0)
    across = places[:, right] - places[:, left]
    down = places[:, below] - places[:, above]
    return across, down


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """(...) cross product of vectors (...,2)."""
    x, y = first.unbind(-1)
    other_x, other_y = second.unbind(-1)
    return x * other_y - y * other_x


def _falling(values: Tensor, limits: tuple[float, float]) -> Tensor:
    """1 up to the first limit, 0 from the second on."""
    low, high = limits
    return ((high - values) / (high - low)).clamp(0, 1)


def trusted(target: Tensor, carried: Tensor, both: Tensor) -> Tensor:
    """(T,21) 0 to 1: how far the points (T,21,2) of the target's fingers are to be followed.

    carried (T,21,2): the reference's points under the palm's map; both (T,21): see `bent`.
    """
    expected = _lengths(carried).clamp_min(SHORTEST)
    ratio = _lengths(target) / expected
    longest = ratio.unflatten(1, (len(KNUCKLES), -1)).amax(-1)
    plausible = _falling(longest, LONG)
    area = _palm_area(target) / _palm_area(carried)
    facing = (1 - _falling(area, AREA)) * _falling(area, WIDE_AREA)
    seen = both.sum(-1) >= POINTS_SEEN
    hand = facing * seen
    fingers = plausible * hand[:, None]
    fingers = fingers.repeat_interleave(4, 1)
    root = torch.zeros_like(fingers[:, :1])
    return torch.cat([root, fingers], 1)


def _lengths(points: Tensor) -> Tensor:
    """(T,15) of the fingers' bones."""
    axis = points[:, ENDS] - points[:, STARTS]
    return axis.norm(dim=-1)


def _palm_area(points: Tensor) -> Tensor:
    """(T,) signed, between the hand's root and the outer knuckles."""
    root = points[:, ROOT]
    first = points[:, KNUCKLES[1]] - root
    last = points[:, KNUCKLES[4]] - root
    area = _cross(first, last)
    return torch.where(area.abs() < SMALLEST, SMALLEST, area)


def bone_shares(nodes: Tensor, reference: Tensor) -> Tensor:
    """(n,15) shares of the fingers' bones in nodes (n,2); the rest is the palm's."""
    starts, ends = zip(*PALM, strict=True)
    palm = _distances(nodes, reference, starts, ends)
    fingers = _distances(nodes, reference, STARTS, ENDS)
    nearest = palm.amin(1, keepdim=True)
    distance = torch.cat([nearest, fingers], 1)
    palm_axis = reference[PALM_MIDDLE] - reference[ROOT]
    length = palm_axis.norm()
    soft = SOFT * length.clamp_min(SHORTEST)
    return torch.softmax(-distance / soft, 1)[:, 1:]


def _distances(nodes: Tensor, points: Tensor, starts: Sequence[int], ends: Sequence[int]) -> Tensor:
    """(n,K) from nodes (n,2) to the bones between points (21,2)."""
    start = points[list(starts)]
    axis = points[list(ends)] - start
    square = axis.square().sum(-1)
    off = nodes[:, None] - start
    along = (off * axis).sum(-1)
    along = along / square.clamp_min(SMALLEST)
    nearest = along.clamp(0, 1)[..., None] * axis
    return (off - nearest).norm(dim=-1)


def _on_bones(nodes: Tensor, reference: Tensor) -> Tensor:
    """(n,4,15) of nodes (n,2) in the frame of each finger bone of points (21,2): 1, the place along
    the bone as a share of it, what goes past its ends and what lies across it."""
    start = reference[list(STARTS)]
    axis = reference[list(ENDS)] - start
    length = axis.norm(dim=-1).clamp_min(SHORTEST)
    unit = axis / length[:, None]
    off = nodes[:, None] - start
    along = (off * unit).sum(-1)
    across = _cross(unit, off)
    on = along.clamp_min(0)
    on = torch.minimum(on, length)
    past = along - on
    one = torch.ones_like(on)
    return torch.stack([one, on / length, past, across], 1)


def _bone_axes(reference: Tensor, goal: Tensor, size: Tensor) -> Tensor:
    """(T,4,15,2) where a bone of points (T,21,2) starts, its axis, and the unit vectors past and
    across it, which have the palm's size (T,).

    A bone without length in the target lies as in the reference (21,2).
    """
    start = goal[:, STARTS]
    axis = goal[:, ENDS] - start
    own = reference[list(ENDS)] - reference[list(STARTS)]
    length = axis.norm(dim=-1, keepdim=True)
    direction = torch.where(length < SHORTEST, own, axis)
    unit = torch.nn.functional.normalize(direction, dim=-1)
    unit = unit * size[:, None, None]
    x, y = unit.unbind(-1)
    quarter = torch.stack([-y, x], -1)
    return torch.stack([start, axis, unit, quarter], 1)
