"""Where a backbone's image latents come from: the warped reference image, frame by frame.

A source is a registered component without weights, so that backbones differ in components and configs only.
It opens a `Shot` for one picture and motion; the shot gives the conditions of any run of frames and turns
denoised latents back into the user's frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from pipeline.models.denoiser import CELL, TIME_IDS, ReferenceTokens, shared_noise
from pipeline.models.haar import HaarLatent
from pipeline.models.repair import blend, validity_cells
from pipeline.motion import partial_arms, skeleton
from pipeline.render import warp
from pipeline.render.draft import layers
from pipeline.render.svd.conditions import Branch, Guidance
from pipeline.render.tensors import to_tensor
from pipeline.render.warp.detail import detail_transfer
from pipeline.values import Motion, Pose


@dataclass(frozen=True)
class Conditions:
    """What the denoising of F frames needs; first is the number of the first frame.

    base (1,F,C,h,w): the latents that the denoised residual is added to. warped and validity are the low warp
    (F,3,H,W), (F,1,H,W).
    """

    branches: tuple[Branch, ...]
    base: Tensor
    warped: Tensor
    validity: Tensor
    first: int
    lead: int = 0  # rows before the first frame that every window sees
    time_ids: Sequence[float] = TIME_IDS

    def __len__(self) -> int:
        return self.base.shape[1]


class WarpedReference(ModelMixin, ConfigMixin):
    """The layered warp of the reference image at a short side of `short_side` pixels conditions the denoiser.

    The denoiser predicts the whitened residual to the warp. The frames that the user sees get the warp's
    full-resolution detail back. The noise is shared by all frames. `gated_validity` is the share of the
    control's strength that acts on the warp's validity, too: 1 for weights that were trained with the gate.
    The guidances: see `Guidance`; pose 0 is the pose-free way.
    """

    lead = 0
    decodings = 1.0  # of the codec per frame

    @register_to_config
    def __init__(
        self,
        short_side: int = 128,
        multiple: int = 16,
        control_scale: int = 2,
        gated_validity: float = 0.0,
        audio_guidance: float = 1.0,
        pose_guidance: float = 1.0,
    ) -> None:
        super().__init__()
        self.guidance = Guidance(audio_guidance, pose_guidance)
        self.register_buffer(
            "anchor", torch.zeros(1)
        )  # gives the component a device and a saved file

    @property
    def nulls(self) -> bool:
        """Whether evaluations without pose or sound are asked for, which not all weights know."""
        return not self.guidance.plain

    @property
    def evaluations(self) -> int:
        """Of the denoiser per window and step."""
        return int(self.guidance.audio != 1) + (
            1 if self.guidance.plain or self.guidance.pose == 0 else 2
        )

    def work_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) at which the denoiser works for an output of (H, W)."""
        factor, multiple = self.config.short_side / min(size), self.config.multiple
        return tuple(max(multiple, round(side * factor / multiple) * multiple) for side in size)

    def latent_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the latents for an output of (H, W)."""
        return tuple(side // CELL for side in self.work_size(size))

    def shot(
        self,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: HaarLatent,
        reference_tokens: ReferenceTokens,
        generator: torch.Generator | None = None,
    ) -> Shot:
        """Opens the work on one picture (H,W,3) uint8 and motion, for output frames of `size` (H,W)."""
        return Shot(self, image, motion, size, vae, reference_tokens)


class Shot:
    """One reference image and motion in work: layers are built once, frames on demand."""

    def __init__(
        self,
        source: WarpedReference,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: HaarLatent,
        reference_tokens: ReferenceTokens,
    ) -> None:
        guidance = source.guidance
        if (
            guidance.pose == 0
        ):  # the person stays where the picture shows it, but for what the sound moves
            motion = replace(motion, pose=motion.reference[np.zeros(len(motion), int)])
        motion = partial_arms.rested(motion)  # for the warp and the control pictures alike
        self.source, self.motion, self.size, self.vae = source, motion, size, vae
        self.guidance, self.image = guidance, image
        self.device, self.work = source.device, source.work_size(size)
        self.layers = layers(image, motion, size, self.device)
        self.reference_latents = self.encode(to_tensor(image, self.work).to(self.device))
        self.tokens = reference_tokens(self.reference_latents)

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (N,C,h,w) of pictures (N,3,H,W) in [0,1]."""
        return self.vae.encode(pictures * 2 - 1).latent_dist.mode()

    def noise(self, frames: int, generator: torch.Generator | None) -> Tensor:
        """Unit noise (1,F,C,h,w), the same in every frame and every segment of the shot."""
        if not hasattr(self, "_noise"):
            shape = (1, 1, *self.reference_latents.shape[1:])
            self._noise = shared_noise(shape, generator, self.device, self.reference_latents.dtype)
        return self._noise.expand(-1, frames, -1, -1, -1).clone()

    def moved(self, pose: Pose, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The warp (F,3,H,W) and its validity (F,1,H,W); without pose guidance the picture itself."""
        if self.guidance.pose == 0:
            image = to_tensor(self.image, size).to(self.device).expand(len(pose), -1, -1, -1)
            return image, torch.ones_like(image[:, :1])
        moved = warp.warp(self.layers, warp.Points.of(pose, self.device), size)
        return moved.image[0], moved.validity[0]

    def conditions(self, start: int, stop: int) -> Conditions:
        """The conditions of frames start..stop."""
        part = self.motion[start:stop]
        warped, validity = self.moved(part.pose, self.work)
        base = self.encode(warped)[None]
        branches = self._branches(part, base, validity)
        used = tuple(branch for branch in branches if bool(branch.share.any()))
        return Conditions(used, base, warped, validity, start)

    def _branches(self, part: Motion, base: Tensor, validity: Tensor) -> list[Branch]:
        """eps_0, eps_a and eps_ap of the guidance; the first two start from the still reference."""
        height, width = (side * self.source.config.control_scale for side in self.work)
        drawn = torch.from_numpy(skeleton.draw(part.pose, (height, width), "preview")).to(
            self.device
        )
        gain = torch.from_numpy(part.control_strength).to(self.device, torch.float32)
        audio = torch.from_numpy(part.audio_tokens).to(self.device)
        still = self.reference_latents[None].expand_as(base)
        ones = torch.ones_like(gain)
        pose = ones if self.guidance.plain else self.guidance.pose * gain
        scale = gain if self.guidance.plain else ones
        sure = (validity * scale.view(-1, 1, 1, 1) ** self.source.config.gated_validity).clamp(
            max=1
        )
        null = Branch(
            share=(1 - self.guidance.audio) * ones,
            image_latents=still,
            tokens=self.tokens,
            control=None,
            extra=None,
            scale=ones.view(-1, 1, 1, 1),
            offset=None if self.guidance.pose == 0 else self.vae.residual_of(still, base),
        )
        full = Branch(
            share=pose,
            image_latents=base,
            tokens=self.tokens,
            control=drawn.permute(0, 3, 1, 2).float() / 255,
            extra=validity_cells(sure),
            scale=scale.view(-1, 1, 1, 1),
            audio=audio,
        )
        return [null, replace(null, share=self.guidance.audio - pose, audio=audio), full]

    def repaired(self, latents: Tensor, given: Conditions) -> Tensor:
        """Pictures (F,3,h,w) in [0,1]: the warp plus the gated repair of denoised latents (1,F,C,h,w)."""
        clean = self.vae.add_residual(given.base[0], latents[0])
        generated = self.vae.decode(clean, num_frames=len(given)).sample / 2 + 0.5
        face = warp.Points.of(
            self.motion.pose[given.first : given.first + len(given)], self.device
        ).face[0]
        return blend(given.warped, generated, given.validity, face, self.vae.config.keep).clamp(
            0, 1
        )

    def frames(self, latents: Tensor, given: Conditions, skip: int = 0, chunk: int = 4) -> Tensor:
        """Frames (F-skip,3,H,W) in [0,1] at output size, full-resolution detail of the warp given back."""
        low = self.repaired(latents, given)
        done = []
        for start in range(skip, len(given), chunk):
            rows = slice(start, start + chunk)
            pose = self.motion.pose[
                given.first + start : given.first + min(start + chunk, len(given))
            ]
            high, _ = self.moved(pose, self.size)
            done.append(detail_transfer(low[rows], given.warped[rows], high))
        return torch.cat(done)

    def preview(self, latents: Tensor, given: Conditions) -> Tensor:
        """One picture (1,3,H,W): the middle frame of an estimate still in work, plainly enlarged."""
        middle = len(given) // 2
        low = self.repaired(latents, given)[middle : middle + 1]
        return F.interpolate(low, self.size, mode="bilinear", align_corners=False)
