"""Where the pieces of arms and legs go: forward skinning from the reference to the target poses.

Every bone has a map that stretches along it and keeps the size ratio across it. Around a joint the
maps of its two bones are blended in polar coordinates (angle and log length around the joint), so
that elbows and knees keep their girth at any bend. Away from the joints a piece is moved by its own
bone alone. Coordinates are metric and, inside this module, complex: x + iy; T = frames, n = nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import L_ARM, LEG_POINTS, R_ARM
from pipeline.render.warp.fingers import bent, calmed
from pipeline.render.warp.geometry import LIMB_RADIUS, Skeleton, affine, apply, similarity

LEGS = (2, 3)  # limbs 0 and 1 are the right and the left arm, 2 and 3 the right and the left leg
JOINTS = (R_ARM, L_ARM, LEG_POINTS[:3], LEG_POINTS[3:])
HANDS = (1, 0)  # the rows of the hands of limbs 0 and 1: the left hand comes first
HAND = 2  # bone of an arm
HAND_SIZE = 1.6  # a hand is at most this much larger or smaller than the body says
FEW_POINTS = 6  # shared points of a hand below which it turns with its forearm
LENT_WIDTH = LIMB_RADIUS[2] / LIMB_RADIUS[0]  # a forearm's over that of the upper arm that lends
SHORTEST = 1e-4  # picture heights: a shorter bone has no direction
OPAQUE = 0.1  # alpha
MIXED = 0.004  # shares below this are none


@dataclass(frozen=True)
class Piece:
    """Part of a limb as a texture, and the nodes that move it.

    limb: 0 right arm, 1 left arm, 2 right leg, 3 left leg; bone: of an arm 0 upper arm, 1 forearm,
    2 hand, of a leg 0 thigh, 1 shin; window: top, left, bottom, right that the texture spans;
    texture (1,5,h,w): color times alpha, alpha, known times alpha; nodes (n,2): on a regular grid
    of spacing `step`, at least one step beyond all that is not transparent; before (n,): share of
    the own bone against the one before it (of bone 0: the torso); after (n,): share of the bone
    after it against the own; partner (n,): share of the other leg's motion; source (2,2): start and
    end of what a foreshortened forearm borrows.
    """

    limb: int
    bone: int
    window: tuple[float, float, float, float]
    texture: Tensor
    nodes: Tensor
    step: float
    before: Tensor
    after: Tensor
    partner: Tensor
    source: Tensor | None = None

    @cached_property
    def blended(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the nodes that the bone before, the bone after and the other leg move as well."""
        shares = (1 - self.before, self.after, self.partner)
        rows = [(share > MIXED).nonzero()[:, 0] for share in shares]
        return rows[0], rows[1], rows[2]

    @cached_property
    def opaque(self) -> Tensor:
        """(n,) bool: the nodes at which the texture is not transparent."""
        top, left, bottom, right = self.window
        corner = self.nodes.new_tensor([left, top])
        extent = self.nodes.new_tensor([right - left, bottom - top])
        where = ((self.nodes - corner) / extent * 2 - 1)[None, None]
        return F.grid_sample(self.texture[:, 3:4], where, align_corners=False)[0, 0, 0] > OPAQUE

    @cached_property
    def beside(self) -> tuple[Tensor, Tensor]:
        """Rows (4,n) of the nodes to the left, right, above and below, else the node's own; (2,n)
        one over the steps between left and right, above and below, 0 where there are none."""
        cells = ((self.nodes - self.nodes.amin(0)) / self.step).round().long() + 1
        wide, high = (cells.amax(0) + 2).tolist()
        own = torch.arange(len(cells), device=cells.device)
        table = cells.new_full((high, wide), -1)
        table[cells[:, 1], cells[:, 0]] = own
        shifts = cells.new_tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])
        x, y = (cells + shifts[:, None]).unbind(-1)
        rows = table[y, x]
        steps = (rows >= 0).unflatten(0, (2, 2)).sum(1)
        share = torch.where(steps > 0, 1 / steps.clamp_min(1), 0.0)
        return torch.where(rows >= 0, rows, own), share


@dataclass(frozen=True)
class BoneMap:
    """The map of a bone: places that are complex (T,1) or (1,1), ratio (T,1)."""

    start: Tensor
    end: Tensor
    goal: Tensor
    goal_end: Tensor
    ratio: Tensor
    stiff: bool = False  # past its ends too

    def places(self, nodes: Tensor) -> Tensor:
        """(T,n) from complex nodes (T,n) or (1,n)."""
        axis = _axis(self.end - self.start)
        goal = _axis(self.goal_end - self.goal)
        length = axis.abs()
        along = (nodes - self.start) * (axis.conj() / length)
        on = torch.minimum(along.real.clamp_min(0), length)
        stretched = on * (goal.abs() / length) + (along.real - on) * self.ratio
        return self.goal + torch.complex(stretched, along.imag * self.ratio) * goal / goal.abs()

    @cached_property
    def turn(self) -> Tensor:
        """(T,1) radians."""
        return torch.angle(_axis(self.goal_end - self.goal) / _axis(self.end - self.start))


@dataclass(frozen=True)
class LinearMap:
    """An affine map: matrix (T,2,3), and the angle (T,1) by which it turns."""

    matrix: Tensor

    def places(self, nodes: Tensor) -> Tensor:
        """(T,n) from complex nodes (T,n) or (1,n)."""
        return _complex(apply(self.matrix, torch.view_as_real(nodes)))

    @cached_property
    def turn(self) -> Tensor:
        """(T,1) radians."""
        sin = self.matrix[:, 1, 0] - self.matrix[:, 0, 1]
        return torch.atan2(sin, self.matrix[:, 0, 0] + self.matrix[:, 1, 1])[:, None]


Map = BoneMap | LinearMap


@dataclass(frozen=True)
class Chain:
    """The maps of a limb from the torso on, and the joints (T,1) or (1,1) between them."""

    maps: tuple[Map, ...]
    joints: tuple[Tensor, ...]

    def placed(self, piece: Piece, own: Tensor | None = None) -> Tensor:
        """(T,n) complex; own (T,n): where the own bone moves the nodes, if not by its map."""
        nodes = _complex(piece.nodes)[None]
        out = self.maps[piece.bone + 1].places(nodes) if own is None else own
        rows = piece.blended
        near = nodes[:, rows[0]]
        if near.numel():
            share = piece.before[rows[0]]
            out[:, rows[0]] = self._mixed(piece.bone, near, share)
        near = nodes[:, rows[1]]
        if near.numel() and piece.bone + 1 < len(self.joints):
            share = piece.after[rows[1]]
            out[:, rows[1]] = self._mixed(piece.bone + 1, near, share)
        return out

    def _mixed(self, joint: int, nodes: Tensor, share: Tensor) -> Tensor:
        """Nodes (1,n) around a joint, with the share (n,) of the map after it."""
        first, second = self.maps[joint : joint + 2]
        at = self.joints[joint]
        bend = _wrapped(second.turn - first.turn)
        arms = [(part.places(nodes), part.places(at)) for part in (first, second)]
        return _polar(*arms, share, bend)


def _polar(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], share: Tensor, bend: Tensor
) -> Tensor:
    """Between two places (T,n), each with the place (T,1) of the joint, by a share (n,) of the
    second; the maps differ by a turn of `bend` (T,1)."""
    a = first[0] - first[1]
    b = second[0] - second[1]
    turn = _wrapped(torch.angle(b) - torch.angle(a) - bend) + bend
    logs = [torch.log(spoke.abs().clamp_min(SHORTEST)) for spoke in (a, b)]
    radius = torch.exp(torch.lerp(logs[0], logs[1], share.expand_as(logs[0])))
    joint = first[1] + (second[1] - first[1]) * share
    return joint + torch.polar(radius, torch.angle(a) + turn * share)


def _wrapped(angle: Tensor) -> Tensor:
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def _complex(points: Tensor) -> Tensor:
    return torch.view_as_complex(points.contiguous())


def _axis(axis: Tensor) -> Tensor:
    """The axis of a bone; one without length looks to the right."""
    return torch.where(axis.abs() < SHORTEST, axis.new_tensor(SHORTEST), axis)


class LimbMotion:
    """The forward maps of the four limbs in one call.

    reference: one row; target: T rows, completed by `geometry.follow`; torso (T,2,3): its map from
    the reference to the target; ratio (T,): size of the target's body over the reference's;
    fingers: bend them where both show them.
    """

    def __init__(
        self,
        reference: Skeleton,
        target: Skeleton,
        torso: Tensor,
        ratio: Tensor,
        *,
        fingers: bool = True,
    ) -> None:
        self.reference = reference
        self.target = target
        self.ratio = ratio[:, None]
        self._fingers = fingers
        self._torso = LinearMap(torso)
        self._from = _complex(reference.body)
        self._to = _complex(target.body)
        self._chains: dict[int, Chain] = {}

    def place(self, piece: Piece) -> Tensor:
        """(T,n,2) places of the piece's nodes in the target."""
        if piece.source is not None:
            return torch.view_as_real(self._borrowed(piece, piece.source))
        chain = self._chain(piece.limb)
        bends = self._fingers and piece.bone == HAND and piece.limb not in LEGS
        out = chain.placed(piece, self._bent(piece, chain.maps[-1]) if bends else None)
        rows = piece.blended[2]
        if piece.limb in LEGS and rows.numel():
            other = self._chain(sum(LEGS) - piece.limb).placed(piece)
            out[:, rows] += (other - out)[:, rows] * piece.partner[rows]
        return torch.view_as_real(out)

    def shown(self, limb: int, raw: Skeleton) -> Tensor:
        """(T,) bool: the target, as it was before it was completed, shows where the limb is."""
        seen = raw.body_seen[:, list(JOINTS[limb])].all(-1)
        return torch.ones_like(seen) if limb in LEGS else seen

    def moved(self, piece: Piece, places: Tensor | None = None) -> Tensor:
        """(T,n) distance of the nodes from where they rest; `places` as from `place`, if known."""
        found = self.place(piece) if places is None else places
        return (found - piece.nodes).norm(dim=-1)

    def _chain(self, limb: int) -> Chain:
        if limb not in self._chains:
            self._chains[limb] = self._leg(limb) if limb in LEGS else self._arm(limb)
        return self._chains[limb]

    def _points(self, limb: int) -> tuple[Tensor, Tensor]:
        """The three joints in the reference (1,3) and in the target (T,3)."""
        joints = list(JOINTS[limb])
        return self._from[:, joints], self._to[:, joints]

    def _arm(self, limb: int) -> Chain:
        (a, b, _), (c, d, _) = (ends.split(1, 1) for ends in self._points(limb))
        end, goal = self._ends(limb)
        upper = BoneMap(a, b, c, d, self.ratio)
        fore = BoneMap(b, end, d, goal, self.ratio)
        return Chain((self._torso, upper, fore, self._hand(limb, fore)), (a, b, end))

    def _leg(self, limb: int) -> Chain:
        """A shin whose foot the reference does not show goes on as its thigh does."""
        (a, b, e), (c, d, f) = (ends.split(1, 1) for ends in self._points(limb))
        seen = self.reference.body_seen[:, JOINTS[limb][2], None]
        end = torch.where(seen, e, 2 * b - a)
        goal = torch.where(seen, f, 2 * d - c)
        thigh = BoneMap(a, b, c, d, self.ratio)
        return Chain((self._torso, thigh, BoneMap(b, end, d, goal, self.ratio)), (a, b))

    def _ends(self, limb: int) -> tuple[Tensor, Tensor]:
        """Where the forearm ends in reference and target (T,1): at the hand's root, if both show
        it, else at the wrist."""
        start, goal = (ends[:, 2:] for ends in self._points(limb))
        hand = HANDS[limb]
        seen = [
            pose.hands_seen[:, hand, None] & pose.hand_points_seen[:, hand, :1]
            for pose in (self.reference, self.target)
        ]
        roots = [_complex(pose.hands[:, hand, :1]) for pose in (self.reference, self.target)]
        both = seen[0] & seen[1]
        return torch.where(both, roots[0], start), torch.where(both, roots[1], goal)

    def _hand(self, limb: int, fore: BoneMap) -> LinearMap:
        """A similarity of the points that both show; a hand without them goes with its forearm."""
        hand = HANDS[limb]
        reference = self.reference.hands[:, hand].expand(len(self.ratio), -1, -1)
        shared = self.reference.hand_points_seen[:, hand] & self.target.hand_points_seen[:, hand]
        both = self.reference.hands_seen[:, hand] & self.target.hands_seen[:, hand]
        both = both & (shared.sum(-1) >= FEW_POINTS)
        linear, size, center = similarity(
            reference, self.target.hands[:, hand], shared.to(reference.dtype)
        )
        ratio = self.ratio[:, 0]
        held = (size / ratio).clamp(1 / HAND_SIZE, HAND_SIZE) * ratio
        by_points = affine(linear * (held / size)[:, None, None], *center.unbind(1))
        turn = torch.polar(ratio, fore.turn[:, 0])
        rigid = torch.stack([turn.real, -turn.imag, turn.imag, turn.real], -1).unflatten(-1, (2, 2))
        ends = (
            torch.view_as_real(end.expand(len(ratio), 1))[:, 0] for end in (fore.end, fore.goal_end)
        )
        return LinearMap(torch.where(both[:, None, None], by_points, affine(rigid, *ends)))

    def _bent(self, piece: Piece, palm: LinearMap) -> Tensor:
        """(T,n) complex places of a hand's piece, whose fingers bend."""
        hand = HANDS[piece.limb]
        reference = self.reference.hand_points_seen[:, hand]
        both = reference & self.target.hand_points_seen[:, hand]
        points = self.reference.hands[0, hand]
        moved = bent(piece.nodes, points, self.target.hands[:, hand], palm.matrix, both)
        rigid = apply(palm.matrix, piece.nodes.expand(len(moved), -1, -1))
        return _complex(calmed(rigid, moved, piece.beside[0], piece.opaque))

    def _borrowed(self, piece: Piece, source: Tensor) -> Tensor:
        """(T,n) of a forearm's piece that shows what the upper arm lends it."""
        start, end = _complex(source)[:, None, None].unbind(0)
        goal = self._points(piece.limb)[1][:, 1:2]
        width = self.ratio * LENT_WIDTH
        bone = BoneMap(start, end, goal, self._ends(piece.limb)[1], width)
        return bone.places(_complex(piece.nodes)[None])
