"""The tokens of the reference image: CLIP's, as SVD's own pipeline makes it, or learned ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.denoiser import ReferenceTokens

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def reference_tokens_of(picture: Tensor, latents: Tensor, network: nn.Module) -> Tensor:
    """Return the tokens (B,S,D) of reference images for the UNet's cross attention.

    Args:
        picture: (B,3,H,W) in [-1,1], for a CLIP encoder.
        latents: (B,C,h,w) of the pictures, for learned `ReferenceTokens`.
        network: which of both it is.
    """
    if isinstance(network, ReferenceTokens):
        return network(latents.to(network.dtype)).float()
    return image_token(picture, network)


def image_token(picture: Tensor, encoder: nn.Module) -> Tensor:
    """Return the CLIP token (B,1,D) of pictures (B,3,H,W) in [-1,1], shrunk to a square."""
    side = encoder.config.image_size
    small = resize_with_antialiasing(picture.float(), (side, side))
    small = small / 2 + 0.5
    mean = torch.tensor(CLIP_MEAN, device=small.device).view(1, 3, 1, 1)
    std = torch.tensor(CLIP_STD, device=small.device).view(1, 3, 1, 1)
    normalized = (small - mean) / std
    output = encoder(normalized.to(encoder.dtype))
    return output.image_embeds[:, None].float()


def resize_with_antialiasing(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize pictures (N,C,H,W) to (N,C,h,w): a Gaussian blur, then bicubic interpolation.

    This is how SVD's pipeline shrinks pictures. Nothing is blurred along a side that does not
    shrink.
    """
    height, width = picture.shape[-2:]
    column = _gaussian_kernel(height / size[0]).to(picture)
    row = _gaussian_kernel(width / size[1]).to(picture)
    blurred = _convolve(picture, row[None])
    blurred = _convolve(blurred, column[:, None])
    return F.interpolate(blurred, size=size, mode="bicubic", align_corners=True)


def _gaussian_kernel(shrink: float) -> Tensor:
    """Return the blur's kernel (k,) for a side that shrinks by this factor; k is odd."""
    # scikit-image's rule for the deviation, cut off after two deviations to each side
    sigma = max((shrink - 1.0) / 2.0, 0.001)
    length = int(max(4.0 * sigma, 3))
    if length % 2 == 0:
        length += 1
    middle = length // 2
    places = torch.arange(length, dtype=torch.float32) - middle
    variance = torch.tensor(sigma).square()
    weights = torch.exp(-places.square() / (2 * variance))
    return weights / weights.sum()


def _convolve(picture: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel of pictures (N,C,H,W) with one kernel (a,b), mirrored at the
    borders."""
    channels = picture.shape[1]
    rows, columns = kernel.shape
    side = columns // 2
    end = rows // 2
    margins = (side, side, end, end)
    padded = F.pad(picture, margins, mode="reflect")
    weights = kernel.expand(channels, 1, rows, columns)
    return F.conv2d(padded, weights, groups=channels)
