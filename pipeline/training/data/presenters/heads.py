"""Paint heads: ears and skin, then the features and the hair over them, in one patch."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.training.data.presenters import facial_features, hair
from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.head_axes import HeadAxes, head_axes, skull
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import Canvas, as_map, ellipse_around, polygon
from pipeline.training.data.presenters.textures import SKIN

_PATCH_HEAD_HEIGHTS = 1.75
_EARS = ((16, 0), (17, 1))  # body point, column of `Figure.far_ear`


def paint_head(canvas: Canvas, people: Identities, figure: Figure, gaze: Tensor) -> None:
    """Paint the whole head in one patch of the canvas; `gaze` (N, 2) in [-1, 1]."""
    side = int(_PATCH_HEAD_HEIGHTS * figure.head.max() * canvas.scale) + 4
    patch, index = canvas.patch(figure.center, side)
    axes = head_axes(patch, figure)
    _paint_ears(patch, axes, people, figure)
    skin = _paint_face_skin(patch, axes, people, figure)
    hair.paint_beard(patch, axes, people, figure, skin)
    facial_features.shade_face(patch, people, figure)
    facial_features.paint_nose(patch, people, figure)
    for eye in facial_features.EYES:
        facial_features.paint_eye(patch, people, figure, eye, gaze)
    hair.paint_brows(patch, people, figure)
    facial_features.paint_mouth(patch, people, figure)
    hair.paint_front_hair(patch, axes, people, figure.head)
    facial_features.paint_glasses(patch, people, figure)
    canvas.put(patch, index)


def _paint_ears(patch: Canvas, axes: HeadAxes, people: Identities, figure: Figure) -> None:
    """Paint the ears that the cheeks do not hide."""
    h = figure.head
    for ear, column in _EARS:
        distance = ellipse_around(patch, figure.body[:, ear], 0.052 * h, 0.10 * h)
        depth = (distance / as_map(0.05 * h)).clamp(-1, 0).abs()
        shade = 0.80 + 0.12 * depth
        alpha = patch.cover(distance) * as_map(1 - figure.far_ear[:, column])
        patch.paint(alpha, people.skin, shade, 0.0)
        patch.set_texture(alpha, axes.x + 0.8, axes.y + 0.8, SKIN)


def _paint_face_skin(patch: Canvas, axes: HeadAxes, people: Identities, figure: Figure) -> Tensor:
    """Paint skull and jaw with round shading; returns the coverage of the face."""
    h = figure.head
    on_skull = skull(axes, people, 0.0) * as_map(h)
    jaw = polygon(patch, figure.face[:, :17, :2]) - as_map(0.006 * h)
    alpha = patch.cover(torch.minimum(on_skull, jaw))
    x = ((axes.x - 0.08 * axes.forward_x) / 0.37).clamp(-1.2, 1.2)
    y = ((axes.y - 0.08 * axes.forward_y) / 0.52).clamp(-1.2, 1.2)
    light_x = x * as_map(people.light[:, 0])
    light_y = y * as_map(people.light[:, 1]) * 0.7
    light = light_x + light_y
    shade = 1.05 - 0.20 * x.square()
    shade = shade - 0.08 * y.square()
    shade = shade + 0.13 * light
    patch.paint(alpha, people.skin, shade, 0.0)
    # the rounder the face, the farther its middle moves in the picture when the head turns
    depth = 0.24 - 2.2 * axes.x.square() - 0.5 * axes.y.square()
    depth = depth.clamp_min(-0.1)
    u = axes.x - axes.forward_x * depth + 0.8
    v = axes.y - axes.forward_y * depth + 0.8
    patch.set_texture(alpha, u, v, SKIN)
    return alpha
