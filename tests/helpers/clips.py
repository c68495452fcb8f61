"""Tiny synthetic clips for the denoiser's training."""

import torch

from pipeline.training.data import clips as pool


def tiny_clips(
    count: int = 2, size: tuple = (64, 64), frames: int = 2, seed: int = 0
) -> pool.Clips:
    """Grey ramps whose warp is the truth but for a dark square, which is marked invalid."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    ramp = torch.linspace(60, 200, width).expand(3, height, width).to(torch.uint8)
    truth = ramp.expand(count, frames, 3, height, width).clone()
    warped, validity = (
        truth.clone(),
        torch.full((count, frames, 1, height, width), 255, dtype=torch.uint8),
    )
    warped[..., 8:40, 8:40] = 20
    validity[..., 8:40, 8:40] = 0

    def points(number: int) -> torch.Tensor:
        xy = 0.3 + 0.4 * torch.rand((count, frames, number, 2), generator=generator)
        return torch.cat([xy, torch.ones(count, frames, number, 1)], -1)

    sound = torch.rand((count, frames, *pool.TOKENS), generator=generator).half()
    loudness = torch.rand((count, frames), generator=generator)
    pictures = (truth[:, 0].clone(), truth, warped, validity)
    return pool.Clips(
        *pictures, points(18), points(42), points(68), sound, loudness, torch.ones(count)
    )
