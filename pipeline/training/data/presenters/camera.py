"""What light and lens do to a drawn picture: soft shadow on the wall, light's colour and fall-off, blur."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters.rows import Rows

GRAINY, GRAIN = 0.25, 0.012  # share of clips with grain, its largest deviation
COMPRESSED, WORST = 0.25, 55  # share of clips with JPEG's traces, the lowest quality
_STEP = 4  # the shadow is made at a quarter of the size


@dataclass(frozen=True)
class Camera(Rows):
    """One row per person: strengths (B,), or (B, columns)."""

    shadow: Tensor  # of the person on what is behind
    throw: Tensor  # (B, 2) of the shadow, picture heights
    ramp: Tensor  # (B, 2) brightness per picture height, to the right and down
    tint: Tensor  # (B, 3) colour of the light
    lift: Tensor  # added haze
    contrast: Tensor
    blur: Tensor  # 0 sharp, 1 about a pixel


def camera(draw, light: Tensor) -> Camera:  # noqa: ANN001 - person.Draws, which imports this file
    """Random cameras; shadows fall away from the light."""
    warm = draw.uniform(-0.10, 0.10)
    tint = torch.stack((1 + warm, 1 + draw.uniform(-0.03, 0.03), 1 - warm), 1)
    side = torch.stack((-light[:, 0], draw.uniform(0.1, 0.6)), 1)
    return Camera(
        shadow=draw.chance(0.5) * draw.uniform(0.1, 0.5),
        throw=side * draw.uniform(0.02, 0.07)[:, None],
        ramp=torch.stack((light[:, 0] * draw.uniform(0, 0.35), draw.uniform(-0.3, 0.1)), 1),
        tint=tint, lift=draw.chance(0.3) * draw.uniform(0, 0.06), contrast=draw.uniform(0.85, 1.2),
        blur=draw.uniform(0, 1) ** 2,
    )  # fmt: skip


def develop(image: Tensor, mask: Tensor, lens: Camera) -> Tensor:
    """Pictures (N, 3, H, W) of drawn people with masks (N, 1, H, W) as this camera takes them."""
    height, width = image.shape[-2:]
    down = F.avg_pool2d(mask, _STEP, ceil_mode=True)
    soft = F.avg_pool2d(F.avg_pool2d(down, 5, 1, 2), 5, 1, 2)
    step = lens.throw * soft.new_tensor((2 * height / width, 2.0))
    frame = torch.eye(2, 3, device=image.device).repeat(len(image), 1, 1)
    frame[:, :, 2] = -step
    grid = F.affine_grid(frame, list(soft.shape), align_corners=False)
    thrown = F.grid_sample(soft, grid, padding_mode="border", align_corners=False)
    thrown = F.interpolate(thrown, (height, width), mode="bilinear", align_corners=False)
    image = image * (1 - _each(lens.shadow) * thrown * (1 - mask))
    x = (torch.arange(width, device=image.device) - width / 2) / height
    y = torch.arange(height, device=image.device) / height - 0.5
    light = 1 + lens.ramp[:, :1, None] * x + lens.ramp[:, 1:, None] * y[:, None]
    image = image * (light[:, None] * (_each(lens.contrast) * lens.tint[:, :, None, None]))
    image = image + _each(lens.lift + 0.45 * (1 - lens.contrast))
    return _blurred(image, _each(lens.blur)).clamp_(0, 1)


def recorded(clip: Tensor, generator: torch.Generator) -> Tensor:
    """A clip (T, 3, H, W) on the CPU after sensor and codec: grain for some, JPEG's traces for others."""
    chance, amount = torch.rand(2, generator=generator).tolist()
    if chance < GRAINY:
        clip = clip + GRAIN * amount * torch.randn(clip.shape, generator=generator)
    elif chance < GRAINY + COMPRESSED:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(WORST + (95 - WORST) * amount)]
        pixels = (clip.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        packed = [cv2.imencode(".jpg", frame, quality)[1] for frame in pixels]
        read = np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR) for data in packed])
        clip = torch.from_numpy(read).permute(0, 3, 1, 2).float() / 255
    return clip.clamp(0, 1)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _blurred(image: Tensor, amount: Tensor) -> Tensor:
    """3 x 3 binomial blur, mixed in by `amount`, separable."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    wide = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    full = (wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]) / 16
    return torch.lerp(image, full, amount)
