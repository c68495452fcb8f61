"""One denoising call, the reference tokens and the repair gate: what sampler and training have in common.

The UNet is the stock `UNetSpatioTemporalConditionModel`. What differs between the published weights and the
embedded model (place and level of the control, codec, prediction type) is read from the components' configs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from pipeline.models.controlnext import ControlNeXt, Injection, inject
from pipeline.models.interaction import AudioVideoInteraction, interact

# fps - 1, motion bucket, noise level: SVD's published training values, never varied
TIME_IDS = (6.0, 127.0, 0.02)
CELL = 4  # pixels of a side per latent, also of the pixel-unshuffled validity
FREQUENCIES = 4


class ReferenceTokens(ModelMixin, ConfigMixin):
    """Patches of the reference latents (B, C, h, w) -> tokens (B, S, dim) with their place in the picture.

    They take the slot of SVD's CLIP embedding: appearance that no warp can bring, such as a hidden sleeve.
    """

    @register_to_config
    def __init__(self, in_channels: int = 48, patch: int = 4, dim: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, dim, patch, stride=patch)
        self.place = nn.Linear(4 * FREQUENCIES, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, latents: Tensor) -> Tensor:
        patch = self.config.patch
        h, w = latents.shape[-2:]
        x = self.patches(F.pad(latents, (0, -w % patch, 0, -h % patch), mode="replicate"))
        rows = torch.linspace(0, 1, x.shape[-2], device=x.device)
        columns = torch.linspace(0, 1, x.shape[-1], device=x.device)
        waves = [_waves(v).to(x.dtype) for v in (rows, columns)]
        grid = torch.cat(
            [
                waves[0][:, None].expand(-1, x.shape[-1], -1),
                waves[1][None].expand(x.shape[-2], -1, -1),
            ],
            dim=-1,
        )
        return self.norm(x.flatten(2).transpose(1, 2) + self.place(grid).flatten(0, 1))


def _waves(x: Tensor) -> Tensor:
    """(n,) in [0, 1] -> (n, 2 FREQUENCIES) sines and cosines of 1/2, 1, 2, 4 periods."""
    angles = x[:, None] * math.pi * 2.0 ** torch.arange(FREQUENCIES, device=x.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@contextmanager
def controlled(
    unet: nn.Module, control_network: ControlNeXt, interaction: AudioVideoInteraction | None = None
) -> Iterator[Injection]:
    """The control at the place and level that its network's configuration names, and the sound's exchange."""
    config = control_network.config
    with (
        inject(unet, config.where, config.control_level) as injection,
        interact(unet, interaction) as exchange,
    ):
        injection.exchange = exchange
        yield injection


def predict(
    unet: UNetSpatioTemporalConditionModel,
    injection: Injection,
    sample: Tensor,
    timestep: Tensor | float,
    image_latents: Tensor,
    tokens: Tensor,
    control: Tensor | None,
    scale: Tensor | float = 1.0,
    audio: Tensor | None = None,
    heard: Tensor | None = None,
    time_ids: Sequence[float] = TIME_IDS,
) -> Tensor:
    """The UNet's output (B, F, C, h, w) for scaled noisy latents of the same shape.

    image_latents (B, F, C, h, w) fill SVD's per-frame image slot; tokens (B, S, D); control (B*F, C', h', w')
    with per-frame strength `scale` (B*F, 1, 1, 1); timestep 0.25 ln sigma, one or (B,). Where the injection
    has an exchange: audio (B*F, n, d) or None, and heard (B*F,), 0 = null audio.
    """
    injection.set(control, scale)
    if injection.exchange is not None:
        injection.exchange.set(audio, control, scale, heard)
    ids = torch.tensor([list(time_ids)], dtype=tokens.dtype, device=sample.device).expand(
        len(sample), -1
    )
    x = torch.cat([sample, image_latents], dim=2)
    return unet(x, timestep, encoder_hidden_states=tokens, added_time_ids=ids, return_dict=False)[0]


def shared_noise(
    shape: Sequence[int],
    generator: torch.Generator | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Unit noise (B, F, C, h, w), the same in all frames: independent noise would flicker after one step."""
    batch, frames, *rest = shape
    noise = randn_tensor((batch, 1, *rest), generator=generator, device=device, dtype=dtype)
    return noise.expand(batch, frames, *rest).contiguous()


def make_scheduler() -> EulerDiscreteScheduler:
    """The embedded model's scheduler: EDM preconditioning, the clean residual is predicted."""
    return EulerDiscreteScheduler(
        prediction_type="sample",
        timestep_type="continuous",
        timestep_spacing="leading",
        use_karras_sigmas=True,
        sigma_min=0.12,
        sigma_max=80.0,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
    )


def schedule(
    scheduler: EulerDiscreteScheduler, steps: int, device: torch.device | str = "cpu"
) -> EulerDiscreteScheduler:
    """A copy of the scheduler, set to `steps`, whose times are 0.25 ln sigma where they are continuous.

    diffusers heeds `timestep_type` for v-prediction only. For clean samples it gives places in a beta
    schedule that ends at sigma 12: several steps share the last one, so that the first of them is lost.
    """
    own = copy.deepcopy(scheduler)
    own.set_timesteps(steps, device=device)
    if own.config.timestep_type == "continuous":
        own.timesteps = 0.25 * own.sigmas[:-1].log().to(device)
    return own
