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
    reddish = red - light
    bluish = blue - light
    weighed = [0.6 * light, 1.2 * reddish, 1.2 * bluish]
    return torch.stack(weighed, dim)


def nose_features(image: Tensor, pose: Skeleton, aspect: float) -> Tensor:
    """Return the features (B, 3) of the nose's skin; NaN, like nothing, where no face is seen."""
    scale = image.new_tensor([2 / aspect, 2.0])
    points = pose.face[:, NOSE]
    places = points * scale - 1
    picked = F.grid_sample(image, places[:, None], padding_mode="border", align_corners=False)
    colors = picked[:, :, 0]
    median = features(colors).median(2)
    is_seen = has_face(pose)[:, None]
    return torch.where(is_seen, median.values, torch.nan)


def ramp(value: Tensor, low: float, high: float) -> Tensor:
    """Return 0 up to `low`, 1 from `high` on, linear between."""
    share = (value - low) / (high - low)
    return share.clamp(0, 1)
