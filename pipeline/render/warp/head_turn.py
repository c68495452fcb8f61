"""The turn of a head in space: an average face's depth fitted to 68 points, and how a skull moves.

A face that turns or nods narrows in the picture, and slides over its skull; a flat fit takes that
for a head that shrinks and goes away. So the average face is fitted to the reference's points, the
depth that it lends them is turned to the target's, and an ellipsoid around the skull says where
hair and ears go. The outline of the head stays what it is.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.average_face import average_face
from pipeline.render.warp.geometry import Skeleton, affine, similarity

# How far the places of points can be trusted: brows rise, lids close, jaws follow the outline.
POINT_WEIGHTS = (
    ((0, 1, 2, 14, 15, 16), 0.3),
    (range(17, 27), 0.5),
    (range(27, 36), 1.0),
    (range(36, 48), 0.7),
)
FIT_ROUNDS = 5
LEAST_LEAN = 1e-4  # ridge of a fit, as a share of the face's spread
MOST_STEP = 0.5  # of one round: radians, and logarithm of the size
# Head heights by which the skull's middle lies behind that of the average face.
SKULL_DEPTH = 0.35
SKULL_AXES = (0.42, 0.62, 0.56)  # half width, height and depth with hair, in head heights
# The turn falls to nothing at the outline, no faster than places there may be stretched.
MOST_STRETCH = 0.5
SHARPEST_FADE = 3.0
MOST_TILT_RADIANS = 0.9
# A fit finds tilts of up to 2 degrees in a head that keeps still: they are not to sway its hair.
NOISE_RADIANS = 0.05
# Root mean square of what the average face misses, in head heights: a drawing, or no face.
MISFIT = (0.06, 0.12)
TINY = 1e-6
RIGHT_ANGLE = math.pi / 2


@dataclass(frozen=True)
class HeadTurn:
    """How heads get from the reference (N,) to the target: a similarity, then a tilt in space.

    Args:
        head: Map (N,2,3) of target places to the reference, of the head's outline.
        ratio: Size (N,) of the target over that of the reference.
        middle: The skull's middle (N,2) in the reference.
        size: The head's height (N,) in the reference.
        tilt: Axis in the picture's plane times angle (N,2) in radians, from reference to target.
        stance: Rotation (N,3,3) of the average face to the target, before the similarity.
    """

    head: Tensor
    ratio: Tensor
    middle: Tensor
    size: Tensor
    tilt: Tensor
    stance: Tensor

    def places(self, targets: Tensor) -> Tensor:
        """Return the reference's places (N,K,2) of target places (N,K,2)."""
        x, y = targets.unbind(-1)
        return torch.stack(self._placed(x, y), -1)

    def grid_places(self, nodes: Tensor) -> Tensor:
        """Return the reference's places (N,2,h,w) of target nodes (2,h,w)."""
        x, y = nodes.flatten(1)
        places = torch.stack(self._placed(x, y), 1)
        return places.unflatten(2, nodes.shape[1:])

    def _placed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return `places` of x and y, (N,K) or (K,) each."""
        x, y = _mapped(self.head, x, y)
        size = self.size[..., None]
        middle_x, middle_y = self.middle[..., None].unbind(-2)
        flat_x = (x - middle_x) / size
        flat_y = (y - middle_y) / size
        depth, outwards = _surface(flat_x, flat_y, self.stance)
        whole = self.tilt.norm(dim=-1, keepdim=True)
        whole = whole.clamp_min(TINY)
        axis_x, axis_y = (self.tilt / whole)[..., None].unbind(-2)
        power = MOST_STRETCH * RIGHT_ANGLE / whole
        power = power.clamp(1, SHARPEST_FADE)
        fade = 1 - outwards**power
        angle = -whole * fade
        off = axis_y * flat_x - axis_x * flat_y  # from the axis, in the picture's plane
        shift = off * (angle.cos() - 1)
        shift = torch.addcmul(shift, depth, angle.sin())
        shift = shift * size
        return torch.addcmul(x, axis_y, shift), torch.addcmul(y, axis_x, shift, value=-1)


def head_turn(
    reference: Skeleton, target: Skeleton, head: Tensor, ratio: Tensor, unit: Tensor
) -> HeadTurn:
    """Return the turn of each head; without a face it is the similarity `head` and `ratio` alone.

    Args:
        reference: N times the person as in the photo.
        target: The N poses.
        head: Map (N,2,3) of target places to the reference, where no turn is known.
        ratio: Its size (N,) of the target over that of the reference.
        unit: The reference's head height (N,).
    """
    seen = reference.face_seen & target.face_seen
    weight = _weights(unit.device) * seen
    plain = _face_around_skull(unit.device)
    plain = plain.expand(len(unit), -1, -1)
    photo = _fit(plain, reference.face, weight)
    missed = _spread(photo.places(plain)[..., :2] - reference.face, weight)
    excess = missed / photo.size - MISFIT[0]
    sure = 1 - excess / (MISFIT[1] - MISFIT[0])
    is_known = seen.float().mean(-1) > 0.5
    sure = sure.clamp(0, 1) * is_known
    depth = photo.places(plain)[..., 2:]
    shape = torch.cat([reference.face - photo.middle[:, None], depth], -1)
    found = _fit(shape, target.face, weight)
    roll, tilt = _split(found.turn)
    angle = tilt.norm(dim=-1)
    strength = angle**4
    trust = strength / (strength + NOISE_RADIANS**4)
    trust = trust * sure
    held = MOST_TILT_RADIANS / angle.clamp_min(TINY)
    tilt = tilt * (trust * held.clamp_max(1))[:, None]
    back = roll[:, :2, :2].transpose(1, 2)
    linear = back / found.size[:, None, None]
    outline = affine(linear, found.middle, photo.middle)
    return HeadTurn(
        head=torch.lerp(head, outline, trust[:, None, None]),
        ratio=torch.lerp(ratio, found.size, trust),
        middle=photo.middle,
        size=torch.where(is_known, photo.size, unit),
        tilt=tilt,
        stance=rotation(tilt) @ photo.turn,
    )


@dataclass(frozen=True)
class _Fit:
    """A picture of shapes: a rotation (N,3,3), a size (N,), and where (N,2) their origin lies."""

    turn: Tensor
    size: Tensor
    middle: Tensor

    def places(self, shape: Tensor) -> Tensor:
        """Return the places and depths (N,K,3) of points (N,K,3)."""
        turned = shape @ self.turn.transpose(1, 2)
        origin = F.pad(self.middle, (0, 1))
        return turned * self.size[:, None, None] + origin[:, None]


def _fit(shape: Tensor, places: Tensor, weight: Tensor) -> _Fit:
    """Turn, size and shift shapes (N,K,3) so that they are seen at places (N,K,2).

    The rounds are Gauss and Newton's, from the best fit without a turn in depth.
    """
    total = weight.sum(-1, keepdim=True)
    share = weight / total.clamp_min(TINY)
    middle = share[:, None] @ shape
    goal = share[:, None] @ places
    around = shape - middle
    wanted = places - goal
    linear, size, _ = similarity(around[..., :2], wanted, share)
    turn = torch.eye(3, device=shape.device, dtype=shape.dtype)
    turn = turn.repeat(len(shape), 1, 1)
    turn[:, :2, :2] = linear / size[:, None, None]
    found = _Fit(turn, size, torch.zeros_like(goal[:, 0]))
    spread = _spread(around, share)
    for _ in range(FIT_ROUNDS):
        step = _step(found.places(around), wanted, share, found.size * spread)
        turn = rotation(step[:, :3]) @ found.turn
        size = found.size * step[:, 3].exp()
        found = replace(found, turn=turn, size=size)
    origin = goal - found.places(middle)[..., :2]
    return replace(found, middle=origin[:, 0])


def _step(seen: Tensor, wanted: Tensor, share: Tensor, spread: Tensor) -> Tensor:
    """Return the turn and the logarithm of growth (N,4) that bring points (N,K,3) to places."""
    x, y, z = seen.unbind(-1)
    none = torch.zeros_like(x)
    across = torch.stack([none, z, -y, x], -1)
    down = torch.stack([-z, none, x, y], -1)
    moves = torch.cat([across, down], 1)
    missed = wanted - seen[..., :2]
    missed = missed.transpose(1, 2).flatten(1)
    weighted = moves * share.repeat(1, 2)[..., None]
    pull = weighted.transpose(1, 2)
    ridge = LEAST_LEAN * spread.square() + TINY**2
    unit = torch.eye(4, device=seen.device, dtype=seen.dtype)
    lean = ridge[:, None, None] * unit
    normal = pull @ moves + lean
    step = torch.linalg.solve(normal, pull @ missed[..., None])
    return step[..., 0].clamp(-MOST_STEP, MOST_STEP)


def _spread(points: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted root mean square (N,) of the lengths of vectors (N,K,C)."""
    squares = points.square()
    squares = squares.sum(-1)
    total = weight.sum(-1)
    mean = (weight * squares).sum(-1) / total.clamp_min(TINY)
    return mean.sqrt()


def _split(turn: Tensor) -> tuple[Tensor, Tensor]:
    """Split turns (N,3,3) into a roll in the picture (N,3,3) after a tilt (N,2) out of it."""
    cos = turn[:, 0, 0] + turn[:, 1, 1]
    sin = turn[:, 1, 0] - turn[:, 0, 1]
    roll = torch.atan2(sin, cos)
    none = torch.zeros_like(roll)
    rolled = rotation(torch.stack([none, none, roll], -1))
    tilted = rolled.transpose(1, 2) @ turn
    right, down, forward = tilted[..., 2].unbind(-1)
    axis = torch.stack([-down, right], -1)
    length = axis.norm(dim=-1)
    angle = torch.atan2(length, forward)
    scale = angle / length.clamp_min(TINY)
    return rolled, axis * scale[:, None]


def rotation(turns: Tensor) -> Tensor:
    """Return rotations (N,3,3) about axes times angles, (N,3) or (N,2) in the picture's plane."""
    turns = F.pad(turns, (0, 3 - turns.shape[-1]))
    angle = turns.norm(dim=-1)
    angle = angle.clamp_min(TINY)[:, None, None]
    cross = _cross_matrix(turns) / angle
    unit = torch.eye(3, device=turns.device, dtype=turns.dtype)
    bent = (1 - angle.cos()) * (cross @ cross)
    return unit + angle.sin() * cross + bent


def _cross_matrix(axes: Tensor) -> Tensor:
    """Return the matrices (N,3,3) that take a vector to its cross product with axes (N,3)."""
    none = torch.zeros_like(axes[:, 0])
    x, y, z = axes.unbind(-1)
    return torch.stack([none, -z, y, z, none, -x, -y, x, none], -1).unflatten(-1, (3, 3))


def _mapped(matrix: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return x and y, (N,K) or (K,) each, under affine maps (N,2,3)."""
    moved = []
    for row in matrix.unbind(-2):
        by_x, by_y, shift = row[..., None].unbind(-2)
        part = torch.addcmul(shift, by_x, x)
        moved.append(torch.addcmul(part, by_y, y))
    return moved[0], moved[1]


def _surface(x: Tensor, y: Tensor, stance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the depth (N,K) of a skull at x and y (N,K), and how far these are outwards.

    Outwards is 0 where the skull is nearest to the camera and 1, a right angle further, at its
    outline. Beyond the outline the depth goes on as that of the skull's middle plane.
    """
    axes = x.new_tensor(SKULL_AXES)
    squeezed = stance / axes.square()
    form = squeezed @ stance.transpose(-1, -2)
    (xx, xy, xz), (_, yy, yz), (_, _, nearest) = (
        row[..., None].unbind(-2) for row in form.unbind(-2)
    )
    lean = torch.addcmul(xz * x, yz, y)
    steep_x = torch.addcmul(xx * x, xy, y)
    steep_y = torch.addcmul(xy * x, yy, y)
    rise = torch.addcmul(steep_x * x, steep_y, y)
    inside = lean.square() / nearest + 1 - rise
    inside = inside.clamp(0, 1)
    depth = (inside * nearest).sqrt() - lean
    outwards = torch.acos(inside.sqrt()) / RIGHT_ANGLE
    return depth / nearest, outwards.clamp(TINY, 1)


@functools.lru_cache(maxsize=4)
def _face_around_skull(device: torch.device) -> Tensor:
    """Return the average face (68,3) in head heights from the skull's middle."""
    face = average_face()
    face[:, 2] += SKULL_DEPTH
    return torch.from_numpy(face).to(device)


@functools.lru_cache(maxsize=4)
def _weights(device: torch.device) -> Tensor:
    """Return how much each of the 68 points counts in a fit."""
    weights = torch.zeros(68)
    for points, weight in POINT_WEIGHTS:
        weights[list(points)] = weight
    return weights.to(device)
