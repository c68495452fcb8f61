"""A fixed, lossless picture codec behind the interface of a diffusers video VAE: the two-level Haar packet.

Nothing is learned. The embedded denoiser repairs a warped picture, so where it changes nothing the pixels
must come back exactly; a learned codec would blur all of them.
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

    `latent_mean` and `latent_std` (48 each) whiten the packet of pictures. `residual_scale` (48): the spread
    of truth minus warp in whitened latents: the denoiser's target is that difference over `residual_scale`.
    `keep`: the shares of the repair applied where the warp is valid (elsewhere, on the face, on the mouth),
    and in holes.
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
        # diffusers reads dtype and device from a model's tensors: this one is saved, the rows are config
        self.register_buffer(
            "kernel",
            0.5 * torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1.0]]),
        )

    def encode(
        self, pictures: Tensor, return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[ExactLatent]:
        """The whitened latents of pictures whose sides are multiples of 4."""
        if pictures.shape[-1] % FACTOR or pictures.shape[-2] % FACTOR:
            raise InputError(
                f"pictures of {tuple(pictures.shape[-2:])} (H, W) need sides that are multiples of {FACTOR}"
            )
        x = pictures
        for _ in range(LEVELS):
            x = self._split(x)
        latent = ExactLatent((x - self.mean.to(x)) / self.std.to(x))
        return AutoencoderKLOutput(latent_dist=latent) if return_dict else (latent,)

    def decode(
        self, latents: Tensor, num_frames: int = 1, return_dict: bool = True
    ) -> DecoderOutput | tuple[Tensor]:
        """The pictures of whitened latents; `num_frames` is accepted as by a video VAE, unused."""
        x = latents * self.std.to(latents) + self.mean.to(latents)
        for _ in range(LEVELS):
            x = self._join(x)
        return DecoderOutput(sample=x) if return_dict else (x,)

    def residual_of(self, latents: Tensor, base: Tensor) -> Tensor:
        """The denoiser's clean target (N, 48, h, w): scaled difference of latents and base latents."""
        return (latents - base) / self.residual.to(latents)

    def add_residual(self, base: Tensor, residual: Tensor) -> Tensor:
        """The latents that the base latents and a denoised residual stand for."""
        return base + residual * self.residual.to(base)

    def _split(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4C, H/2, W/2): mean and three differences of 2x2 pixels."""
        n, c, h, w = x.shape
        cells = F.pixel_unshuffle(x, 2).view(n, c, 4, h // 2, w // 2)
        return torch.einsum("kp,ncphw->nckhw", self.kernel.to(x), cells).reshape(
            n, 4 * c, h // 2, w // 2
        )

    def _join(self, x: Tensor) -> Tensor:
        """The inverse of `_split`; the kernel is orthonormal and symmetric."""
        n, c, h, w = x.shape
        cells = torch.einsum("kp,nckhw->ncphw", self.kernel.to(x), x.view(n, c // 4, 4, h, w))
        return F.pixel_shuffle(cells.reshape(n, c, h, w), 2)
