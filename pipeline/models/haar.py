"""A fixed, lossless picture codec behind the interface of a diffusers video VAE.

It is the two-level Haar packet; nothing is learned. The embedded denoiser repairs a warped picture,
so where it changes nothing the pixels must come back exactly; a learned codec would blur all of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from pipeline.values import InputError

LEVELS = 2
FACTOR = 2**LEVELS  # pixels of a side per latent
CHANNELS = 3 * FACTOR**2


@dataclass(frozen=True)
class ExactLatent:
    """A latent distribution without spread, so that `mode` and `sample` agree."""

    latents: Tensor

    def mode(self) -> Tensor:
        return self.latents

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.latents


class HaarLatent(ModelMixin, ConfigMixin):
    """Pictures (N, 3, H, W) in [-1, 1] <-> whitened latents (N, 48, H/4, W/4).

    Args:
        latent_mean: 48 means that whiten the packet of pictures.
        latent_std: 48 deviations that whiten it.
        residual_scale: 48 deviations of truth minus warp in whitened latents; the denoiser's target
            is that difference over `residual_scale`.
        keep: shares of the repair that are applied; see `repair.repair_gate`.
        scaling_factor: as a diffusers VAE has it; 1.
    """

    @register_to_config
    def __init__(
        self,
        latent_mean: Sequence[float] | None = None,
        latent_std: Sequence[float] | None = None,
        residual_scale: Sequence[float] | None = None,
        keep: Sequence[float] = (1.0, 1.0, 1.0),
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        rows = {
            "mean": (latent_mean, 0.0),
            "std": (latent_std, 1.0),
            "residual": (residual_scale, 1.0),
        }
        for name, (values, default) in rows.items():
            row = torch.full((CHANNELS,), default) if values is None else torch.tensor(list(values))
            if row.shape != (CHANNELS,):
                raise InputError(
                    f"the Haar latent's {name} row has {row.numel()} values; give {CHANNELS}"
                )
            self.register_buffer(name, row.float().view(1, CHANNELS, 1, 1), persistent=False)
        # diffusers reads dtype and device from a model's tensors: this one is saved, the rows are
        # config
        signs = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1.0]])
        self.register_buffer("kernel", 0.5 * signs)

    def encode(
        self, pictures: Tensor, return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[ExactLatent]:
        """Return the whitened latents of pictures whose sides are multiples of 4."""
        height, width = pictures.shape[-2:]
        if height % FACTOR or width % FACTOR:
            raise ValueError(
                f"pictures of {(height, width)} (H, W) need sides that are multiples of {FACTOR}"
            )
        x = pictures
        for _ in range(LEVELS):
            x = self._split(x)
        latent = ExactLatent((x - self.mean.to(x)) / self.std.to(x))
        return AutoencoderKLOutput(latent_dist=latent) if return_dict else (latent,)

    def decode(
        self, latents: Tensor, num_frames: int = 1, return_dict: bool = True
    ) -> DecoderOutput | tuple[Tensor]:
        """Return the pictures of whitened latents; `num_frames` is a video VAE's, unused."""
        x = latents * self.std.to(latents) + self.mean.to(latents)
        for _ in range(LEVELS):
            x = self._join(x)
        return DecoderOutput(sample=x) if return_dict else (x,)

    def residual_of(self, latents: Tensor, base: Tensor) -> Tensor:
        """Return the denoiser's clean target (N, 48, h, w): the latents' scaled difference."""
        return (latents - base) / self.residual.to(latents)

    def add_residual(self, base: Tensor, residual: Tensor) -> Tensor:
        """Return the latents that the base latents and a denoised residual stand for."""
        return base + residual * self.residual.to(base)

    def _split(self, x: Tensor) -> Tensor:
        """Return (N, 4C, H/2, W/2) of (N, C, H, W): mean and three differences of 2x2 pixels."""
        n, c, h, w = x.shape
        half_h = h // 2
        half_w = w // 2
        cells = F.pixel_unshuffle(x, 2).view(n, c, 4, half_h, half_w)
        packet = torch.einsum("kp,ncphw->nckhw", self.kernel.to(x), cells)
        return packet.reshape(n, 4 * c, half_h, half_w)

    def _join(self, x: Tensor) -> Tensor:
        """Undo `_split`; the kernel is orthonormal and symmetric."""
        n, c, h, w = x.shape
        packet = x.view(n, c // 4, 4, h, w)
        cells = torch.einsum("kp,nckhw->ncphw", self.kernel.to(x), packet)
        return F.pixel_shuffle(cells.reshape(n, c, h, w), 2)
