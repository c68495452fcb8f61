"""One UNet call, the reference tokens and the scheduler: what sampling and training have in common.

The UNet is the stock `UNetSpatioTemporalConditionModel`. The published weights and the embedded
model differ in the place and level of the control, the codec and the prediction type. All of these
are read from the components' configurations.
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
CELL = 4  # pixels per latent on each side; the validity is pixel-unshuffled by the same factor
FREQUENCIES = 4  # sine and cosine pairs that tell a token's place along one axis


class ReferenceTokens(ModelMixin, ConfigMixin):
    """Turn patches of reference latents (B, C, h, w) into tokens (B, S, dim) that know their place.

    The tokens take the slot of SVD's CLIP embedding. They carry appearance that no warp can bring,
    such as a hidden sleeve.
    """

    @register_to_config
    def __init__(self, in_channels: int = 48, patch: int = 4, dim: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, dim, patch, stride=patch)
        self.place = nn.Linear(4 * FREQUENCIES, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, latents: Tensor) -> Tensor:
        patch = self.config.patch
        height, width = latents.shape[-2:]
        margins = (0, -width % patch, 0, -height % patch)
        features = self.patches(F.pad(latents, margins, mode="replicate"))
        row_count, column_count = features.shape[-2:]
        rows = torch.linspace(0, 1, row_count, device=features.device)
        columns = torch.linspace(0, 1, column_count, device=features.device)
        row_waves = _waves(rows).to(features.dtype)
        column_waves = _waves(columns).to(features.dtype)
        grid = torch.cat(
            [
                row_waves[:, None].expand(-1, column_count, -1),
                column_waves[None].expand(row_count, -1, -1),
            ],
            dim=-1,
        )
        places = self.place(grid).flatten(0, 1)
        patches = features.flatten(2).transpose(1, 2)
        return self.norm(patches + places)


def _waves(positions: Tensor) -> Tensor:
    """Turn positions (n,) in [0, 1] into (n, 2 FREQUENCIES) sines and cosines of 1/2, 1, 2, 4
    periods."""
    octaves = torch.arange(FREQUENCIES, device=positions.device)
    angles = positions[:, None] * math.pi * 2.0**octaves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@contextmanager
def controlled(
    unet: nn.Module, control_network: ControlNeXt, interaction: AudioVideoInteraction | None = None
) -> Iterator[Injection]:
    """Put the control and the audio-video exchange into the UNet while the context lasts.

    The place and the level of the control are those of the control network's configuration.
    """
    config = control_network.config
    with (
        inject(unet, config.where, config.control_level) as injection,
        interact(unet, interaction) as exchange,
    ):
        injection.exchange = exchange
        yield injection


def run_unet(
    unet: UNetSpatioTemporalConditionModel,
    injection: Injection,
    sample: Tensor,
    timestep: Tensor | float,
    image_latents: Tensor,
    tokens: Tensor,
    control: Tensor | None,
    scale: Tensor | float = 1.0,
    audio: Tensor | None = None,
    audio_mask: Tensor | None = None,
    time_ids: Sequence[float] = TIME_IDS,
) -> Tensor:
    """Return the UNet's output (B, F, C, h, w) for scaled noisy latents of the same shape.

    Args:
        sample: the noisy latents (B, F, C, h, w), scaled as the scheduler asks.
        timestep: 0.25 ln sigma, one number or one per clip (B,).
        image_latents: (B, F, C, h, w) for SVD's image slot of every frame.
        tokens: (B, S, D) for the cross attention.
        control: control features (B*F, C', h', w'), or None for no control.
        scale: the control's strength per frame (B*F, 1, 1, 1).
        audio: speech tokens (B*F, n, d), or None for null audio. Read only with an interaction.
        audio_mask: (B*F,), 0 where a frame gets null audio instead. Read only with an interaction.
        time_ids: SVD's micro-conditions.
    """
    injection.set(control, scale)
    if injection.exchange is not None:
        injection.exchange.set(audio, control, scale, audio_mask)
    ids = torch.tensor([list(time_ids)], dtype=tokens.dtype, device=sample.device)
    ids = ids.expand(len(sample), -1)
    model_input = torch.cat([sample, image_latents], dim=2)
    output = unet(
        model_input,
        timestep,
        encoder_hidden_states=tokens,
        added_time_ids=ids,
        return_dict=False,
    )
    return output[0]


def shared_noise(
    shape: Sequence[int],
    generator: torch.Generator | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Draw unit noise (B, F, C, h, w) that is the same in all frames of a clip.

    Independent noise would flicker after a single step.
    """
    batch, frames, *rest = shape
    noise = randn_tensor((batch, 1, *rest), generator=generator, device=device, dtype=dtype)
    return noise.expand(batch, frames, *rest).contiguous()


def make_scheduler() -> EulerDiscreteScheduler:
    """Make the embedded model's scheduler: EDM preconditioning, the clean residual is predicted."""
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


def prepare_scheduler(
    scheduler: EulerDiscreteScheduler, steps: int, device: torch.device | str = "cpu"
) -> EulerDiscreteScheduler:
    """Copy the scheduler and set the copy to `steps`; continuous times become 0.25 ln sigma.

    diffusers follows `timestep_type` for v-prediction only. For clean samples it gives places in a
    beta schedule that ends at sigma 12: several steps share the last place, so the first of them is
    lost.
    """
    prepared = copy.deepcopy(scheduler)
    prepared.set_timesteps(steps, device=device)
    if prepared.config.timestep_type == "continuous":
        prepared.timesteps = 0.25 * prepared.sigmas[:-1].log().to(device)
    return prepared
