"""What lies behind the person, filled with texture, or smoothly where it is a plain wall.

Copies of a plain wall end in steps where its light changes: at a soft shadow, in a gradient.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.render.warp.fill import Fill
from pipeline.render.warp.maps import blurred, grown, push_pull

CLEAR_ROWS = 96  # a picture height over this is kept clear around the person
# What the wall near the person looks like decides. Shadows on plain walls have less detail than
# .011, the blurred rooms and streets of 16 photos .016 and more.
PLAIN = 0.013
DETAIL_PICTURE_HEIGHTS = 0.017  # radius of a square; detail is what differs from its mean color
NEAR_PICTURE_HEIGHTS = 0.065  # around the person
DETAIL_QUANTILE = 0.9  # a wall with one thing on it is no plain wall


def fill_background(image: Tensor, person: Tensor, fill: Fill | None) -> Tensor:
    """Return (1, 4, H, W): what lies behind the person, and where it is known.

    Args:
        image: (1, 3, H, W) in [0, 1].
        person: (1, 1, H, W) in [0, 1].
        fill: how holes are filled with texture; None fills them smoothly.
    """
    radius = _pixels(1 / CLEAR_ROWS, image)
    near = grown(person, radius)
    clear = 1.2 - 4 * near
    away = clear.clamp(0, 1)
    behind = push_pull(image, away)
    if fill is None or is_plain(image, away):
        return torch.cat([behind, away], 1)
    [known] = away[0] > 0.5
    everywhere = torch.ones_like(known)
    [picture] = image
    [smooth] = behind
    filled = fill(picture, known, everywhere, smooth)
    filled = torch.where(known, smooth, filled)
    return torch.cat([filled[None], away], 1)


def _pixels(picture_heights: float, image: Tensor) -> int:
    """Return a length in pixels of an image (1, 3, H, W), 1 at least."""
    height = image.shape[2]
    length = round(picture_heights * height)
    return max(1, length)


def is_plain(image: Tensor, away: Tensor) -> bool:
    """Whether the background near a person is a plain wall.

    Args:
        image: (1, 3, H, W) in [0, 1].
        away: (1, 1, H, W) 1 away from the person, 0 on it.
    """
    is_known = away > 0.5
    known = is_known.to(image.dtype)
    reach = _pixels(NEAR_PICTURE_HEIGHTS, image)
    near_hidden = grown(1 - known, reach)
    is_near = is_known & (near_hidden > 0)
    if not is_near.any():
        return False
    radius = _pixels(DETAIL_PICTURE_HEIGHTS, image)
    weight = blurred(known, radius)
    total = blurred(image * known, radius)
    mean = total / weight.clamp_min(1e-3)
    offset = image - mean
    size = offset.abs()
    detail = size.mean(1, keepdim=True)
    near_detail = detail[is_near]
    values = near_detail.cpu().numpy()
    usual = np.quantile(values, DETAIL_QUANTILE)
    return bool(usual < PLAIN)
