"""A reference image moved to a target pose by geometry alone: layered, without ghosts, any photo, no training.

Over the background plate lies the body (head, torso and legs bent smoothly into each other by backward blend
skinning, the face by radial basis interpolation of its 68 points, the mouth's interior painted), over it the arms:
upper arms, forearms, hands. It conditions the embedded denoiser, is the draft preview and the baseline of a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .clips import BODY, FACE, HANDS, VISIBLE, Pose
from .warp_face import mouth, paint, residual, side
from .warp_geometry import (
    ARMS,
    CORE,
    HEAD,
    RIGID_FACE,
    SHINS,
    THIGHS,
    affine,
    apply_grid,
    bend,
    bone,
    bone_map,
    core_map,
    follow,
    grid,
    similarity,
    skeleton,
)
from .warp_plates import (
    FAR,
    Plates,
    arms_present,
    body_distances,
    flow_size,
    head_distance,
    legs_present,
    shares_of,
)
from .warp_plates import plates as _plates

STILL = 0.004  # picture heights: where nothing moves by more than this the reference's own pixels are shown
AGREE = (0.25, 0.6)  # a place is hidden where the part that it comes from is not the part that it goes to
TORSO_STIFFNESS, HAND_STIFFNESS = 0.05, 0.15
SIZE_RANGE = (0.8, 1.25)  # of the body's size ratio around the face's: a body that turns is not smaller


@dataclass(frozen=True)
class Points:
    """Key points as tensors: body (B,T,18,3), hands (B,T,42,3), face (B,T,68,3); x, y as fractions, then the score."""

    body: Tensor
    hands: Tensor
    face: Tensor

    @staticmethod
    def of(pose: Pose, device: torch.device | str = "cpu") -> Points:
        """The points of one pose, B = 1."""
        parts = []
        for part in (pose.body, pose.hands, pose.face):
            xy, score = torch.as_tensor(part.xy), torch.as_tensor(part.score)
            parts.append(torch.cat([xy, score[..., None]], -1).float()[None].to(device))
        return Points(*parts)

    def __getitem__(self, frames: slice) -> Points:
        """The same people in some of the frames."""
        return Points(self.body[:, frames], self.hands[:, frames], self.face[:, frames])


@dataclass(frozen=True)
class Warped:
    """image (B,T,3,H,W) in [0,1]; validity (B,T,1,H,W): 1 = the reference's own pixels, 0 = filled or painted."""

    image: Tensor
    validity: Tensor


def _check(points: Points, images: int, name: str) -> tuple[int, int]:
    shapes = [tuple(p.shape) for p in (points.body, points.hands, points.face)]
    lead = shapes[0][:2]
    if shapes != [(*lead, k, 3) for k in (BODY, HANDS, FACE)] or len(lead) != 2:
        raise ValueError(f"{name} needs points (B,T,18,3), (B,T,42,3) and (B,T,68,3), got {shapes}")
    if lead[0] != images:
        raise ValueError(
            f"{name} holds points of {lead[0]} people for {images} reference images; give one each"
        )
    return lead


@torch.no_grad()
def plates(image: Tensor, reference: Points, mask: Tensor | None = None) -> Plates:
    """Returns the layers of reference images (B,3,H,W) in [0,1] with their points (T = 1) and masks (B,1,H,W)."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"reference images need shape (B,3,H,W), got {tuple(image.shape)}")
    if _check(reference, len(image), "the reference")[1] != 1:
        raise ValueError(
            f"a reference has one frame, got {reference.body.shape[1]}; pass one frame of its points"
        )
    if mask is not None and mask.shape != (len(image), 1, *image.shape[2:]):
        raise ValueError(f"the masks need shape {(len(image), 1, *image.shape[2:])}, got {tuple(mask.shape)}")
    body, hands, face = (p[:, 0].to(image.dtype) for p in (reference.body, reference.hands, reference.face))
    return _plates(image, body, hands, face, mask)


@torch.no_grad()
def warp(layers: Plates, target: Points, size: tuple[int, int] | None = None) -> Warped:
    """Returns the reference images moved to the target's poses, at the plates' or another size (H, W).

    A part that is missing in the reference or in the target is left out; legs and torso follow what is seen of
    the body. A frame without any point shows the reference image itself, validity 1.
    """
    _, frames = _check(target, len(layers.image), "the target")
    size = size or layers.size
    aspect = layers.size[1] / layers.size[0]
    if size[0] * 1.5 <= layers.size[0]:
        layers = layers.shrunk(size)
    move = _Move(layers, target, size, aspect)
    picture, valid = move.compose()
    scores = torch.cat([p[..., 2] for p in (target.body, target.hands, target.face)], -1)
    posed = (scores.amax(-1) > VISIBLE).flatten()[:, None, None, None]
    own = _resized(layers.image, size).repeat_interleave(frames, 0)
    still = move.stillness()
    picture = torch.where(posed, picture + (own - picture) * (1 - valid) * still, own).clamp(0, 1)
    valid = torch.where(posed, torch.maximum(valid, still), 1.0).clamp(0, 1)
    return Warped(picture.unflatten(0, (-1, frames)), valid.unflatten(0, (-1, frames)))


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False)


class _Move:
    """One call of `warp`: the parts' maps on the flow grid, then the layers at full size."""

    def __init__(self, layers: Plates, target: Points, size: tuple[int, int], aspect: float) -> None:
        frames = target.body.shape[1]
        rows = torch.arange(len(layers.image), device=layers.image.device).repeat_interleave(frames)
        dtype = layers.image.dtype
        self.layers, self.size, self.aspect, self.frames = layers, size, aspect, frames
        self.rows = rows
        self.ref = layers.pose.frames(rows)
        self.unit = layers.unit[rows]
        points = (p.flatten(0, 1).to(dtype) for p in (target.body, target.hands, target.face))
        seen = skeleton(*points, aspect)
        forward, self.core_ratio = core_map(self.ref, seen)
        self.target = follow(self.ref, seen, forward)
        self.nodes = grid(flow_size(size), size, aspect, layers.image)
        self._head()
        low, high = (self.head_ratio * k for k in SIZE_RANGE)
        self.ratio = torch.minimum(torch.maximum(self.core_ratio, low), high)
        self.flow, self.agree, self.moved = self._body()
        self.arm_flow, self.arm_on = self._arms()
        self._still: Tensor | None = None

    def _head(self) -> None:
        """Target to reference similarity of the head: by the face, else the head's body points, else the core."""
        ref, tgt = self.ref, self.target
        face = (ref.face_seen & tgt.face_seen).to(self.unit.dtype)[:, RIGID_FACE]
        head = (ref.body_seen & tgt.body_seen).to(self.unit.dtype)[:, HEAD]
        core = torch.ones_like(head)
        self.head = self.head_ratio = None
        for index, weight, part in ((CORE, core, "body"), (HEAD, head, "body"), (RIGID_FACE, face, "face")):
            a, b = getattr(tgt, part)[:, index], getattr(ref, part)[:, index]
            linear, ratio, centre = similarity(a, b, weight)
            if (
                part == "body" and index is HEAD
            ):  # its few points turn and shift the head; the size is the body's
                linear, ratio = linear / (ratio * self.core_ratio)[:, None, None], 1 / self.core_ratio
            matrix, use = affine(linear, centre[:, 0], centre[:, 1]), weight.mean(-1) > 0.5
            if self.head is None:
                self.head, self.head_ratio = matrix, 1 / ratio
            else:
                self.head = torch.where(use[:, None, None], matrix, self.head)
                self.head_ratio = torch.where(use, 1 / ratio, self.head_ratio)

    def _body(self) -> tuple[Tensor, Tensor, Tensor]:
        """Flow (N,2,h,w) or two of it with a face (N,4,h,w), agreement (N,1,h,w), each part's motion (N,6,h,w)."""
        ref, tgt, unit, layers = self.ref, self.target, self.unit, self.layers
        linear, _, centre = similarity(
            tgt.body[:, CORE], ref.body[:, CORE], torch.ones_like(tgt.body[:, CORE, 0])
        )
        torso = affine(linear, centre[:, 0], centre[:, 1])
        even = torch.ones_like(tgt.body[:, CORE, 0])
        torso = bend(torso, tgt.body[:, CORE], ref.body[:, CORE], even, TORSO_STIFFNESS)
        maps = [apply_grid(self.head, self.nodes), apply_grid(torso, self.nodes)]
        for a, b in (*THIGHS, *SHINS):
            along, across, _, length = bone(self.nodes, tgt.body[:, a], tgt.body[:, b])
            maps.append(bone_map(along, across, length, ref.body[:, a], ref.body[:, b], self.ratio))
        maps = torch.stack(maps, 1)
        apart = head_distance(maps[:, 0], layers.head[self.rows], layers.up[self.rows], unit)
        distance = body_distances(self.nodes, tgt, unit * self.ratio, apart)
        shares = shares_of(distance, legs_present(ref))
        flow = (shares[:, :, None] * maps).sum(1)
        moved = (maps - self.nodes).square().sum(2).sqrt()
        face = residual(self.head, self.head_ratio, ref, tgt, self.nodes, unit) * shares[:, :1]
        flow = flow.repeat(1, 2, 1, 1) + face
        origin = _sample(layers.shares, flow[:, :2], self.aspect)
        agree = torch.minimum(origin, shares).sum(1, keepdim=True)
        return flow, ((agree - AGREE[0]) / (AGREE[1] - AGREE[0])).clamp(0, 1), moved

    def _arms(self) -> tuple[Tensor, Tensor]:
        """Flows (N,6,2,h,w) of the arm parts and which of them are there in both poses (N,6)."""
        ref, tgt = self.ref, self.target
        maps = []
        for a, b in ARMS:
            along, across, _, length = bone(self.nodes, tgt.body[:, a], tgt.body[:, b])
            maps.append(bone_map(along, across, length, ref.body[:, a], ref.body[:, b], self.ratio))
        for forearm, hand in ((2, 1), (3, 0)):
            both = ref.hands_seen[:, hand] & tgt.hands_seen[:, hand]
            a, b = tgt.hands[:, hand], ref.hands[:, hand]
            even = torch.ones_like(a[..., 0])
            linear, _, centre = similarity(a, b, even)
            matrix = bend(affine(linear, centre[:, 0], centre[:, 1]), a, b, even, HAND_STIFFNESS)
            placed = apply_grid(matrix, self.nodes)
            maps.append(torch.where(both[:, None, None, None], placed, maps[forearm]))
        on = arms_present(ref) & arms_present(tgt)
        return torch.stack(maps, 1), on

    def stillness(self) -> Tensor:
        """(N,1,H,W) 1 where no part near in the reference moves, falling to 0 over STILL picture heights."""
        if self._still is None:
            arms = (self.arm_flow - self.nodes).square().sum(2).sqrt()
            arms = torch.where(self.arm_on[..., None, None], arms, FAR)
            near = _resized(self.layers.near, self.nodes.shape[1:])[self.rows]
            most = (near * torch.cat([self.moved, arms], 1)).amax(1, keepdim=True)
            self._still = self._enlarge(torch.exp(-(most / STILL).square()))
        return self._still

    def _enlarge(self, maps: Tensor) -> Tensor:
        return F.interpolate(maps, self.size, mode="bilinear", align_corners=True)

    def compose(self) -> tuple[Tensor, Tensor]:
        """The layers over each other: picture (N,3,H,W) and validity (N,1,H,W)."""
        layers, pixel = self.layers, 1 / self.size[0]
        inside = mouth(self.ref, self.target, self.nodes, self.unit, self.head_ratio)
        maps = self._enlarge(torch.cat([self.flow, self.agree, inside.depth, inside.outside], 1))
        up, down, agree, depth, outside = maps.split((2, 2, 1, 2, 1), 1)
        flow = up + (down - up) * side(depth, outside, pixel)
        body = _sample(layers.body, flow, self.aspect) * agree
        colour, painted = paint(body[:, :3], depth, outside, inside, layers.lips[self.rows], pixel)
        ground = _resized(layers.background, self.size).repeat_interleave(self.frames, 0)
        rest = 1 - body[:, 3:4]
        picture = colour + ground[:, :3] * rest
        valid = body[:, 4:5] * (1 - painted) + ground[:, 3:] * rest
        for part in range(6):
            places = self._enlarge(self.arm_flow[:, part])
            arm = _sample(layers.arms[:, part], places, self.aspect) * self.arm_on[:, part, None, None, None]
            rest = 1 - arm[:, 3:4]
            picture, valid = arm[:, :3] + picture * rest, arm[:, 4:] + valid * rest
        return picture, valid


def _sample(maps: Tensor, places: Tensor, aspect: float) -> Tensor:
    """(N,C,h,w) maps (B,C,H,W) at metric places (N,2,h,w), N = B T; nothing outside the picture."""
    images, (h, w) = len(maps), places.shape[2:]
    scale = places.new_tensor([2 / aspect, 2.0])
    where = places.permute(0, 2, 3, 1) * scale - 1
    picked = F.grid_sample(maps, where.reshape(images, -1, w, 2), mode="bilinear", align_corners=False)
    return picked.unflatten(2, (-1, h)).transpose(1, 2).flatten(0, 1)
