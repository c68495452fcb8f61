"""A reference image moved to a target pose by geometry alone: layered, ghost-free, any photo, no
training.

Over the background plate lies the body: head, torso and legs bent smoothly into each other by
backward blend skinning, the face by radial basis interpolation of its 68 points, the mouth's
interior painted. Over it lie the arms: upper arms, forearms, hands. It conditions the embedded
denoiser, is the draft preview and the baseline of every model. Holes are filled smoothly, or with
texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.face import mouth, paint, side
from pipeline.render.warp.fill import textured
from pipeline.render.warp.flows import Flow, flow, sample
from pipeline.render.warp.geometry import ARMS, LIMB_RADIUS, REACH, skeleton
from pipeline.render.warp.layers import Fill, Plates
from pipeline.render.warp.layers import plates as _plates
from pipeline.render.warp.maps import enlarge
from pipeline.render.warp.steadiness import unmoved_share
from pipeline.values import BODY, FACE, HANDS, VISIBLE, Pose

__all__ = ["Fill", "Plates", "Points", "Warped", "plates", "textured", "warp"]

Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels
# head heights around eyes and lips within which the fields of their two edges differ
FACE_ROOM = 0.35
# head heights around a hand's points, and around the wrist without them
HAND_ROOM = 0.35
GUESSED_HAND = 1.1


@dataclass(frozen=True)
class Points:
    """Key points (x and y as fractions, score): body (B,T,18,3), hands (B,T,42,3), face
    (B,T,68,3)."""

    body: Tensor
    hands: Tensor
    face: Tensor

    @staticmethod
    def of(pose: Pose, device: torch.device | str = "cpu") -> Points:
        """The points of one pose, B = 1."""
        parts = []
        for part in (pose.body, pose.hands, pose.face):
            xy = torch.as_tensor(part.xy)
            score = torch.as_tensor(part.score)
            parts.append(torch.cat([xy, score[..., None]], -1).float()[None].to(device))
        return Points(*parts)

    def __getitem__(self, frames: slice) -> Points:
        """The same people in some of the frames."""
        return Points(self.body[:, frames], self.hands[:, frames], self.face[:, frames])


@dataclass(frozen=True)
class Warped:
    """image (B,T,3,H,W) in [0,1]; validity (B,T,1,H,W): 1 the reference's own pixels, 0 filled or
    painted; still (B,T,1,H,W): 1 exactly the reference image, unmoved."""

    image: Tensor
    validity: Tensor
    still: Tensor


def _check(points: Points, images: int, name: str) -> tuple[int, int]:
    shapes = [tuple(p.shape) for p in (points.body, points.hands, points.face)]
    lead = shapes[0][:2]
    if shapes != [(*lead, k, 3) for k in (BODY, HANDS, FACE)] or len(lead) != 2:
        raise ValueError(f"{name} needs points (B,T,18,3), (B,T,42,3) and (B,T,68,3), got {shapes}")
    if lead[0] != images:
        raise ValueError(
            f"{name} has points of {lead[0]} people for {images} reference images; give one each"
        )
    return lead


@torch.no_grad()
def plates(
    image: Tensor, reference: Points, mask: Tensor | None = None, fill: Fill | None = None
) -> Plates:
    """Returns the layers of reference images (B,3,H,W) in [0,1]; points with T = 1, masks
    (B,1,H,W).

    What lies behind the person and behind the arms is filled smoothly, or by `fill`
    (`warp.textured`: 1.5 s per picture of 512x768 on one core, once).

    With the person's mask the plates have clean edges; without it the outline comes from the key
    points.
    """
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"reference images need shape (B,3,H,W), got {tuple(image.shape)}")
    if _check(reference, len(image), "the reference")[1] != 1:
        raise ValueError(
            f"a reference has one frame of points, got {reference.body.shape[1]}; pass one"
        )
    if mask is not None and mask.shape != (len(image), 1, *image.shape[2:]):
        raise ValueError(
            f"the masks need shape {(len(image), 1, *image.shape[2:])}, got {tuple(mask.shape)}"
        )
    body, hands, face = (
        p[:, 0].to(image.dtype) for p in (reference.body, reference.hands, reference.face)
    )
    return _plates(image, body, hands, face, mask, fill)


@torch.no_grad()
def warp(layers: Plates, target: Points, size: tuple[int, int] | None = None) -> Warped:
    """Returns the reference images moved to the target's poses, at the plates' or another size (H,
    W).

    An arm part that is missing in the reference or in the target is left out; torso, head and legs
    that are missing in the target follow what is seen of the body. A frame without any point shows
    the reference image itself, with validity 1.
    """
    _, frames = _check(target, len(layers.image), "the target")
    size = size or layers.size
    aspect = layers.size[1] / layers.size[0]
    if size[0] * 1.5 <= layers.size[0]:
        layers = layers.shrunk(size)
    points = [p.flatten(0, 1).to(layers.image) for p in (target.body, target.hands, target.face)]
    found = flow(layers, skeleton(*points, aspect), size, aspect)
    picture, valid, still = _compose(layers, found, size, aspect)
    posed = (torch.cat([p[..., 2] for p in points], -1).amax(-1) > VISIBLE)[:, None, None, None]
    own = _resized(layers.image, size).repeat_interleave(frames, 0)
    valid, still = (torch.where(posed, share, 1.0) for share in (valid, still))
    unmoved = unmoved_share(still)
    picture = torch.lerp(picture, own, torch.maximum((1 - valid) * still, unmoved)).clamp_(0, 1)
    valid = torch.maximum(valid, still).clamp_(0, 1)
    maps = (picture, valid, unmoved)
    return Warped(*(m.unflatten(0, (-1, frames)) for m in maps))


def _compose(
    layers: Plates, found: Flow, size: tuple[int, int], aspect: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The layers over each other: picture (N,3,H,W), validity and stillness (N,1,H,W)."""
    frames = len(found.unit) // len(layers.image)
    face, *parts = _boxes(found, size, aspect)
    middle = (found.body[:, :2] + found.body[:, 2:]) / 2
    maps = enlarge(torch.cat([middle, found.agree, found.still], 1), size)
    places = maps[:, :2]
    still = maps[:, 3:]
    if face:
        places[:, :, face[0] : face[1], face[2] : face[3]], slits = _slits(found, face, size)
    body = sample(layers.body, places, aspect, layers.room).mul_(maps[:, 2:3])
    if face:
        window = body[:, :, face[0] : face[1], face[2] : face[3]]
        colour = layers.lips.repeat_interleave(frames, 0)
        window[:, :3], amount = paint(window[:, :3], *slits, colour, 1 / size[0])
        window[:, 4:] *= 1 - amount
        still[:, :, face[0] : face[1], face[2] : face[3]] *= (
            1 - amount
        )  # what is painted is to be seen
    ground = _resized(layers.background, size).repeat_interleave(frames, 0)
    picture = ground.mul_(1 - body[:, 3:4])
    picture[:, :3] += body[:, :3]
    picture[:, 3:] += body[:, 4:]
    for part, box in enumerate(parts):
        if box:
            window = picture[:, :, box[0] : box[1], box[2] : box[3]]
            places = _crop(found.arms[:, part], box, size)
            arm = sample(layers.arms[:, part], places, aspect, layers.room)
            arm.mul_(found.on[:, part, None, None, None])
            window.mul_(1 - arm[:, 3:4])
            window[:, :3] += arm[:, :3]
            window[:, 3:] += arm[:, 4:]
    return picture[:, :3], picture[:, 3:], still


def _slits(found: Flow, box: Box, size: tuple[int, int]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Places (N,2,h,w) around eyes and lips, each edge by its own field, and the mouth there."""
    inside = mouth(found.reference, found.target, found.nodes, found.unit, found.head_ratio)
    maps = torch.cat([found.body, inside.depth, inside.outside, inside.paint], 1)
    maps = _crop(maps, box, size)
    mix = side(maps[:, 4:6], maps[:, 6:7], 1 / size[0])
    return torch.lerp(maps[:, :2], maps[:, 2:4], mix), (maps[:, 4:], inside.teeth)


def _boxes(found: Flow, size: tuple[int, int], aspect: float) -> list[Box | None]:
    """Windows that hold, over all frames, eyes and lips and each of the six arm parts, if any."""
    target = found.target
    unit = found.unit * found.ratio
    face = (found.reference.face_seen & target.face_seen).float().mean(-1) > 0.5
    spots = [(target.face[:, 36:], unit * FACE_ROOM, face)]
    for part, (joints, radius) in enumerate(zip(ARMS, LIMB_RADIUS, strict=True)):
        spots.append(
            (target.body[:, joints], unit * (radius + REACH[part] + 0.1), found.on[:, part])
        )
    for part, hand, wrist in ((4, 1, 4), (5, 0, 7)):
        both = (found.reference.hands_seen & target.hands_seen)[:, hand]
        guess = target.body[:, wrist, None].expand(-1, 21, -1)
        points = torch.where(both[:, None, None], target.hands[:, hand], guess)
        spots.append((points, unit * torch.where(both, HAND_ROOM, GUESSED_HAND), found.on[:, part]))
    low = torch.stack(
        [torch.where(on[:, None], p.amin(1) - r[:, None], 9.0).amin(0) for p, r, on in spots]
    )
    high = torch.stack(
        [torch.where(on[:, None], p.amax(1) + r[:, None], -9.0).amax(0) for p, r, on in spots]
    )
    scale = low.new_tensor([size[1] / aspect, size[0]])
    corners = torch.cat(
        [(low * scale).floor(), (high * scale).ceil()], 1
    ).tolist()  # the call's one sync
    boxes = [
        (max(0, int(t)), min(size[0], int(b)), max(0, int(a)), min(size[1], int(c)))
        for a, t, c, b in corners
    ]
    return [box if box[0] < box[1] and box[2] < box[3] else None for box in boxes]


def _crop(maps: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """The window `box` of maps enlarged to `size`."""
    top, bottom, left, right = box
    x = torch.arange(left, right, device=maps.device, dtype=maps.dtype) * (2 / (size[1] - 1)) - 1
    y = torch.arange(top, bottom, device=maps.device, dtype=maps.dtype) * (2 / (size[0] - 1)) - 1
    where = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, where, mode="bilinear", padding_mode="border", align_corners=True)


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False)
