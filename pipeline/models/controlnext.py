"""The ControlNeXt control network (arXiv 2408.06070), its cross normalization and its UNet hook.

With the default configuration the tensors are those of the published SVD-v2 weights. The embedded
model is the same class in a small configuration with one more input, the validity of the warped
reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from pipeline.models.interaction import Exchange
from pipeline.values import InputError

# The published weight of the control; its authors advise 1.0 for dense controls.
CONTROL_LEVEL = 0.2
PLACES = ("conv_in", "down_blocks.0")


class _Strided(nn.Module):
    """A 3x3 convolution that keeps the channels; its name `.conv` is that of the published
    weights."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ControlNeXt(ModelMixin, ConfigMixin):
    """Turn control pictures in [0, 1] into features that are added to a UNet's hidden states.

    With one set of weights, the published inference code runs `stem_padding` 0 and its training
    code 1.
    `extra_channels` > 0 adds a second input at the size of the stem's output. `control_level` is
    the weight after cross normalization. `where` names the UNet module whose output receives the
    control.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        stem_channels: Sequence[int] = (64, 64, 128),
        stem_strides: Sequence[int] = (2, 1, 1),
        stem_padding: int = 0,
        block_channels: Sequence[int] = (128, 256),
        block_strides: Sequence[int] = (2, 2),
        block_groups: Sequence[int] = (4, 8),
        time_channels: int = 128,
        time_embed_dim: int = 256,
        out_channels: int = 320,
        extra_channels: int = 0,
        control_level: float = CONTROL_LEVEL,
        where: str = "down_blocks.0",
    ) -> None:
        super().__init__()
        self.time_proj = Timesteps(time_channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(time_channels, time_embed_dim)
        width = in_channels
        stem: list[nn.Module] = []
        for number, (channels, stride) in enumerate(zip(stem_channels, stem_strides, strict=True)):
            padding = 1 if number == 0 else stem_padding
            stem.append(nn.Conv2d(width, channels, 3, stride, padding))
            stem.append(nn.GroupNorm(2, channels))
            stem.append(nn.ReLU())
            width = channels
        self.embedding = nn.Sequential(*stem)
        self.extra = nn.Conv2d(extra_channels, width, 3, padding=1) if extra_channels else None
        self.down_res = nn.ModuleList()
        self.down_sample = nn.ModuleList()
        for channels, stride, groups in zip(
            block_channels, block_strides, block_groups, strict=True
        ):
            block = ResnetBlock2D(
                in_channels=width,
                out_channels=channels,
                temb_channels=time_embed_dim,
                groups=groups,
                eps=1e-6,
            )
            self.down_res.append(block)
            self.down_sample.append(_Strided(channels, stride))
            width = channels
        groups = block_groups[-1]
        middle = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.GroupNorm(groups, width),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width),
        )
        self.mid_convs = nn.ModuleList([middle, nn.Conv2d(width, out_channels, 1)])

    def forward(
        self, control: Tensor, timestep: Tensor | float, extra: Tensor | None = None
    ) -> Tensor:
        """Return features (B*F, C, h, w) of control pictures (B, F, 3, H, W) or (N, 3, H, W) in [0,
        1].

        Args:
            control: the control pictures.
            timestep: the scheduler's continuous t = 0.25 ln sigma, one number or one per sample.
            extra: the second input (B*F, E, h', w'), for `extra_channels` > 0.
        """
        if (self.extra is None) != (extra is None):
            problem = "is missing" if extra is None else "was given"
            raise ValueError(
                f"the control network has extra_channels={self.config.extra_channels}, "
                f"but extra {problem}; give it when there are some"
            )
        batch = len(control)
        pictures = control.flatten(0, 1) if control.ndim == 5 else control
        frames = len(pictures) // batch
        times = torch.as_tensor(timestep, device=control.device).reshape(-1).expand(batch)
        waves = self.time_proj(times).to(self.dtype)
        time = self.time_embedding(waves).repeat_interleave(frames, dim=0)
        features = self.embedding(pictures.to(self.dtype))
        if self.extra is not None:
            features = features + self.extra(extra.to(self.dtype))
        for block, strided in zip(self.down_res, self.down_sample, strict=True):
            features = strided(block(features, time))
        features = features + self.mid_convs[0](features)
        return self.mid_convs[1](features)


def cross_normalize(
    hidden: Tensor, control: Tensor, scale: Tensor | float, level: float = CONTROL_LEVEL
) -> Tensor:
    """Add the control with the hidden states' mean and deviation (ControlNeXt, section 3.3).

    The statistics are taken per sample over (C, H, W), before the control is pooled to H x W.

    Args:
        hidden: hidden states (N, C, H, W).
        control: control features (N, C, h, w).
        scale: the control's strength per frame (N, 1, 1, 1), 0 = no control.
        level: the control's weight in these weights.
    """
    axes = (1, 2, 3)
    hidden_mean = hidden.mean(axes, keepdim=True)
    hidden_std = hidden.std(axes, keepdim=True)
    control_mean = control.mean(axes, keepdim=True)
    control_std = control.std(axes, keepdim=True)
    gain = hidden_std / (control_std + 1e-5)
    control = (control - control_mean) * gain + hidden_mean
    control = F.adaptive_avg_pool2d(control, hidden.shape[-2:])
    return hidden + control * scale * level


class Injection:
    """The control for the next UNet calls; `control` None leaves the UNet as it is.

    `exchange` takes the sound of the same calls where the UNet has an interaction.
    """

    def __init__(self, level: float = CONTROL_LEVEL) -> None:
        self.control: Tensor | None = None
        self.scale: Tensor | float = 1.0
        self.level = level
        self.exchange: Exchange | None = None

    def set(
        self, control: Tensor | None, scale: Tensor | float = 1.0, level: float | None = None
    ) -> None:
        """Set the features (B*F, C, h, w) and the strength (B*F, 1, 1, 1) that the next calls
        add."""
        self.control = control
        self.scale = scale
        if level is not None:
            self.level = level

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Add the control, as a forward hook.

        Of a block's output (hidden, skips) only `hidden` changes, as in the published code.
        """
        if self.control is None:
            return output
        if isinstance(output, tuple):
            hidden, *skips = output
            return (self._add_control(hidden), *skips)
        return self._add_control(output)

    def _add_control(self, hidden: Tensor) -> Tensor:
        control = self.control.to(hidden.dtype)
        return cross_normalize(hidden, control, self.scale, self.level).to(hidden.dtype)


@contextmanager
def inject(
    unet: nn.Module, where: str = "down_blocks.0", level: float = CONTROL_LEVEL
) -> Iterator[Injection]:
    """Put one forward hook on `unet.<where>` while the context lasts.

    Call `.set(control, scale)` before the UNet. The published weights take the control after
    `down_blocks.0`, the embedded model after `conv_in`.
    """
    if where not in PLACES:
        raise InputError(
            f"where={where!r} is not a place for the control; choose one of {', '.join(PLACES)}"
        )
    injection = Injection(level)
    handle = unet.get_submodule(where).register_forward_hook(injection)
    try:
        yield injection
    finally:
        handle.remove()
