"""Compare colors by hue more than by light."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.geometry import Skeleton, has_face

NOSE = (27, 28, 29, 30)  # face points whose color is the person's skin


def features(color: Tensor, dim: int = 1) -> Tensor:
    """Weigh hue against light along a dimension of three, so that shaded skin stays skin."""
    red, green, blue = color.unbind(dim)
    light = 0.3 * red + 0.6 * green + 0.1 * blue
    return torch.stack([0.6 * light, 1.2 * (red - light), 1.2 * (blue - light)], dim)


def nose_features(image: Tensor, pose: Skeleton, aspect: float) -> Tensor:
    """Return the features (B, 3) of the nose's skin; NaN, like nothing, where no face is seen."""
    scale = image.new_tensor([2 / aspect, 2.0])
    places = pose.face[:, NOSE] * scale - 1
    picked = F.grid_sample(image, places[:, None], padding_mode="border", align_corners=False)
    found = features(picked[:, :, 0]).median(2).values
    return torch.where(has_face(pose)[:, None], found, torch.nan)


def ramp(value: Tensor, low: float, high: float) -> Tensor:
    """Return 0 up to `low`, 1 from `high` on, linear between."""
    return ((value - low) / (high - low)).clamp(0, 1)
