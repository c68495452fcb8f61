"""Drawn presenters: endless, seeded training data of moving people with exact key points, torch only.

`identities` says who they are, `motions` how they move, `render` paints them and gives the key points of what
it painted. No photograph and no model of anybody else is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters import bodies, heads
from pipeline.training.data.presenters.anatomy import Figure, figure
from pipeline.training.data.presenters.backgrounds import background
from pipeline.training.data.presenters.camera import develop
from pipeline.training.data.presenters.identity import (
    Dofs,
    Identities,
    Motions,
    identities,
    motions,
    proportioned,
    rest,
)
from pipeline.training.data.presenters.shapes import blank
from pipeline.values import InputError, Keypoints, Pose

__all__ = [
    "Dofs", "Identities", "Motions", "Scene", "identities", "motions", "pose", "proportioned", "render",
    "rest",
]  # fmt: skip


@dataclass
class Scene:
    """What `render` painted: B people, T frames each. Key points are x, y as fractions and a score.

    The score is 1 where the point lies in the picture and 0 where it does not (or is a hidden ear).
    """

    image: Tensor  # (B, T, 3, H, W) in [0, 1]
    body: Tensor  # (B, T, 18, 3)
    hands: Tensor  # (B, T, 42, 3), left hand first
    face: Tensor  # (B, T, 68, 3)
    mask: Tensor  # (B, T, 1, H, W) coverage by the person


@torch.no_grad()
def render(people: Identities, dofs: Dofs, size: tuple[int, int] = (192, 128)) -> Scene:
    """Paints B people in T frames each at `size` (H, W); `dofs` (B, T, ...) as from `Motions.at`."""
    count, frames = dofs.lean.shape
    if len(people) != count:
        raise InputError(
            f"render got {len(people)} identities and {count} rows of motion; give one row each"
        )
    height, width = size
    who, flat = _flat(people, dofs)
    fig = figure(who, flat, width / height)
    canvas = blank(background(people.scenery, size), frames)
    bodies.legs(canvas, who, fig)
    bodies.torso(canvas, who, fig)
    heads.back_hair(canvas, who, fig)
    bodies.neck(canvas, who, fig)
    heads.head(canvas, who, fig, flat.gaze)
    bodies.arms(canvas, who, fig)
    bodies.hands(canvas, who, fig)
    bodies.weave(canvas, who, people.atlas)
    image, mask = canvas.data[:3].clamp_(0, 1).permute(1, 0, 2, 3), canvas.data[4][:, None]
    image = develop(image, mask, who.camera).view(count, frames, 3, height, width)
    mask = mask.view(count, frames, 1, height, width)
    body, hands, face = _points(fig, width / height, count, frames)
    return Scene(image.contiguous(), body, hands, face, mask.clone())


def _flat(people: Identities, dofs: Dofs) -> tuple[Identities, Dofs]:
    """One row per frame, without the atlas, which would be copied for each."""
    count, frames = dofs.lean.shape
    slim = replace(people, atlas=people.atlas[:, :, :0])
    who = slim[torch.arange(count, device=people.head.device).repeat_interleave(frames)]
    return who, Dofs(*(getattr(dofs, f.name).flatten(0, 1) for f in fields(Dofs)))


@torch.no_grad()
def points(people: Identities, dofs: Dofs, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Body (B, T, 18, 3), hands (B, T, 42, 3) and face (B, T, 68, 3) points, without a picture."""
    count, frames = dofs.lean.shape
    aspect = size[1] / size[0]
    return _points(figure(*_flat(people, dofs), aspect), aspect, count, frames)


def still_mouth(people: Identities, dofs: Dofs, size: tuple[int, int]) -> Tensor:
    """(B, T, 68, 3) face points of heads that move as in `dofs` while the mouth stays as in frame 0."""
    return points(people, replace(dofs, mouth=dofs.mouth[:, :1].expand_as(dofs.mouth)), size)[2]


def _points(fig: Figure, aspect: float, count: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Figure points as (B, T, K, 3) fractions and scores."""
    parts = []
    for points in (fig.body, fig.hands.flatten(1, 2), fig.face[..., :2]):
        xy = points / points.new_tensor((aspect, 1.0))
        seen = ((xy >= 0) & (xy < 1)).all(-1, keepdim=True).to(xy.dtype)
        parts.append(torch.cat((xy, seen), -1))
    parts[0][:, 16:18, 2] *= 1 - fig.far_ear
    return tuple(p.view(count, frames, -1, 3) for p in parts)


def pose(scene: Scene, row: int, fps: float) -> Pose:
    """The exact key points of one person of a scene as a `Pose`."""
    parts = [p[row].double().cpu().numpy() for p in (scene.body, scene.hands, scene.face)]
    height, width = scene.image.shape[-2:]
    return Pose(*(Keypoints(p[..., :2], p[..., 2]) for p in parts), fps, (height, width))
