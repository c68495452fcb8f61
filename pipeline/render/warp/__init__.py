"""A reference image moved to a target pose by geometry alone: layered, any photo, no training.

Over the background lie the legs, the body without them, the arms. Head and torso are bent smoothly
into each other by backward blending, the face by radial basis interpolation of its 68 points, the
mouth's interior painted. Arms and legs are cut out by a part map and moved by forward skinning. It
conditions the embedded denoiser, is the draft preview and the baseline of every model. Holes are
filled smoothly, or with texture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.render.warp.composition import Composition
from pipeline.render.warp.fill import Fill, textured
from pipeline.render.warp.geometry import skeleton
from pipeline.render.warp.hand_plan import HandPlan
from pipeline.render.warp.layers import Plates
from pipeline.render.warp.layers import plates as _plates
from pipeline.values import BODY, FACE, HANDS, VISIBLE, Pose

__all__ = ["Fill", "Plates", "Points", "Warped", "plates", "stream", "textured", "warp"]


PLANNED_FRAMES = 16  # whose maps on coarse grids are made at once


@dataclass(frozen=True)
class Points:
    """Key points (x and y as fractions, score): body (B,T,18,3), hands (B,T,42,3), face
    (B,T,68,3); fps: frames per second, None where they are moments without an order in time."""

    body: Tensor
    hands: Tensor
    face: Tensor
    fps: float | None = None

    @staticmethod
    def of(pose: Pose, device: torch.device | str = "cpu") -> Points:
        """The points of one pose, B = 1, each frame by itself."""
        parts = []
        for part in (pose.body, pose.hands, pose.face):
            xy = torch.as_tensor(part.xy)
            score = torch.as_tensor(part.score)
            parts.append(torch.cat([xy, score[..., None]], -1).float()[None].to(device))
        return Points(*parts)

    @staticmethod
    def timed(pose: Pose, device: torch.device | str = "cpu") -> Points:
        """The points of a whole clip's pose, B = 1, in which a hand eases from frame to frame."""
        return replace(Points.of(pose, device), fps=pose.fps)

    def __getitem__(self, frames: slice) -> Points:
        """The same people in some of the frames."""
        return replace(
            self,
            body=self.body[:, frames],
            hands=self.hands[:, frames],
            face=self.face[:, frames],
        )


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
    (`warp.textured`: 3 s per picture of 512x768 on one busy core, once).

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
    size = size or layers.size
    _, frames = _check(target, len(layers.image), "the target")
    lead = (len(layers.image), frames)
    maps = [layers.image.new_empty(*lead, channels, *size) for channels in (3, 1, 1)]
    for person, rows, drawn in _drawn(layers, target, size, range(frames)):
        for whole, part in zip(maps, drawn, strict=True):
            whole[person, rows] = part
    return Warped(*maps)


@torch.no_grad()
def stream(
    layers: Plates,
    target: Points,
    size: tuple[int, int] | None = None,
    frames: slice = slice(None),
) -> Iterator[Warped]:
    """Yields what `warp` returns of one reference image, a few frames at a time.

    Of a whole clip some `frames` are drawn as if all were: hands know the frames around.
    """
    _, count = _check(target, 1, "the target")
    rows = range(count)[frames]
    for _, _, drawn in _drawn(layers, target, size or layers.size, rows):
        yield Warped(*(m[None] for m in drawn))


def _drawn(
    layers: Plates, target: Points, size: tuple[int, int], rows: range
) -> Iterator[tuple[int, slice, tuple[Tensor, Tensor, Tensor]]]:
    """Yield a row of B, which of the asked rows of T, and what `Composition.draw` makes of them."""
    aspect = layers.size[1] / layers.size[0]
    if size[0] * 1.5 <= layers.size[0]:
        layers = layers.shrunk(size)
    plan = HandPlan(layers, (target.body, target.hands, target.face), target.fps)
    for start in range(0, len(rows), PLANNED_FRAMES):
        chosen = rows[start : start + PLANNED_FRAMES]
        part = target[chosen.start : chosen.stop : chosen.step]
        points = [p.flatten(0, 1).to(layers.image) for p in (part.body, part.hands, part.face)]
        posed = torch.cat([p[..., 2] for p in points], -1).amax(-1) > VISIBLE
        moved = skeleton(*points, aspect)
        composition = Composition(layers, moved, posed, size, plan.moves(chosen))
        for person, group in composition.groups():
            shifted = slice(start + group.start, start + group.stop)
            yield person, shifted, composition.draw(person, group)
