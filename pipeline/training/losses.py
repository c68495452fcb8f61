"""Losses and figures of merit of the embedded denoiser.                   [APV-Gen, region
weights]"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.denoiser import CELL
from pipeline.models.repair import face_maps, soft_ellipse

# weights of the loss by region
FACE_WEIGHT = 4.0
HANDS_WEIGHT = 5.0
MOUTH_WEIGHT = 6.0
INVALID_WEIGHT = 2.5
VALID_WEIGHT = 0.6
REST_WEIGHT = 0.04  # of the change itself where the warp is valid: it keeps photos as they are
CHARBONNIER = 1.5  # in whitened units: below it the loss is quadratic
# power of a channel's deviation: 1 is like an absolute, 2 like a squared error of pixels
CHANNEL_POWER = 2.0
_LEAST_BOX_PX = 4  # smaller boxes are not measured


def hand_maps(hands: Tensor, size: tuple[int, int]) -> Tensor:
    """Return soft maps (N, 1, H, W) of both hands from points (N, 42, 3); 0 for missing hands."""
    left = soft_ellipse(hands[:, :21], size, 1.3, 0.5)
    right = soft_ellipse(hands[:, 21:], size, 1.3, 0.5)
    return torch.maximum(left, right)


def region_weights(validity: Tensor, face: Tensor, hands: Tensor) -> Tensor:
    """Return loss weights (N, 1, h, w) per latent, the largest of the regions that it lies in.

    Args:
        validity: (N, 1, H, W) of the warp.
        face: (N, 68, 3) points.
        hands: (N, 42, 3) points.
    """
    size = tuple(validity.shape[-2:])
    whole, mouth = face_maps(face, size)
    weight = VALID_WEIGHT + (INVALID_WEIGHT - VALID_WEIGHT) * (1 - validity)
    face_weight = 1 + (FACE_WEIGHT - 1) * whole
    hands_weight = 1 + (HANDS_WEIGHT - 1) * hand_maps(hands, size)
    mouth_weight = 1 + (MOUTH_WEIGHT - 1) * mouth
    for region in (face_weight, hands_weight, mouth_weight):
        weight = torch.maximum(weight, region)
    return F.avg_pool2d(weight, CELL)


def denoising_loss(
    predicted: Tensor, clean: Tensor, weight: Tensor, rest: Tensor, channels: Tensor
) -> Tensor:
    """Return the mean Charbonnier distance, plus the change where there should be none.

    Args:
        predicted: clean residuals (N, C, h, w) as the network sees them.
        clean: the true ones.
        weight: (N, 1, h, w) region weights.
        rest: (N, 1, h, w) share of valid pixels outside the face.
        channels: (C,) the residual's deviation, so that the loss is in units of the picture.
    """
    scale = channels**CHANNEL_POWER
    scale = (scale / scale.mean()).view(1, -1, 1, 1)
    error = _charbonnier(predicted - clean)
    change = _charbonnier(predicted)
    return (scale * (weight * error + REST_WEIGHT * rest * change)).mean()


def _charbonnier(difference: Tensor) -> Tensor:
    return (difference.square() + CHARBONNIER**2).sqrt() - CHARBONNIER


def sharpness_loss(predicted: Tensor, true: Tensor, weight: Tensor, channels: Tensor) -> Tensor:
    """Return the mean difference of local contrast: detail that a mean prediction loses.

    The contrast is the root of the mean square over 3 x 3 cells and the 15 detail channels of each
    color, in units of the picture.

    Args:
        predicted, true: latents (N, C, h, w).
        weight: (N, 1, h, w) region weights.
        channels: (C,) the deviation of the latents.
    """
    predicted_contrast = _local_contrast(predicted, channels)
    true_contrast = _local_contrast(true, channels)
    return (weight * (predicted_contrast - true_contrast).abs()).mean()


def _local_contrast(latents: Tensor, channels: Tensor) -> Tensor:
    """Return (N, 1, h, w) the contrast of latents (N, C, h, w)."""
    detail = [channel for channel in range(latents.shape[1]) if channel % (CELL * CELL)]
    scaled = latents * channels.view(1, -1, 1, 1)
    square = scaled[:, detail].square().mean(1, True)
    return (F.avg_pool2d(square, 3, 1, 1) + 1e-5).sqrt()


def psnr(one: Tensor, other: Tensor, box: Tensor | None = None) -> float:
    """Return the mean over pictures (N, 3, H, W) of 10 log10(1 / mean squared error).

    `box` (N, 1, H, W) limits it to a part of each picture; NaN where all boxes are empty.
    """
    square = (one - other).square().mean(1, keepdim=True)
    if box is None:
        error = square.mean((1, 2, 3))
    else:
        area = box.sum((1, 2, 3))
        is_measured = area >= _LEAST_BOX_PX
        if not is_measured.any():
            return math.nan
        mean = (square * box).sum((1, 2, 3)) / area.clamp_min(1)
        error = mean[is_measured]
    decibels = -10 * error.clamp_min(1e-10).log10()
    return float(decibels.mean())


def boxes(face: Tensor, hands: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return hard masks (N, 1, H, W) of face, mouth and hands for measuring."""
    whole, mouth = face_maps(face, size)
    return {
        "face": (whole > 0.5).float(),
        "mouth": (mouth > 0.5).float(),
        "hands": (hand_maps(hands, size) > 0.5).float(),
    }
