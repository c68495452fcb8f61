"""What light and lens do to a drawn picture: shadow on the wall, tint and fall-off, blur, codec."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters.rows import Draws, Rows, per_picture

GRAIN_SHARE = 0.25  # of the clips have grain
LARGEST_GRAIN = 0.012  # standard deviation, pictures in [0, 1]
JPEG_SHARE = 0.25  # of the clips have traces of JPEG
JPEG_QUALITY = (55, 95)
_SHADOW_CELL_PX = 4  # the shadow is computed at a quarter of the size


@dataclass(frozen=True)
class Camera(Rows):
    """One row per person: strengths (B,), or (B, columns)."""

    shadow: Tensor  # of the person on the background
    throw: Tensor  # (B, 2) offset of the shadow, picture heights
    ramp: Tensor  # (B, 2) brightness per picture height, to the right and down
    tint: Tensor  # (B, 3) color of the light
    lift: Tensor  # added haze
    contrast: Tensor
    blur: Tensor  # 0 sharp, 1 about a pixel


def draw_camera(draw: Draws, light: Tensor) -> Camera:
    """Draw random cameras; shadows fall away from the `light` (B, 2)."""
    warmth = draw.uniform(-0.10, 0.10)
    green = 1 + draw.uniform(-0.03, 0.03)
    tint = torch.stack((1 + warmth, green, 1 - warmth), 1)
    shadow_direction = torch.stack((-light[:, 0], draw.uniform(0.1, 0.6)), 1)
    has_shadow = draw.chance(0.5)
    shadow = has_shadow * draw.uniform(0.1, 0.5)
    throw = shadow_direction * draw.uniform(0.02, 0.07)[:, None]
    ramp_right = light[:, 0] * draw.uniform(0, 0.35)
    ramp_down = draw.uniform(-0.3, 0.1)
    has_haze = draw.chance(0.3)
    return Camera(
        shadow=shadow,
        throw=throw,
        ramp=torch.stack((ramp_right, ramp_down), 1),
        tint=tint,
        lift=has_haze * draw.uniform(0, 0.06),
        contrast=draw.uniform(0.85, 1.2),
        blur=draw.uniform(0, 1) ** 2,
    )


def develop(image: Tensor, mask: Tensor, lens: Camera) -> Tensor:
    """Apply each camera to pictures (N, 3, H, W) of drawn people with masks (N, 1, H, W)."""
    height, width = image.shape[-2:]
    shadow = _thrown_shadow(mask, lens)
    image = image * (1 - per_picture(lens.shadow) * shadow * (1 - mask))
    x = (torch.arange(width, device=image.device) - width / 2) / height
    y = torch.arange(height, device=image.device) / height - 0.5
    ramp_right = lens.ramp[:, :1, None]
    ramp_down = lens.ramp[:, 1:, None]
    light = 1 + ramp_right * x + ramp_down * y[:, None]
    gain = per_picture(lens.contrast) * lens.tint[:, :, None, None]
    image = image * (light[:, None] * gain)
    haze = lens.lift + 0.45 * (1 - lens.contrast)
    image = image + per_picture(haze)
    return _blurred(image, per_picture(lens.blur)).clamp_(0, 1)


def _thrown_shadow(mask: Tensor, lens: Camera) -> Tensor:
    """Soften the masks (N, 1, H, W) and move them by the cameras' throw."""
    height, width = mask.shape[-2:]
    small = F.avg_pool2d(mask, _SHADOW_CELL_PX, ceil_mode=True)
    soft = F.avg_pool2d(small, 5, 1, 2)
    soft = F.avg_pool2d(soft, 5, 1, 2)
    grid_units = soft.new_tensor((2 * height / width, 2.0))  # of `affine_grid`, per picture height
    frame = torch.eye(2, 3, device=mask.device).repeat(len(mask), 1, 1)
    frame[:, :, 2] = -(lens.throw * grid_units)
    grid = F.affine_grid(frame, list(soft.shape), align_corners=False)
    moved = F.grid_sample(soft, grid, padding_mode="border", align_corners=False)
    return F.interpolate(moved, (height, width), mode="bilinear", align_corners=False)


def record(clip: Tensor, generator: torch.Generator) -> Tensor:
    """Add what sensor and codec leave in a clip (T, 3, H, W): grain, traces of JPEG, or nothing."""
    kind, amount = torch.rand(2, generator=generator).tolist()
    if kind < GRAIN_SHARE:
        noise = torch.randn(clip.shape, generator=generator)
        clip = clip + LARGEST_GRAIN * amount * noise
    elif kind < GRAIN_SHARE + JPEG_SHARE:
        worst, best = JPEG_QUALITY
        clip = _through_jpeg(clip, int(worst + (best - worst) * amount))
    return clip.clamp(0, 1)


def _through_jpeg(clip: Tensor, quality: int) -> Tensor:
    """Encode and decode every picture of a clip (T, 3, H, W) in [0, 1]."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    pixels = (clip.clamp(0, 1) * 255).round().byte()
    pixels = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    files = [cv2.imencode(".jpg", frame, settings)[1] for frame in pixels]
    frames = [cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files]
    decoded = torch.from_numpy(np.stack(frames))
    return decoded.permute(0, 3, 1, 2).float() / 255


def _blurred(image: Tensor, amount: Tensor) -> Tensor:
    """Mix in a separable 3 x 3 binomial blur by `amount`."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2] + 2 * padded[..., 1:-1]
    rows = rows + padded[..., 2:]
    both = rows[..., :-2, :] + 2 * rows[..., 1:-1, :]
    both = both + rows[..., 2:, :]
    return torch.lerp(image, both / 16, amount)
