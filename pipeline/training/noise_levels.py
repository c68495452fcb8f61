"""The published trainer's noise levels: a cosine-interpolated schedule.

The schedule is k-diffusion's: the logarithmic signal-to-noise ratio follows a cosine, shifted for
the resolution; the shift is interpolated between two noise resolutions. One level is drawn per
clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseLaw:
    """The law of the noise levels; the defaults are the published trainer's.

    sigma_min, sigma_max: the least and the greatest level.
    sigma_data: the deviation that the law takes the data to have.
    image_size, noise_size_low, noise_size_high: the resolutions whose ratios shift the cosine.
    """

    sigma_min: float = 0.002
    sigma_max: float = 700.0
    sigma_data: float = 0.5
    image_size: float = 64.0
    noise_size_low: float = 32.0
    noise_size_high: float = 64.0


def draw_levels(count: int, law: NoiseLaw, generator: torch.Generator) -> Tensor:
    """Draw the noise levels (count,) float32 of as many clips."""
    chance = torch.rand(count, generator=generator, dtype=torch.float64)
    return levels_at(chance, law).float()


def levels_at(chance: Tensor, law: NoiseLaw) -> Tensor:
    """Return the levels at quantiles `chance` in [0, 1]: sigma_max at 0, sigma_min at 1."""
    low = _shifted_cosine(chance, law, law.noise_size_low)
    high = _shifted_cosine(chance, law, law.noise_size_high)
    log_ratio = torch.lerp(low, high, chance)
    return law.sigma_data * torch.exp(-log_ratio / 2)


def _shifted_cosine(chance: Tensor, law: NoiseLaw, noise_size: float) -> Tensor:
    """Return the log of the signal-to-noise ratio at quantiles, for one noise resolution."""
    ratio = noise_size / law.image_size
    shift = 2 * math.log(ratio)
    first_angle = _angle(law.sigma_max, law.sigma_data, ratio)
    last_angle = _angle(law.sigma_min, law.sigma_data, ratio)
    angle = torch.lerp(
        torch.full_like(chance, first_angle),
        torch.full_like(chance, last_angle),
        chance,
    )
    tangent = angle.tan()
    return shift - 2 * tangent.log()


def _angle(sigma: float, sigma_data: float, ratio: float) -> float:
    """Return the angle of the cosine at which a shifted schedule reaches a level."""
    tangent = sigma / sigma_data
    return math.atan(tangent * ratio)
