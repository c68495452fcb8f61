"""Drawn presenters: endless, seeded training data of moving people with exact key points.

`draw_identities` says who they are, `draw_motions` how they move. `render` paints them and gives
the key points of what it painted. No photograph and no model of a real person is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters import bodies, hair, heads
from pipeline.training.data.presenters.anatomy import Figure, place_figure
from pipeline.training.data.presenters.backgrounds import paint_background
from pipeline.training.data.presenters.camera import develop
from pipeline.training.data.presenters.degrees_of_freedom import Dofs, stand_still
from pipeline.training.data.presenters.identity import (
    Identities,
    change_proportions,
    draw_identities,
)
from pipeline.training.data.presenters.movement import Motions, draw_motions
from pipeline.training.data.presenters.shapes import COLORS, PERSON, blank_canvas
from pipeline.values import Keypoints, Pose

__all__ = [
    "Dofs",
    "Identities",
    "Motions",
    "Scene",
    "change_proportions",
    "draw_identities",
    "draw_motions",
    "points",
    "pose",
    "render",
    "stand_still",
    "still_mouth",
]


@dataclass
class Scene:
    """What `render` painted: B people, T frames each. Key points are x, y fractions and a score.

    The score is 1 where the point lies in the picture, and 0 where it does not or is a hidden ear.
    """

    image: Tensor  # (B, T, 3, H, W) in [0, 1]
    body: Tensor  # (B, T, 18, 3)
    hands: Tensor  # (B, T, 42, 3), left hand first
    face: Tensor  # (B, T, 68, 3)
    mask: Tensor  # (B, T, 1, H, W) coverage by the person


@torch.no_grad()
def render(people: Identities, dofs: Dofs, size: tuple[int, int] = (192, 128)) -> Scene:
    """Paint B people in T frames each at `size` (H, W); `dofs` (B, T, ...) as from `Motions.at`."""
    count, frames = dofs.lean.shape
    if len(people) != count:
        raise ValueError(
            f"render got {len(people)} identities and {count} rows of motion; give one row each"
        )
    height, width = size
    aspect = width / height
    persons, flat_dofs = _one_row_per_frame(people, dofs)
    figure = place_figure(persons, flat_dofs, aspect)
    canvas = blank_canvas(paint_background(people.scenery, size), frames)
    bodies.paint_legs(canvas, persons, figure)
    bodies.paint_torso(canvas, persons, figure)
    hair.paint_back_hair(canvas, persons, figure)
    bodies.paint_neck(canvas, persons, figure)
    heads.paint_head(canvas, persons, figure, flat_dofs.gaze)
    bodies.paint_arms(canvas, persons, figure)
    bodies.paint_hands(canvas, persons, figure)
    bodies.paint_materials(canvas, persons, people.atlas)
    colors = canvas.data[: len(COLORS)].clamp_(0, 1)
    mask = canvas.data[PERSON][:, None]
    image = develop(colors.permute(1, 0, 2, 3), mask, persons.camera)
    image = image.view(count, frames, 3, height, width)
    mask = mask.view(count, frames, 1, height, width)
    body, hands, face = _scored_points(figure, aspect, count, frames)
    return Scene(image.contiguous(), body, hands, face, mask.clone())


def _one_row_per_frame(people: Identities, dofs: Dofs) -> tuple[Identities, Dofs]:
    """Repeat people and flatten dofs to N = B T rows.

    The atlas is left out, because it would be copied for each frame.
    """
    count, frames = dofs.lean.shape
    without_atlas = replace(people, atlas=people.atlas[:, :, :0])
    rows = torch.arange(count, device=people.head.device).repeat_interleave(frames)
    columns = [getattr(dofs, field.name).flatten(0, 1) for field in fields(Dofs)]
    return without_atlas[rows], Dofs(*columns)


@torch.no_grad()
def points(people: Identities, dofs: Dofs, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return body (B, T, 18, 3), hands (B, T, 42, 3), face (B, T, 68, 3) points, no picture."""
    count, frames = dofs.lean.shape
    aspect = size[1] / size[0]
    persons, flat_dofs = _one_row_per_frame(people, dofs)
    figure = place_figure(persons, flat_dofs, aspect)
    return _scored_points(figure, aspect, count, frames)


def still_mouth(people: Identities, dofs: Dofs, size: tuple[int, int]) -> Tensor:
    """Return (B, T, 68, 3) face points of heads that move while the mouth stays as in frame 0."""
    first_mouth = dofs.mouth[:, :1].expand_as(dofs.mouth)
    _, _, face = points(people, replace(dofs, mouth=first_mouth), size)
    return face


def _scored_points(
    figure: Figure, aspect: float, count: int, frames: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Convert a figure's points to (B, T, K, 3) fractions and scores."""
    body = _with_score(figure.body, aspect)
    hands = _with_score(figure.hands.flatten(1, 2), aspect)
    face = _with_score(figure.face[..., :2], aspect)
    body[:, 16:18, 2] *= 1 - figure.far_ear
    return (
        body.view(count, frames, -1, 3),
        hands.view(count, frames, -1, 3),
        face.view(count, frames, -1, 3),
    )


def _with_score(points: Tensor, aspect: float) -> Tensor:
    """Convert (N, K, 2) picture heights to (N, K, 3) fractions and 1 inside the picture, else 0."""
    xy = points / points.new_tensor((aspect, 1.0))
    inside = ((xy >= 0) & (xy < 1)).all(-1, keepdim=True)
    return torch.cat((xy, inside.to(xy.dtype)), -1)


def pose(scene: Scene, row: int, fps: float) -> Pose:
    """Return the exact key points of one person of a scene as a `Pose`."""
    height, width = scene.image.shape[-2:]
    parts = []
    for tensor in (scene.body, scene.hands, scene.face):
        values = tensor[row].double().cpu().numpy()
        parts.append(Keypoints(values[..., :2], values[..., 2]))
    return Pose(*parts, fps, (height, width))
