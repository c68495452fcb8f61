"""Bend the fingers of a hand: five chains of three bones over a palm that moves as a whole.

Coordinates are metric; T = frames, n = nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.render.warp.geometry import apply

ROOT, PALM_MIDDLE = 0, 9
KNUCKLES = (1, 5, 9, 13, 17)
PALM = (*((ROOT, knuckle) for knuckle in KNUCKLES), (5, 9), (9, 13), (13, 17))
BONES = tuple((first + k, first + k + 1) for first in KNUCKLES for k in range(3))
SOFT = 0.06  # palm lengths over which one bone's share gives way to the next one's
POINTS_SEEN = 19  # of 21: with fewer a hand moves as a whole
# a bone's length over what the palm's size says: longer ones are a detector's mistake, or were
# hidden in the reference
LONG = (1.6, 2.4)
# area between wrist and outer knuckles, over what the palm's size says: smaller ones are palms that
# turn their edge or their back
AREA = (0.15, 0.45)
CRUSHED = 0.15  # of the area that the palm's size says: fingers that lie over each other
FOLDS = (0.08, 0.3)  # shares of a hand that is crushed, between which it turns rigid


def bent(nodes: Tensor, reference: Tensor, target: Tensor, palm: Tensor, both: Tensor) -> Tensor:
    """(T,n,2) places of nodes (n,2) of a hand with points (21,2) in the reference and (T,21,2) in
    the target; palm (T,2,3): how it moves as a whole; both (T,21): the points that both show.

    Fingers without plausible points move with the palm.
    """
    carried = apply(palm, reference.expand(len(palm), -1, -1))
    trust = trusted(reference, target, carried, both)
    goal = torch.lerp(carried, target, trust[..., None])
    rigid = apply(palm, nodes.expand(len(palm), -1, -1))
    shares = bone_shares(nodes, reference)
    start, end = (list(ends) for ends in zip(*BONES, strict=True))
    size = palm[:, :, 0].norm(dim=-1)
    moved = _along(nodes, reference[start], reference[end], goal[:, start], goal[:, end], size)
    seen = (both.sum(-1) >= POINTS_SEEN)[:, None, None]
    offset = (moved - rigid[:, :, None]) * shares[None, :, :, None]
    return torch.where(seen, rigid + offset.sum(2), rigid)


def calmed(rigid: Tensor, moved: Tensor, beside: Tensor, solid: Tensor) -> Tensor:
    """(T,n,2): places, drawn back to the `rigid` ones in frames where too much would be crushed.

    beside (4,n): rows of the nodes to the left, right, above and below; solid (n,) bool: the nodes
    that show something.
    """
    areas = []
    for places in (rigid, moved):
        left, right, above, below = (places[:, rows] for rows in beside.unbind(0))
        across = right - left
        down = below - above
        areas.append(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])
    crushed = (areas[1] < CRUSHED * areas[0]) & solid
    share = crushed.sum(1) / solid.sum().clamp_min(1)
    trust = ((FOLDS[1] - share) / (FOLDS[1] - FOLDS[0])).clamp(0, 1)
    return torch.lerp(rigid, moved, trust[:, None, None])


def trusted(reference: Tensor, target: Tensor, carried: Tensor, both: Tensor) -> Tensor:
    """(T,21) 0 to 1: how far the points (T,21,2) of the target's fingers are to be followed.

    carried (T,21,2): the reference's points under the palm's map.
    """
    start, end = (list(ends) for ends in zip(*BONES, strict=True))
    lengths = [(points[:, end] - points[:, start]).norm(dim=-1) for points in (target, carried)]
    ratio = lengths[0] / lengths[1].clamp_min(1e-5)
    longest = ratio.unflatten(1, (len(KNUCKLES), 3)).amax(-1)
    plausible = ((LONG[1] - longest) / (LONG[1] - LONG[0])).clamp(0, 1)
    area = _area(target) / _area(carried)
    facing = ((area - AREA[0]) / (AREA[1] - AREA[0])).clamp(0, 1)
    facing = facing * (both.sum(-1) >= POINTS_SEEN)
    fingers = (plausible * facing[:, None]).repeat_interleave(4, 1)
    return torch.cat([torch.zeros_like(fingers[:, :1]), fingers], 1)


def _area(points: Tensor) -> Tensor:
    """(T,) signed, between the hand's root and the outer knuckles."""
    first, last = (points[:, KNUCKLES[k]] - points[:, ROOT] for k in (1, 4))
    area = first[:, 0] * last[:, 1] - first[:, 1] * last[:, 0]
    return torch.where(area.abs() < 1e-8, 1e-8, area)


def bone_shares(nodes: Tensor, reference: Tensor) -> Tensor:
    """(n,15) shares of the fingers' bones in nodes (n,2); the rest is the palm's."""
    bones = reference[torch.tensor(PALM + BONES, device=nodes.device)]
    axis = bones[:, 1] - bones[:, 0]
    off = nodes[:, None] - bones[:, 0]
    along = (off * axis).sum(-1) / axis.square().sum(-1).clamp_min(1e-10)
    distance = (off - along.clamp(0, 1)[..., None] * axis).norm(dim=-1)
    length = (reference[PALM_MIDDLE] - reference[ROOT]).norm().clamp_min(1e-5)
    palm = distance[:, : len(PALM)].amin(1, keepdim=True)
    each = torch.cat([palm, distance[:, len(PALM) :]], 1)
    return torch.softmax(-each / (SOFT * length), 1)[:, 1:]


def _along(
    nodes: Tensor, start: Tensor, end: Tensor, goal: Tensor, goal_end: Tensor, size: Tensor
) -> Tensor:
    """(T,n,15,2) places of nodes (n,2) under bones (15,2) that go to (T,15,2): stretched along
    them, the palm's size (T,) across and past their ends."""
    axis = end - start
    length = axis.norm(dim=-1).clamp_min(1e-5)
    unit = axis / length[:, None]
    off = nodes[:, None] - start
    along = (off * unit).sum(-1)
    across = off[..., 1] * unit[:, 0] - off[..., 0] * unit[:, 1]
    on = torch.minimum(along.clamp_min(0), length)
    goal_axis = goal_end - goal
    goal_length = goal_axis.norm(dim=-1, keepdim=True).clamp_min(1e-5)
    goal_unit = (goal_axis / goal_length)[:, None]
    stretch = (goal_length[..., 0] / length)[:, None]
    size = size[:, None, None]
    forward = (on * stretch + (along - on) * size)[..., None]
    aside = (across * size)[..., None]
    quarter = torch.stack([-goal_unit[..., 1], goal_unit[..., 0]], -1)
    return goal[:, None] + forward * goal_unit + aside * quarter
