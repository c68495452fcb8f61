"""Frame-wise audio-video interaction: in every frame speech and picture exchange features.
[ApoAvatar]

The exchange happens at named modules of a stock UNet, the "sites". There a frame's audio tokens
attend to its visual tokens and to its pose tokens. Then its visual tokens attend to these audio
tokens, and the next site goes on from them: what a site learned of the picture is not lost. Nothing
passes from frame to frame. The gates begin at zero, so an untrained interaction
leaves the UNet's output as it is, to the bit. A gate is the whole last projection: a scalar or
vector gate before a random projection learns many times slower. The attended sound is multiplied by
a projection of the picture, so that the sound can act on the mouth alone from the first steps on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from pipeline.values import InputError

# a forward hook of PyTorch: module, positional arguments and output -> the output to pass on
Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]


# What the audio tokens of a site are: those that the site before it updated, or the frame's own.
CARRIED = "carried"
RESTARTED = "restarted"
AUDIO_PATHS = (CARRIED, RESTARTED)


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

    @property
    def is_open(self) -> bool:
        """Whether the gate lets anything through."""
        return bool(self.gate.weight.any() or self.gate.bias.any())

    def forward(self, hidden: Tensor, audio: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden states (N, width, h, w) and audio tokens (N, n, dim) after the exchange.

        audio (N, n, dim) and pose (N, p, dim) are the tokens of the same N frames.
        """
        pixels = hidden.flatten(2).transpose(1, 2)
        visual = self.norm_visual(pixels)
        context = torch.cat([self.look(visual), pose], 1)
        audio = audio + self.listen(self.norm_audio(audio), context)
        sound = self.speak(visual, self.norm_heard(audio))
        change = self.gate(sound * self.show(visual))
        change = change.transpose(1, 2).unflatten(2, hidden.shape[-2:])
        return hidden + change.to(hidden.dtype), audio


class AudioVideoInteraction(ModelMixin, ConfigMixin):
    """The sites of the exchange, the null pose and the null audio of a UNet with control features.

    `sites` names modules of the UNet in the order in which it calls them, and `widths` gives the
    channels of their outputs. The audio tokens of a frame are (audio_tokens, audio_channels).
    Control features of `pose_channels` are pooled to pose_grid x pose_grid pose tokens. For a frame
    without pose, `null_pose` replaces the control features; for a frame without sound, `null_audio`
    replaces the audio tokens.
    `audio_path` is "carried" where a site goes on from the audio tokens that the site before it
    updated (ApoAvatar), "restarted" where every site begins with the frame's own tokens.
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
        audio_path: str = CARRIED,
    ) -> None:
        super().__init__()
        if audio_path not in AUDIO_PATHS:
            raise InputError(
                f"the interaction's audio_path is {audio_path!r}; use {' or '.join(AUDIO_PATHS)}"
            )
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
        return not any(site.is_open for site in self.exchanges)

    def null_control(self, count: int) -> Tensor:
        """Return (count, pose_channels, 1, 1) control features of frames without a pose, for any
        size."""
        return self.null_pose.view(1, -1, 1, 1).expand(count, -1, -1, -1)

    def audio(self, tokens: Tensor | None, count: int, audio_mask: Tensor | None = None) -> Tensor:
        """Project speech tokens (N, n, d) of N = `count` frames to (N, n + 1, dim).

        Frames whose `audio_mask` (N,) is 0 get null audio, and all frames do where tokens is None.
        Tokens of another shape come from another speech network. They mean nothing here and count
        as None.
        """
        places = self.audio_place.expand(count, -1, -1)
        null = self.null_audio.expand(count, -1, -1)
        silent = self.silent.expand(count, -1, -1)
        shape = (self.config.audio_tokens, self.config.audio_channels)
        if tokens is None or tokens.shape[1:] != shape:
            projected = null
        else:
            projected = self.audio_in(tokens.to(self.audio_in.weight.dtype))
            if audio_mask is not None:
                projected = torch.where(audio_mask.view(-1, 1, 1) > 0, projected, null)
        return torch.cat([projected + places, silent], 1)

    def pose(self, control: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Pool control features (N, C, h, w) to pose tokens (N, p, dim), with strength (N, 1, 1,
        1)."""
        pooled = F.adaptive_avg_pool2d(control, self.config.pose_grid) * scale
        pooled = pooled.to(self.pose_in.weight.dtype).flatten(2)
        return self.pose_in(pooled.transpose(1, 2)) + self.pose_place


class Exchange:
    """The audio and pose tokens for the next UNet calls, until they are set anew.

    `audio` holds the tokens with which a call begins, `updated` those after the last site.
    """

    def __init__(self, interaction: AudioVideoInteraction) -> None:
        self.interaction = interaction
        self.audio: Tensor | None = None
        self.updated: Tensor | None = None
        self.pose: Tensor | None = None

    def set(
        self,
        tokens: Tensor | None,
        control: Tensor,
        scale: Tensor | float = 1.0,
        audio_mask: Tensor | None = None,
    ) -> None:
        """Set the tokens of N frames from speech tokens (N, n, d) and control features (N, C, h,
        w)."""
        self.audio = self.interaction.audio(tokens, len(control), audio_mask)
        self.pose = self.interaction.pose(control, scale)

    def hook(self, number: int) -> Hook:
        """Make the forward hook of site `number`, counted in the order of the UNet's modules.

        Of a block's (hidden, skips) only `hidden` changes.
        """
        site = self.interaction.exchanges[number]
        restarts = number == 0 or self.interaction.config.audio_path == RESTARTED

        def exchange(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            audio = self.audio if restarts else self.updated
            if audio is None:
                return output
            hidden, *skips = output if isinstance(output, tuple) else (output,)
            hidden, self.updated = site(hidden, audio, self.pose)
            return (hidden, *skips) if isinstance(output, tuple) else hidden

        return exchange


@contextmanager
def interact(
    unet: nn.Module, interaction: AudioVideoInteraction | None
) -> Iterator[Exchange | None]:
    """Put hooks at the interaction's sites while the context lasts; call `.set(...)` before the
    UNet.

    Yields None, without any hook, where there is no interaction, or an idle one outside training.
    """
    if interaction is None or (not torch.is_grad_enabled() and interaction.idle):
        yield None
        return
    exchange = Exchange(interaction)
    handles = []
    try:
        for number, name in enumerate(interaction.config.sites):
            hook = exchange.hook(number)
            handles.append(_module(unet, name).register_forward_hook(hook))
        yield exchange
    finally:
        for handle in handles:
            handle.remove()


def _module(unet: nn.Module, name: str) -> nn.Module:
    try:
        return unet.get_submodule(name)
    except AttributeError as error:
        raise InputError(
            f"the interaction's site {name!r} is no module of this UNet; "
            "name one such as 'mid_block'"
        ) from error
