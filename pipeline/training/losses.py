"""Losses and figures of merit of the embedded denoiser.                   [APV-Gen, region weights]"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.denoiser import CELL
from pipeline.models.repair import face_maps, soft_ellipse

FACE_WEIGHT, HANDS_WEIGHT, MOUTH_WEIGHT = 4.0, 5.0, 6.0
INVALID_WEIGHT, VALID_WEIGHT = 2.5, 0.6
REST = 0.04  # weight of the change itself where the warp is valid: it keeps photos as they are
CHARBONNIER = 1.5  # in whitened units: below it the loss is quadratic
CHANNEL_POWER = (
    2.0  # of a channel's deviation: 1 is like an absolute, 2 like a squared error of pixels
)


def hand_maps(hands: Tensor, size: tuple[int, int]) -> Tensor:
    """Soft maps (N, 1, H, W) of both hands from points (N, 42, 3); 0 where a hand is missing."""
    left, right = (soft_ellipse(hands[:, s], size, 1.3, 0.5) for s in (slice(0, 21), slice(21, 42)))
    return torch.maximum(left, right)


def region_weights(validity: Tensor, face: Tensor, hands: Tensor) -> Tensor:
    """Loss weights (N, 1, h, w) per latent: mouth over face and hands over repaired places over the rest."""
    size = tuple(validity.shape[-2:])
    whole, mouth = face_maps(face, size)
    weight = VALID_WEIGHT + (INVALID_WEIGHT - VALID_WEIGHT) * (1 - validity)
    weight = torch.maximum(weight, 1 + (FACE_WEIGHT - 1) * whole)
    weight = torch.maximum(weight, 1 + (HANDS_WEIGHT - 1) * hand_maps(hands, size))
    weight = torch.maximum(weight, 1 + (MOUTH_WEIGHT - 1) * mouth)
    return F.avg_pool2d(weight, CELL)


def denoising_loss(
    predicted: Tensor, clean: Tensor, weight: Tensor, rest: Tensor, channels: Tensor
) -> Tensor:
    """Mean Charbonnier distance of clean residuals (N, C, h, w), plus the change where there should be none.

    weight, rest (N, 1, h, w): region weights, and the share of valid pixels outside the face; channels (C,):
    the residual's deviation, so that the loss is in units of the picture.
    """
    scale = channels**CHANNEL_POWER
    scale = (scale / scale.mean()).view(1, -1, 1, 1)
    error = ((predicted - clean).square() + CHARBONNIER**2).sqrt() - CHARBONNIER
    change = (predicted.square() + CHARBONNIER**2).sqrt() - CHARBONNIER
    return (scale * (weight * error + REST * rest * change)).mean()


def sharpness_loss(made: Tensor, true: Tensor, weight: Tensor, channels: Tensor) -> Tensor:
    """Mean difference of local contrast between latents (N, C, h, w): detail that a mean prediction loses.

    The contrast is the root of the mean square over 3 x 3 cells and the 15 detail channels of each colour, in
    units of the picture; weight (N, 1, h, w); channels (C,), the deviation of the latents.
    """
    scale = channels.view(1, -1, 1, 1)
    fine = [c for c in range(made.shape[1]) if c % (CELL * CELL)]
    rows = [
        F.avg_pool2d((x * scale)[:, fine].square().mean(1, True), 3, 1, 1) for x in (made, true)
    ]
    one, other = ((row + 1e-5).sqrt() for row in rows)
    return (weight * (one - other).abs()).mean()


def psnr(one: Tensor, other: Tensor, box: Tensor | None = None) -> float:
    """Mean over pictures of 10 log10(1 / mean squared error), of (N, 3, H, W) inside boxes (N, 1, H, W)."""
    square = (one - other).square().mean(1, keepdim=True)
    if box is None:
        error = square.mean((1, 2, 3))
    else:
        area = box.sum((1, 2, 3))
        keep = area >= 4
        if not keep.any():
            return math.nan
        error = ((square * box).sum((1, 2, 3)) / area.clamp_min(1))[keep]
    return float((-10 * error.clamp_min(1e-10).log10()).mean())


def boxes(face: Tensor, hands: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Hard masks (N, 1, H, W) of face, mouth and hands for measuring."""
    whole, mouth = face_maps(face, size)
    return {
        "face": (whole > 0.5).float(),
        "mouth": (mouth > 0.5).float(),
        "hands": (hand_maps(hands, size) > 0.5).float(),
    }
