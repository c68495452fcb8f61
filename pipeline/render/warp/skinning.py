"""Where the pieces of arms and legs go: forward skinning from the reference to the target poses.

Every bone has a map that stretches along it and keeps the size ratio across it. Around a joint the
maps of its two bones are blended in polar coordinates (angle and log length around the joint), so
that elbows and knees keep their girth at any bend. Away from the joints a piece is moved by its own
bone alone. Coordinates are metric and, inside this module, complex: x + iy; T = frames, n = nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import L_ARM, LEG_POINTS, MIDDLE_ROOT, R_ARM
from pipeline.render.warp.arm_joints import HANDS, shown_parts
from pipeline.render.warp.bone_maps import (
    SHORTEST,
    BoneMap,
    LinearMap,
    Map,
    as_complex,
    mix_polar,
    wrapped,
)
from pipeline.render.warp.fingers import POINTS_SEEN, bent, uncrushed_share
from pipeline.render.warp.geometry import LIMB_RADIUS, Skeleton, affine, apply, similarity

LEGS = (2, 3)  # limbs 0 and 1 are the right and the left arm, 2 and 3 the right and the left leg
JOINTS = (R_ARM, L_ARM, LEG_POINTS[:3], LEG_POINTS[3:])
HAND = 2  # bone of an arm
HAND_SIZE = 1.6  # a hand is at most this much larger or smaller than the body says
# palm lengths between hand and forearm, from which on and at which a hand is shifted to its forearm
APART = (0.15, 0.4)
FEW_POINTS = 6  # shared points of a hand below which it turns with its forearm
LENT_WIDTH = LIMB_RADIUS[2] / LIMB_RADIUS[0]  # a forearm's over that of the upper arm that lends
OPAQUE = 0.1  # alpha
SLIM = 0.5  # of its width; below it a layer that goes is transparent
SLIMMEST = 0.3  # of its width; a layer that comes or goes would be crushed if it were slimmer
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
    end of what a foreshortened forearm borrows; fade: stretch of the bone at which the piece is not
    there and at which it is, None for a piece that is always there. In between it is slimmer.
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
    fade: tuple[float, float] | None = None

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
        where = (self.nodes - corner) / extent * 2 - 1
        alpha = self.texture[:, 3:4]
        found = F.grid_sample(alpha, where[None, None], align_corners=False)
        return found[0, 0, 0] > OPAQUE

    @cached_property
    def beside(self) -> tuple[Tensor, Tensor]:
        """Rows (4,n) of the nodes to the left, right, above and below, else the node's own; (2,n)
        one over the steps between left and right, above and below, 0 where there are none."""
        off = self.nodes - self.nodes.amin(0)
        cells = (off / self.step).round().long() + 1
        wide, high = (cells.amax(0) + 2).tolist()
        own = torch.arange(len(cells), device=cells.device)
        table = cells.new_full((high, wide), -1)
        table[cells[:, 1], cells[:, 0]] = own
        shifts = cells.new_tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])
        x, y = (cells + shifts[:, None]).unbind(-1)
        rows = table[y, x]
        there = rows >= 0
        steps = there.unflatten(0, (2, 2)).sum(1)
        share = torch.where(steps > 0, 1 / steps.clamp_min(1), 0.0)
        return torch.where(there, rows, own), share


@dataclass(frozen=True)
class Chain:
    """The maps of a limb from the torso on, and the joints (T,1) or (1,1) between them."""

    maps: tuple[Map, ...]
    joints: tuple[Tensor, ...]

    def placed(self, piece: Piece, own: Tensor | None = None) -> Tensor:
        """(T,n) complex; own (T,n): where the own bone moves the nodes, if not by its map."""
        nodes = as_complex(piece.nodes)[None]
        out = self.maps[piece.bone + 1].places(nodes) if own is None else own
        before, after, _ = piece.blended
        if len(before):
            near = nodes[:, before]
            share = piece.before[before]
            out[:, before] = self._mixed(piece.bone, near, share)
        following = piece.bone + 1
        if len(after) and following < len(self.joints):
            near = nodes[:, after]
            share = piece.after[after]
            out[:, after] = self._mixed(following, near, share)
        return out

    def _mixed(self, joint: int, nodes: Tensor, share: Tensor) -> Tensor:
        """Nodes (1,n) around a joint, with the share (n,) of the map after it."""
        first, second = self.maps[joint : joint + 2]
        at = self.joints[joint]
        bend = wrapped(second.turn - first.turn)
        ends = [(part.places(nodes), part.places(at)) for part in (first, second)]
        return mix_polar(*ends, share, bend)


def _root(pose: Skeleton, hand: int) -> tuple[Tensor, Tensor]:
    """Where a hand begins, complex (T,1), and whether that is seen."""
    seen = pose.hand_points_seen[:, hand, :1] & pose.hands_seen[:, hand, None]
    return as_complex(pose.hands[:, hand, :1]), seen


def _as_end(bone: BoneMap) -> Tensor:
    """(T,2,3) the map of what goes on from a bone's end and turns with it."""
    turn = torch.polar(bone.ratio, bone.turn)[:, 0]
    cos = turn.real
    sin = turn.imag
    linear = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))
    end = bone.end.expand(len(turn), 1)
    source = torch.view_as_real(end)[:, 0]
    goal = torch.view_as_real(bone.goal_end)[:, 0]
    return affine(linear, source, goal)


class LimbMotion:
    """The forward maps of the four limbs in one call.

    reference: one row; target: T rows, completed by `geometry.follow`; torso (T,2,3): its map from
    the reference to the target; ratio (T,): size of the target's body over the reference's; bends
    (T,2): how far the fingers of the right and the left arm's hand bend where both show them; None
    bends them as far as each frame allows by itself.
    """

    def __init__(
        self,
        reference: Skeleton,
        target: Skeleton,
        torso: Tensor,
        ratio: Tensor,
        bends: Tensor | None = None,
    ) -> None:
        self.reference = reference
        self.target = target
        self.ratio = ratio[:, None]
        self._bends = bends
        self._torso = LinearMap(torso)
        self._from = as_complex(reference.body)
        self._to = as_complex(target.body)
        self._chains: dict[int, Chain] = {}

    def place(self, piece: Piece) -> Tensor:
        """(T,n,2) places of the piece's nodes in the target."""
        chain = self._chain(piece.limb)
        if piece.source is not None:
            out = self._borrowed(piece, piece.source)
        elif piece.limb in LEGS:
            out = self._with_partner(piece, chain.placed(piece))
        elif piece.bone == HAND:
            out = chain.placed(piece, self._bent(piece))
        else:
            out = chain.placed(piece)
        if piece.fade is not None:
            width = self._presence(piece).clamp_min(SLIMMEST)
            out = self._bone(piece).slimmed(out, width)
        return torch.view_as_real(out)

    def _with_partner(self, piece: Piece, own: Tensor) -> Tensor:
        """Places (T,n) of a leg's piece, mixed with where the other leg would move it."""
        rows = piece.blended[2]
        if not len(rows):
            return own
        partner = sum(LEGS) - piece.limb
        other = self._chain(partner).placed(piece)
        apart = other - own
        own[:, rows] += apart[:, rows] * piece.partner[rows]
        return own

    def shown(self, piece: Piece, raw: Skeleton, unit: Tensor) -> Tensor:
        """(T,) bool: the target, as it was before it was completed, shows where the piece is.

        unit (T,): head heights of the target.
        """
        if piece.limb in LEGS:
            return torch.ones_like(raw.body_seen[:, 0])
        return shown_parts(raw, piece.limb, unit)[:, piece.bone]

    def opacity(self, piece: Piece) -> Tensor:
        """(T,) 0 to 1: how opaque the piece is, as its bone's stretch says.

        Through two layers that are half transparent the background would show. So what is lent lies
        below the photo's own forearm and is opaque as soon as it is there; the own one is
        transparent only while it is so slim that it lies on it.
        """
        if piece.fade is None:
            return torch.ones_like(self.ratio[:, 0])
        presence = self._presence(piece)[:, 0]
        if piece.source is None:
            return (presence / SLIM).clamp(max=1)
        return (presence > 0).to(presence.dtype)

    def _presence(self, piece: Piece) -> Tensor:
        """(T,1) 0 to 1: how far a piece that fades is there, as its bone's stretch says."""
        bone = self._bone(piece)
        if piece.fade is None:
            return torch.ones_like(bone.stretch)
        absent, there = piece.fade
        share = (bone.stretch - absent) / (there - absent)
        return share.clamp(0, 1)

    def _bone(self, piece: Piece) -> BoneMap:
        """The map of a piece's bone, which can be stretched."""
        bone = self._chain(piece.limb).maps[piece.bone + 1]
        if not isinstance(bone, BoneMap):
            raise TypeError("only a bone can be stretched; the torso and a hand cannot")
        return bone

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
        points, goals = self._points(limb)
        shoulder, elbow, _ = points.split(1, 1)
        goal_shoulder, goal_elbow, _ = goals.split(1, 1)
        wrist, goal_wrist = self._ends(limb)
        upper = BoneMap(shoulder, elbow, goal_shoulder, goal_elbow, self.ratio)
        fore = BoneMap(elbow, wrist, goal_elbow, goal_wrist, self.ratio)
        hand = self._hand(limb, fore)
        return Chain((self._torso, upper, fore, hand), (shoulder, elbow, wrist))

    def _leg(self, limb: int) -> Chain:
        """A shin whose foot the reference does not show goes on as its thigh does."""
        points, goals = self._points(limb)
        hip, knee, ankle = points.split(1, 1)
        goal_hip, goal_knee, goal_ankle = goals.split(1, 1)
        foot = JOINTS[limb][2]
        seen = self.reference.body_seen[:, foot, None]
        ankle = torch.where(seen, ankle, 2 * knee - hip)
        goal_ankle = torch.where(seen, goal_ankle, 2 * goal_knee - goal_hip)
        thigh = BoneMap(hip, knee, goal_hip, goal_knee, self.ratio)
        shin = BoneMap(knee, ankle, goal_knee, goal_ankle, self.ratio)
        return Chain((self._torso, thigh, shin), (hip, knee))

    def _ends(self, limb: int) -> tuple[Tensor, Tensor]:
        """Where the forearm ends in reference and target (T,1): at the hand's root, if both show
        it, else at the wrist."""
        points, goals = self._points(limb)
        hand = HANDS[limb]
        root, root_seen = _root(self.reference, hand)
        goal_root, goal_seen = _root(self.target, hand)
        both = root_seen & goal_seen
        end = torch.where(both, root, points[:, 2:])
        goal = torch.where(both, goal_root, goals[:, 2:])
        return end, goal

    def _hand(self, limb: int, fore: BoneMap) -> LinearMap:
        """A similarity of the points that both show, held at the forearm's end.

        A hand without points goes with its forearm.
        """
        hand = HANDS[limb]
        ratio = self.ratio[:, 0]
        points = self.reference.hands[:, hand].expand(len(ratio), -1, -1)
        shared = self._shared(limb)
        weight = shared.to(points.dtype)
        linear, size, center = similarity(points, self.target.hands[:, hand], weight)
        held = (size / ratio).clamp(1 / HAND_SIZE, HAND_SIZE)
        gain = held * ratio / size
        by_points = affine(linear * gain[:, None, None], *center.unbind(1))
        by_points = self._attached(by_points, limb)
        both = self.reference.hands_seen[:, hand] & self.target.hands_seen[:, hand]
        both = both & (shared.sum(-1) >= FEW_POINTS)
        return LinearMap(torch.where(both[:, None, None], by_points, _as_end(fore)))

    def _attached(self, matrix: Tensor, limb: int) -> Tensor:
        """Shift a hand's maps (T,2,3) to the forearm's end where they would leave it."""
        count = len(matrix)
        start, goal = (torch.view_as_real(end.expand(count, 1)) for end in self._ends(limb))
        gap = goal - apply(matrix, start)
        palm = self.target.hands[:, HANDS[limb]]
        length = (palm[:, MIDDLE_ROOT] - palm[:, 0]).norm(dim=-1).clamp_min(SHORTEST)
        share = gap[:, 0].norm(dim=-1) / length
        share = ((share - APART[0]) / (APART[1] - APART[0])).clamp(0, 1)
        shift = gap.transpose(1, 2) * share[:, None, None]
        return torch.cat([matrix[..., :2], matrix[..., 2:] + shift], -1)

    def _shared(self, limb: int) -> Tensor:
        """(T,21) bool: the points of an arm's hand that reference and target show."""
        hand = HANDS[limb]
        reference = self.reference.hand_points_seen[:, hand]
        return reference & self.target.hand_points_seen[:, hand]

    def bend_share(self, piece: Piece) -> Tensor:
        """(T,) 0 to 1: how far the fingers of a hand's piece can bend in each frame by itself."""
        rigid, moved = self._hand_places(piece)
        share = uncrushed_share(rigid, moved, piece.beside[0], piece.opaque)
        seen = self._shared(piece.limb).sum(-1) >= POINTS_SEEN
        return share * seen

    def hand_center(self, piece: Piece) -> Tensor:
        """(T,2) where the middle of a hand's piece goes, if it moves as a whole."""
        middle = piece.nodes[piece.opaque].mean(0)
        return apply(self._palm(piece).matrix, middle[None, None])[:, 0]

    def _palm(self, piece: Piece) -> LinearMap:
        """The map of a hand's piece that moves as a whole."""
        palm = self._chain(piece.limb).maps[HAND + 1]
        if not isinstance(palm, LinearMap):
            raise TypeError("a hand is moved by an affine map; this chain ends with a bone")
        return palm

    def _bent(self, piece: Piece) -> Tensor:
        """(T,n) complex places of a hand's piece, whose fingers bend."""
        share = self.bend_share(piece) if self._bends is None else self._bends[:, piece.limb]
        rigid, moved = self._hand_places(piece)
        return as_complex(torch.lerp(rigid, moved, share[:, None, None]))

    def _hand_places(self, piece: Piece) -> tuple[Tensor, Tensor]:
        """(T,n,2) places of a hand's piece that moves as a whole, and with bent fingers."""
        hand = HANDS[piece.limb]
        palm = self._palm(piece)
        points = self.reference.hands[0, hand]
        goals = self.target.hands[:, hand]
        moved = bent(piece.nodes, points, goals, palm.matrix, self._shared(piece.limb))
        return apply(palm.matrix, piece.nodes.expand(len(moved), -1, -1)), moved

    def _borrowed(self, piece: Piece, source: Tensor) -> Tensor:
        """(T,n) of a forearm's piece that shows what the upper arm lends it."""
        start, end = as_complex(source)[:, None, None].unbind(0)
        _, goals = self._points(piece.limb)
        _, wrist = self._ends(piece.limb)
        width = self.ratio * LENT_WIDTH
        bone = BoneMap(start, end, goals[:, 1:2], wrist, width)
        nodes = as_complex(piece.nodes)
        return bone.places(nodes[None])
