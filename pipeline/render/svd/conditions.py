"""What the denoiser is conditioned on: branches of guidance and their strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from pipeline.values import InputError

Source = TypeVar("Source", bound=ModelMixin)
MAX_GUIDANCE = 4.0


@dataclass(frozen=True)
class Guidance:
    """Strengths l_a, l_p of eps_0 + l_a (eps_a - eps_0) + l_p c_t (eps_ap - eps_a).   [ApoAvatar, decoupled]

    eps_0 knows neither sound nor pose, eps_a the sound, eps_ap both; c_t is `Motion.control_strength`. With both at
    1, the default, eps_ap is the only evaluation and c_t scales its control and validity instead, as the gate
    in training does: a second evaluation for a change of a few per cent would double the time. pose = 0 is
    the pose-free way of the paper.
    """

    audio: float = 1.0
    pose: float = 1.0

    def __post_init__(self) -> None:
        for name in ("audio", "pose"):
            if not 0 <= getattr(self, name) <= MAX_GUIDANCE:  # false for NaN, too
                raise InputError(
                    f"the {name} guidance is {getattr(self, name)}; give a number from 0 to {MAX_GUIDANCE:g}"
                )

    @property
    def plain(self) -> bool:
        return self.audio == self.pose == 1


@dataclass(frozen=True)
class Branch:
    """One evaluation of the denoiser: what it is given, and its share in the guided output, per frame.

    share (F,): the guided output is the sum over all branches of share times output, and shares add up to 1.
    rise is added to it over the rows of a window, from 0 at the first to `rise` at the last. image_latents
    (1,F,C,h,w); tokens (1,S,D); control pictures (F,3,H,W) in [0,1] or uint8, None = null pose, or no control
    where the weights know none; extra (F,E,h,w) or None; scale (F,1,1,1), the control's strength; audio
    (F,n,d), None = null audio. offset (1,F,C,h,w): what this branch's residuals lack to those of the common
    base, None = nothing. Only clean residuals may have one: it is taken off the noisy input and added to the
    output.
    """

    share: Tensor
    image_latents: Tensor
    tokens: Tensor
    control: Tensor | None
    extra: Tensor | None
    scale: Tensor
    audio: Tensor | None = None
    offset: Tensor | None = None
    rise: float = 0.0

    def shares(self, rows: Sequence[int]) -> Tensor:
        """The share of each row of a window."""
        return self.share[rows] + self.rise * torch.linspace(
            0, 1, len(rows), device=self.share.device
        )

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """The control pictures of a window in [0,1]."""
        part = self.control[rows]
        return part.float() / 255 if part.dtype == torch.uint8 else part


def adjusted(source: Source, values: Mapping[str, float]) -> Source:
    """The source itself, or a copy of it with other values in its configuration."""
    known = [name for name in source.config if not name.startswith("_")]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise InputError(
            f"this model's conditioning has no {unknown[0]}; it has {', '.join(known)}"
        )
    if not values:
        return source
    given = {
        name: source.config[name] for name in known
    }  # a private entry there makes defaults win
    return type(source)(**(given | dict(values))).to(source.device)
