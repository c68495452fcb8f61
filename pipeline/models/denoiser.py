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
from diffusers.models.attention import TemporalBasicTransformerBlock
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from pipeline.models.controlnext import ControlNeXt, Injection, inject
from pipeline.models.interaction import AudioVideoInteraction, interact

# fps - 1, motion bucket, noise level: SVD's published training values, never varied
TIME_IDS = (6.0, 127.0, 0.02)
CELL = 4  # pixels of a side per latent, also of the pixel-unshuffled validity
FREQUENCIES = 4
MOUTH = slice(48, 68)


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
    ids = torch.tensor([list(time_ids)], dtype=tokens.dtype, device=sample.device).expand(len(sample), -1)
    x = torch.cat([sample, image_latents], dim=2)
    return unet(x, timestep, encoder_hidden_states=tokens, added_time_ids=ids, return_dict=False)[0]


def shared_noise(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Unit noise (B, F, C, h, w), the same in all frames: independent noise would flicker after one step."""
    batch, frames, *rest = shape
    noise = randn_tensor((batch, 1, *rest), generator=generator, device=device, dtype=dtype)
    return noise.expand(batch, frames, *rest).contiguous()


def validity_cells(validity: Tensor) -> Tensor:
    """The control network's extra input (N, 16, H/4, W/4) from the warp's validity (N, 1, H, W)."""
    return F.pixel_unshuffle(validity, CELL)


def face_maps(face: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Soft maps (N, 1, H, W) in [0, 1] of face and mouth from face points (N, 68, 3: x, y, score)."""
    whole = soft_ellipse(face, size, grow=1.1, soft=0.35)
    mouth = soft_ellipse(face[:, MOUTH], size, grow=1.25, soft=0.5)
    return whole, mouth


def soft_ellipse(points: Tensor, size: tuple[int, int], grow: float, soft: float) -> Tensor:
    """1 inside the ellipse of the visible points' box, falling to 0 over `soft` radii; 0 if none is."""
    height, width = size
    seen = points[..., 2] > 0.3
    far = torch.where(seen[..., None], points[..., :2], torch.full_like(points[..., :2], -1e4)).amax(1)
    near = torch.where(seen[..., None], points[..., :2], torch.full_like(points[..., :2], 1e4)).amin(1)
    centre, radius = (near + far) / 2, ((far - near) / 2 * grow).clamp_min(1.0 / max(size))
    y = (torch.arange(height, device=points.device) + 0.5) / height
    x = (torch.arange(width, device=points.device) + 0.5) / width
    dx = (x[None] - centre[:, :1]) / radius[:, :1]
    dy = (y[None] - centre[:, 1:]) / radius[:, 1:]
    distance = (dx[:, None, :].square() + dy[:, :, None].square()).sqrt()
    inside = ((1 + soft - distance) / soft).clamp(0, 1)
    return (inside * seen.any(1).to(inside.dtype)[:, None, None])[:, None]


def repair_gate(validity: Tensor, face: Tensor, keep: Sequence[float]) -> Tensor:
    """The applied share (N, 1, H, W) of the repair, by what the warp shows there.

    validity (N, 1, H, W); face points (N, 68, 3); keep = shares on valid pixels elsewhere, on the face and on
    the mouth; then that of holes outside the face, 1 where it is left out. In holes of the face it is 1.
    """
    elsewhere, on_face, on_mouth, in_holes = (*keep, 1.0)[:4]
    whole, mouth = face_maps(face, tuple(validity.shape[-2:]))
    share = elsewhere + (on_face - elsewhere) * whole
    share = share + (on_mouth - share) * mouth
    sure = -F.max_pool2d(-validity, 3, stride=1, padding=1)  # a seam's neighbours belong to the repair
    sure = F.avg_pool2d(sure, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(in_holes + (1 - in_holes) * whole, share, sure)


def blend(warped: Tensor, generated: Tensor, validity: Tensor, face: Tensor, keep: Sequence[float]) -> Tensor:
    """The picture: the warp plus the gated part of what the denoiser changed; pictures are (N, 3, H, W).

    Where the warp holds nothing (validity (N, 1, H, W) under a half) outside the face (points (N, 68, 3)) the
    repair is smoothed over 3 pixels, as the grid of the latents shows there: .06 dB nearer to the truth.
    """
    whole, _ = face_maps(face, tuple(validity.shape[-2:]))
    hole = F.avg_pool2d((validity < 0.5).to(generated), 3, 1, 1) * (1 - whole)
    smooth = F.avg_pool2d(generated, 3, 1, 1, count_include_pad=False)
    return warped + repair_gate(validity, face, keep) * (torch.lerp(generated, smooth, hole) - warped)


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


def silence_temporal(unet: nn.Module) -> None:
    """Zeroes the temporal layers' outputs, so that a UNet of single frames starts as one of clips."""
    for module in unet.modules():
        for last in _last_layers(module):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)


def skip_idle_temporal(unet: nn.Module) -> int:
    """Skips temporal layers that change nothing (outputs all zero), returns how many: half the time a frame.

    Only `forward` is replaced, on the instance; tensors and keys stay as they are, so saving works as before.
    """
    idle = 0
    for module in unet.modules():
        temporal = [m for m in module.modules() if _last_layers(m)]
        lasts = [last for m in temporal for last in _last_layers(m)]
        if not hasattr(module, "time_mixer") or any(x.weight.any() or x.bias.any() for x in lasts):
            continue
        module.time_mixer.forward = _spatial  # mixing x with x costs three passes over the features
        for part in temporal:
            if isinstance(part, TemporalResnetBlock | TemporalBasicTransformerBlock):
                part.forward = _same
                idle += 1
    return idle


def restore_temporal(unet: nn.Module) -> None:
    """Undoes `skip_idle_temporal`, as a clip stage of the training needs."""
    for module in unet.modules():
        if module.__dict__.get("forward") in (_same, _spatial):
            del module.__dict__["forward"]


def _same(hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
    return hidden_states


def _spatial(x_spatial: Tensor, x_temporal: Tensor, image_only_indicator: Tensor | None = None) -> Tensor:
    return x_spatial


def _last_layers(module: nn.Module) -> list[nn.Module]:
    """The layers whose zero makes a temporal module the identity."""
    if isinstance(module, TemporalResnetBlock):
        return [module.conv2]
    if isinstance(module, TemporalBasicTransformerBlock):
        lasts = [module.attn1.to_out[0], module.ff.net[-1]]
        lasts += [module.attn2.to_out[0]] if module.attn2 is not None else []
        return lasts + ([module.ff_in.net[-1]] if module.is_res else [])
    if isinstance(module, TransformerSpatioTemporalModel):
        return [module.time_pos_embed.linear_2]
    return []
