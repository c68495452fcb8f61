"""What the denoiser is conditioned on, and the interface of the components that say so.

An `ImageCondition` is a registered component without weights. It says where the denoiser's image
latents come from, so that backbones differ in components and configurations only. It opens a
`ClipCondition` for one reference image and motion. That gives the `SegmentConditions` of any run of
frames and turns denoised latents back into the user's frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from pipeline.models.denoiser import TIME_IDS
from pipeline.values import InputError, Motion

Component = TypeVar("Component", bound=ModelMixin)
MAX_GUIDANCE = 4.0


@dataclass(frozen=True)
class DecoupledGuidance:
    """Guidance of sound and pose apart: eps_0 + l_a (eps_a - eps_0) + l_p c_t (eps_ap - eps_a).
    [ApoAvatar]

    `audio` is l_a and `pose` is l_p. eps_0 is the denoiser's output without sound and pose, eps_a
    that with sound, eps_ap that with both; c_t is `Motion.control_strength`. With both at 1, the
    default, only eps_ap is evaluated. Then c_t scales its control and its validity instead, as the
    gate in training does: a second evaluation for a change of a few per cent would double the time.
    With pose = 0 the output is pose-free as in the paper.
    """

    audio: float = 1.0
    pose: float = 1.0

    def __post_init__(self) -> None:
        for name in ("audio", "pose"):
            value = getattr(self, name)
            if not 0 <= value <= MAX_GUIDANCE:  # also refuses NaN
                raise InputError(
                    f"the {name} guidance is {value}; give a number from 0 to {MAX_GUIDANCE:g}"
                )

    @property
    def plain(self) -> bool:
        """Whether one evaluation is enough."""
        return self.audio == self.pose == 1

    @property
    def pose_free(self) -> bool:
        """Whether the pose is not used at all."""
        return self.pose == 0

    @property
    def evaluations(self) -> int:
        """How often the denoiser runs per window and step."""
        without_both = int(self.audio != 1)
        if self.plain or self.pose_free:
            return without_both + 1
        return without_both + 2

    def shares(self, control_strength: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the shares (F,) of eps_0, eps_a and eps_ap for c_t (F,); they add up to 1."""
        ones = torch.ones_like(control_strength)
        with_both = ones if self.plain else self.pose * control_strength
        return (1 - self.audio) * ones, self.audio - with_both, with_both

    def control_scale(self, control_strength: Tensor) -> Tensor:
        """Return the control's strength (F,1,1,1): c_t where one evaluation is enough, else 1."""
        scale = control_strength if self.plain else torch.ones_like(control_strength)
        return scale.view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Branch:
    """One evaluation of the denoiser over F rows: its inputs, and its share in the guided output.

    The guided output is the sum over all branches of share times output.

    share: (F,); the shares of all branches add up to 1.
    rise: is added to the share over the rows of a window, from 0 at the first row to `rise` at the
    last.
    image_latents: (1,F,C,h,w) for the UNet's image slot.
    tokens: (1,S,D) for the cross attention.
    control: control pictures (F,3,H,W) in [0,1] or uint8. None means null pose, or no control where
        the weights know no null pose.
    extra: the control network's second input (F,E,h,w), or None.
    scale: the control's strength (F,1,1,1).
    audio: speech tokens (F,n,d), or None for null audio.
    offset: (1,F,C,h,w), what this branch's residuals lack to those of the common base, or None. It
        is taken off the noisy input and added to the output, so the UNet must predict clean
        residuals.
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
        """Return the share of each row of a window."""
        ramp = torch.linspace(0, 1, len(rows), device=self.share.device)
        return self.share[rows] + self.rise * ramp

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """Return the control pictures of a window in [0,1]."""
        if self.control is None:
            raise ValueError("this branch has no control pictures")
        part = self.control[rows]
        return part.float() / 255 if part.dtype == torch.uint8 else part


@dataclass(frozen=True)
class SegmentWarp:
    """What the warp shows of a segment's frames at the denoiser's size.

    image (F,3,H,W) and validity (F,1,H,W) in [0,1]. base (1,F,C,h,w): the image's latents, which
    the denoised residual is added to. still (F,1,H,W): 1 where the image is the photo, unmoved;
    None if that is not known.
    """

    image: Tensor
    validity: Tensor
    base: Tensor
    still: Tensor | None = None


@dataclass(frozen=True)
class SegmentConditions:
    """What the denoising of a segment needs: `rows` rows, of which the first `lead` are no frames.

    first: number of the first frame. time_ids: SVD's micro-conditions. warp: what the warp shows of
    the frames, None where the image latents are those of the still reference.
    """

    branches: tuple[Branch, ...]
    rows: int
    first: int = 0
    lead: int = 0
    time_ids: Sequence[float] = TIME_IDS
    warp: SegmentWarp | None = None

    def __len__(self) -> int:
        return self.rows


class ClipCondition(Protocol):
    """The conditions of one reference image and motion."""

    def noise(self, rows: int, generator: torch.Generator | None) -> Tensor:
        """Draw the unit noise (1,F,C,h,w) of a segment of F rows."""
        ...

    def conditions(self, start: int, stop: int) -> SegmentConditions:
        """Return the conditions of the lead and of frames start..stop."""
        ...

    def frames(self, latents: Tensor, conditions: SegmentConditions, skip: int = 0) -> Tensor:
        """Turn denoised latents (1,F,C,h,w) into frames (F-lead-skip,3,H,W) in [0,1]."""
        ...

    def preview(self, latents: Tensor, conditions: SegmentConditions) -> Tensor | None:
        """Return one picture (1,3,H,W) of an estimate (1,F,C,h,w); None where that would cost too
        much."""
        ...


class ImageCondition(Protocol):
    """Where the denoiser's image latents come from: a registered component without weights."""

    @property
    def lead(self) -> int:
        """Rows that every window begins with and that are no frames."""
        ...

    @property
    def needs_null_inputs(self) -> bool:
        """Whether the denoiser is evaluated without pose or sound, which not all weights know."""
        ...

    @property
    def evaluations(self) -> int:
        """How often the denoiser runs per window and step."""
        ...

    @property
    def decodings(self) -> float:
        """How often the codec decodes a frame on average."""
        ...

    @property
    def decode_chunk(self) -> int | None:
        """How many frames the codec decodes together; None = the whole segment."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def config(self) -> Mapping[str, Any]: ...

    def latent_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (h, w) of the latents for an output of (H, W)."""
        ...

    def open(
        self,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: nn.Module,
        reference_tokens: nn.Module,
        generator: torch.Generator | None = None,
    ) -> ClipCondition:
        """Open the work on a picture (H,W,3) uint8 and a motion, for output frames of `size`
        (H,W)."""
        ...


# The user's options, by the names that they have in a condition's configuration.
OPTION_NAMES = {
    "min_guidance": "guidance",
    "max_guidance": "guidance",
    "control_strength": "control",
    "noise_aug_strength": "noise_aug",
    "motion_bucket_id": "motion_bucket",
    "fps": "condition_fps",
    "style": "skeleton_style",
}


def reconfigure(component: Component, values: Mapping[str, float | str]) -> Component:
    """Return a copy of the component with these values in its configuration.

    Without values it is the component itself.
    """
    known = [name for name in component.config if not name.startswith("_")]
    unknown = [name for name in values if name not in known]
    if unknown:
        option = OPTION_NAMES.get(unknown[0], unknown[0])
        raise InputError(f"this model's conditioning has no `{option}`; leave that option out")
    if not values:
        return component
    # without private entries: one of them would make the defaults win
    config = {name: component.config[name] for name in known}
    config.update(values)
    return type(component)(**config).to(component.device)
