"""Frame-wise audio-video interaction: in every frame speech and picture exchange features.   [ApoAvatar]

At named modules of a stock UNet ("sites") a frame's audio tokens attend to its visual tokens and to its pose
prior, then its visual tokens attend to the audio tokens so informed. Nothing passes from frame to frame. The
gates begin at zero: an untrained interaction leaves the UNet's output as it is, to the bit. A gate is the
whole last projection: a scalar or vector before a random projection learns many times slower. What a place
hears is multiplied by what it shows, so that the sound can act on the mouth alone from the first steps on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from pipeline.values import InputError


class Site(nn.Module):
    """Both directions of the exchange at one module whose output has `width` channels."""

    def __init__(self, width: int, dim: int, heads: int) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(width)
        self.look = nn.Linear(width, dim)
        self.norm_audio = nn.LayerNorm(dim)
        self.listen = Attention(dim, cross_attention_dim=dim, heads=heads, dim_head=dim // heads)
        self.norm_heard = nn.LayerNorm(dim)
        self.speak = Attention(
            width, cross_attention_dim=dim, heads=heads, dim_head=dim // heads, out_dim=2 * dim
        )
        self.show = nn.Linear(width, 2 * dim)
        self.gate = nn.Linear(2 * dim, width)
        for last in (self.gate, self.listen.to_out[0]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, hidden: Tensor, audio: Tensor, pose: Tensor) -> Tensor:
        """Hidden states (N, width, h, w) after the exchange with tokens (N, n, dim) and (N, p, dim)."""
        visual = self.norm_visual(hidden.flatten(2).transpose(1, 2))
        context = torch.cat([self.look(visual), pose], 1)
        heard = audio + self.listen(self.norm_audio(audio), context)
        change = self.gate(self.speak(visual, self.norm_heard(heard)) * self.show(visual))
        return hidden + change.transpose(1, 2).unflatten(2, hidden.shape[-2:]).to(hidden.dtype)


class AudioVideoInteraction(ModelMixin, ConfigMixin):
    """Sites of the exchange, the null pose and the null audio of a UNet with control features.

    `sites` names modules of the UNet and `widths` the channels of their outputs. Audio tokens are
    (audio_tokens, audio_channels) a frame; control features of `pose_channels` are pooled to
    pose_grid x pose_grid pose tokens. `null_pose` stands for the control features, and `null_audio` for the
    audio tokens, of a frame that has none.
    """

    @register_to_config
    def __init__(
        self,
        sites: Sequence[str] = ("conv_in", "mid_block", "up_blocks.0", "up_blocks.1"),
        widths: Sequence[int] = (64, 128, 128, 96),
        audio_channels: int = 160,
        audio_tokens: int = 5,
        pose_channels: int = 64,
        pose_grid: int = 4,
        dim: int = 64,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.exchanges = nn.ModuleList(
            Site(width, dim, heads) for _, width in zip(sites, widths, strict=True)
        )
        self.audio_in = nn.Linear(audio_channels, dim)
        self.audio_place = nn.Parameter(0.02 * torch.randn(audio_tokens, dim))
        self.silent = nn.Parameter(0.02 * torch.randn(1, dim))  # for places that no sound moves
        self.null_audio = nn.Parameter(0.02 * torch.randn(audio_tokens, dim))
        self.pose_in = nn.Linear(pose_channels, dim)
        self.pose_place = nn.Parameter(0.02 * torch.randn(pose_grid**2, dim))
        self.null_pose = nn.Parameter(torch.randn(pose_channels))

    @property
    def idle(self) -> bool:
        """Whether all gates are zero, so that nothing is exchanged."""
        return not any(
            bool(site.gate.weight.any() or site.gate.bias.any()) for site in self.exchanges
        )

    def null_control(self, count: int) -> Tensor:
        """(count, pose_channels, 1, 1) control features of frames without a pose; they fit any size."""
        return self.null_pose.view(1, -1, 1, 1).expand(count, -1, -1, -1)

    def audio(self, tokens: Tensor | None, count: int, heard: Tensor | None = None) -> Tensor:
        """(N, n + 1, dim) from speech tokens (N, n, d); null where `heard` (N,) is 0 or there are none.

        Tokens of another shape come from another speech network: they mean nothing here and count as none.
        """
        places = self.audio_place.expand(count, -1, -1)
        null = self.null_audio.expand(count, -1, -1)
        known = (self.config.audio_tokens, self.config.audio_channels)
        if tokens is None or tokens.shape[1:] != known:
            inner = null
        else:
            inner = self.audio_in(tokens.to(self.audio_in.weight.dtype))
            inner = inner if heard is None else torch.where(heard.view(-1, 1, 1) > 0, inner, null)
        return torch.cat([inner + places, self.silent.expand(count, -1, -1)], 1)

    def pose(self, control: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """(N, p, dim) pose tokens of control features (N, C, h, w) with strength `scale` (N, 1, 1, 1)."""
        pooled = F.adaptive_avg_pool2d(control, self.config.pose_grid) * scale
        return (
            self.pose_in(pooled.to(self.pose_in.weight.dtype).flatten(2).transpose(1, 2))
            + self.pose_place
        )


class Exchange:
    """Holds the tokens for the next UNet calls, until they are set anew."""

    def __init__(self, interaction: AudioVideoInteraction) -> None:
        self.interaction = interaction
        self.audio: Tensor | None = None
        self.pose: Tensor | None = None

    def set(
        self,
        tokens: Tensor | None,
        control: Tensor,
        scale: Tensor | float = 1.0,
        heard: Tensor | None = None,
    ) -> None:
        """Speech tokens (N, n, d) or None, and control features (N, C, h, w), for N frames."""
        self.audio = self.interaction.audio(tokens, len(control), heard)
        self.pose = self.interaction.pose(control, scale)

    def hook(self, site: Site) -> Any:
        """The forward hook of one site; of a block's (hidden, skips) only `hidden` changes."""

        def changed(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            if self.audio is None:
                return output
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = site(hidden, self.audio, self.pose)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return changed


@contextmanager
def interact(
    unet: nn.Module, interaction: AudioVideoInteraction | None
) -> Iterator[Exchange | None]:
    """Hooks at the interaction's sites while the context lasts; `.set(...)` before the UNet.

    Without an interaction, or with an idle one outside training, no hook is set and None is given.
    """
    if interaction is None or (not torch.is_grad_enabled() and interaction.idle):
        yield None
        return
    exchange, handles = Exchange(interaction), []
    try:
        for name, site in zip(interaction.config.sites, interaction.exchanges, strict=True):
            handles.append(_module(unet, name).register_forward_hook(exchange.hook(site)))
        yield exchange
    finally:
        for handle in handles:
            handle.remove()


def _module(unet: nn.Module, name: str) -> nn.Module:
    try:
        return unet.get_submodule(name)
    except AttributeError as error:
        raise InputError(
            f"the interaction's site {name!r} is no module of this UNet; name one such as 'mid_block'"
        ) from error
