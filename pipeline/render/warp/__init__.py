"""A reference image moved to a target pose by geometry alone: layered, any photo, no training.

Over the background lie the legs, the body without them, the arms. Head and torso are bent smoothly
into each other by backward blending, the face by radial basis interpolation of its 68 points, the
mouth's interior painted. Arms and legs are cut out by a part map and moved by forward skinning. It
conditions the embedded denoiser, is the draft preview and the baseline of every model. Holes are
filled smoothly, or with texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.face import mouth, paint, side
from pipeline.render.warp.fill import Fill, textured
from pipeline.render.warp.flows import Flow, flow, sample, stillness
from pipeline.render.warp.geometry import Skeleton, skeleton
from pipeline.render.warp.layers import ARM_ROWS, LEG_ROWS, Plates
from pipeline.render.warp.layers import plates as _plates
from pipeline.render.warp.maps import enlarge
from pipeline.render.warp.skinning import LimbMotion
from pipeline.render.warp.splatting import draw_piece
from pipeline.render.warp.steadiness import unmoved_share
from pipeline.values import BODY, FACE, HANDS, VISIBLE, Pose

__all__ = ["Fill", "Plates", "Points", "Warped", "plates", "textured", "warp"]

Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels
# head heights around eyes and lips within which the fields of their two edges differ
FACE_ROOM = 0.35
FAR_AWAY = 9.0  # picture heights, beyond any picture
ARRIVAL_CELLS = 5  # of the flow grid around a limb's new place that does not stand still
GONE = 1e3  # squared shift of a limb that a frame does not show


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
    raw = skeleton(*points, aspect)
    found = flow(layers, raw, size, aspect)
    picture, valid, still = _compose(layers, found, raw, size, aspect)
    posed = (torch.cat([p[..., 2] for p in points], -1).amax(-1) > VISIBLE)[:, None, None, None]
    own = _resized(layers.image, size)[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
    valid, still = (torch.where(posed, share, 1.0) for share in (valid, still))
    unmoved = unmoved_share(still)
    picture = picture.lerp_(own, torch.maximum((1 - valid) * still, unmoved)).clamp_(0, 1)
    valid = torch.maximum(valid, still).clamp_(0, 1)
    maps = (picture, valid, unmoved)
    return Warped(*(m.unflatten(0, (-1, frames)) for m in maps))


def _compose(
    layers: Plates, found: Flow, raw: Skeleton, size: tuple[int, int], aspect: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the layers over each other.

    Args:
        layers: of B reference images.
        found: the maps of N = B T frames.
        raw: N skeletons as they were given.
        size: (H, W) of the picture.
        aspect: of the reference images.

    Returns:
        picture (N, 3, H, W), validity and stillness (N, 1, H, W).
    """
    frames = len(found.unit) // len(layers.image)
    ground = _resized(layers.background, size)
    picture = ground.repeat_interleave(frames, 0)
    motion = found.trunk_motion
    limbs = [_MovedLimbs(layers, found, raw, person) for person in range(len(layers.image))]
    for person in limbs:
        person.draw(picture, LEG_ROWS, aspect)
    motion = torch.cat([person.motion(aspect) for person in limbs])
    still = enlarge(stillness(torch.maximum(motion, found.trunk_motion)), size)
    _draw_body(picture, still, layers, found, size, aspect)
    for person in limbs:
        person.draw(picture, ARM_ROWS, aspect)
    return picture[:, :3], picture[:, 3:], still


class _MovedLimbs:
    """The limbs of one of the reference images in its T frames."""

    def __init__(self, layers: Plates, found: Flow, raw: Skeleton, person: int) -> None:
        frames = len(found.unit) // len(layers.image)
        self.frames = slice(person * frames, (person + 1) * frames)
        rows = torch.arange(self.frames.start, self.frames.stop, device=found.unit.device)
        reference = layers.pose.frames(torch.tensor([person], device=found.unit.device))
        self.motions = LimbMotion(
            reference, found.target.frames(rows), found.torso[rows], found.ratio[rows]
        )
        self.raw = raw.frames(rows)
        self.grid = found.nodes.shape[1:]
        self.limbs = layers.limbs[person]
        self.places = [[self.motions.place(piece) for piece in limb.pieces] for limb in self.limbs]

    def draw(self, picture: Tensor, rows: tuple[int, ...], aspect: float) -> None:
        """Draw the limbs of some rows over the pictures (N, 4, H, W) of all frames.

        What is farther from the trunk lies on top: a hand over the other arm's forearm.
        """
        layers = []
        for limb, places in zip(self.limbs, self.places, strict=True):
            if limb.row in rows:
                shown = self.motions.shown(limb.row, self.raw)
                layers += [(*layer, shown) for layer in zip(limb.pieces, places, strict=True)]
        for piece, where, shown in sorted(layers, key=lambda layer: layer[0].bone):
            draw_piece(picture[self.frames], piece, where, shown, aspect)

    def motion(self, aspect: float) -> Tensor:
        """Return (T, 1, h, w) the squared shift of the limbs where they were and where they are."""
        count = self.frames.stop - self.frames.start
        height, width = self.grid
        motion = self.raw.body.new_zeros(count, 1, height, width)
        arrived = torch.zeros_like(motion).flatten(1)
        scale = arrived.new_tensor([width / aspect, height])
        for limb, places in zip(self.limbs, self.places, strict=True):
            spot = F.interpolate(limb.spot, self.grid, mode="bilinear", align_corners=True)
            shown = self.motions.shown(limb.row, self.raw)
            for piece, where in zip(limb.pieces, places, strict=True):
                moved = self.motions.moved(piece, where).square()
                farthest = torch.where(shown, moved.amax(1), GONE)
                motion = torch.maximum(motion, spot.square() * farthest[:, None, None, None])
                cells = (where * scale).long()
                inside = (cells >= 0).all(-1) & (cells[..., 0] < width) & (cells[..., 1] < height)
                index = torch.where(inside, cells[..., 1] * width + cells[..., 0], 0)
                moved = torch.where(inside & shown[:, None], moved, 0.0)
                arrived.scatter_reduce_(1, index, moved, "amax")
        here = F.max_pool2d(arrived.view_as(motion), ARRIVAL_CELLS, 1, ARRIVAL_CELLS // 2)
        return torch.maximum(motion, here)


def _draw_body(
    picture: Tensor,
    still: Tensor,
    layers: Plates,
    found: Flow,
    size: tuple[int, int],
    aspect: float,
) -> None:
    """Draw head and torso over the pictures (N, 4, H, W); what is painted is not `still`."""
    frames = len(found.unit) // len(layers.image)
    middle = (found.body[:, :2] + found.body[:, 2:]) / 2
    face = _face_box(found, size, aspect)
    box = _body_box(layers, middle, face, size, aspect)
    if box is None:
        return
    top, bottom, left, right = box
    maps = _crop(torch.cat([middle, found.agree], 1), box, size)
    places = maps[:, :2]
    if face:
        rows = slice(face[0] - top, face[1] - top)
        columns = slice(face[2] - left, face[3] - left)
        places[:, :, rows, columns], slits = _slits(found, face, size)
    body = sample(layers.body, places, aspect, layers.room).mul_(maps[:, 2:])
    if face:
        window = body[:, :, rows, columns]
        color = layers.lips.repeat_interleave(frames, 0)
        window[:, :3], amount = paint(window[:, :3], *slits, color, 1 / size[0])
        window[:, 4:] *= 1 - amount
        still[:, :, face[0] : face[1], face[2] : face[3]] *= 1 - amount
    below = picture[:, :, top:bottom, left:right]
    below.mul_(1 - body[:, 3:4])
    below[:, :3] += body[:, :3]
    below[:, 3:] += body[:, 4:]


def _body_box(
    layers: Plates, places: Tensor, face: Box | None, size: tuple[int, int], aspect: float
) -> Box | None:
    """Return the window that holds head and torso in all frames, and the `face`."""
    alpha = F.max_pool2d(layers.body[:, 3:4], 5, 1, 2)
    there = sample(alpha, places, aspect, layers.room).amax((0, 1)) > 0
    rows = there.any(1).nonzero()[:, 0].tolist()
    columns = there.any(0).nonzero()[:, 0].tolist()
    if not rows:
        return face
    height, width = there.shape
    top = int((rows[0] - 1) * size[0] / height)
    bottom = int((rows[-1] + 2) * size[0] / height) + 1
    left = int((columns[0] - 1) * size[1] / width)
    right = int((columns[-1] + 2) * size[1] / width) + 1
    if face:
        top = min(top, face[0])
        bottom = max(bottom, face[1])
        left = min(left, face[2])
        right = max(right, face[3])
    return max(0, top), min(size[0], bottom), max(0, left), min(size[1], right)


def _slits(found: Flow, box: Box, size: tuple[int, int]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Places (N,2,h,w) around eyes and lips, each edge by its own field, and the mouth there."""
    inside = mouth(found.reference, found.target, found.nodes, found.unit, found.head_ratio)
    maps = torch.cat([found.body, inside.depth, inside.outside, inside.paint], 1)
    maps = _crop(maps, box, size)
    mix = side(maps[:, 4:6], maps[:, 6:7], 1 / size[0])
    return torch.lerp(maps[:, :2], maps[:, 2:4], mix), (maps[:, 4:], inside.teeth)


def _face_box(found: Flow, size: tuple[int, int], aspect: float) -> Box | None:
    """Return the window that holds, over all frames, eyes and lips, if any are seen."""
    target = found.target
    both = (found.reference.face_seen & target.face_seen).float().mean(-1) > 0.5
    reach = (found.unit * found.ratio * FACE_ROOM)[:, None]
    eyes_and_lips = target.face[:, 36:]
    low = torch.where(both[:, None], eyes_and_lips.amin(1) - reach, FAR_AWAY).amin(0)
    high = torch.where(both[:, None], eyes_and_lips.amax(1) + reach, -FAR_AWAY).amax(0)
    scale = low.new_tensor([size[1] / aspect, size[0]])
    corners = torch.cat([(low * scale).floor(), (high * scale).ceil()]).tolist()  # one sync
    left, top, right, bottom = (int(corner) for corner in corners)
    box = (max(0, top), min(size[0], bottom), max(0, left), min(size[1], right))
    return box if box[0] < box[1] and box[2] < box[3] else None


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
