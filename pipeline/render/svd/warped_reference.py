"""The image condition of the embedded model: the reference image warped to every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from pipeline.models.denoiser import CELL, ReferenceTokens, shared_noise
from pipeline.models.haar import HaarLatent
from pipeline.models.repair import blend, validity_cells
from pipeline.motion import partial_arms, skeleton
from pipeline.render import warp
from pipeline.render.draft import arm_stability, layers
from pipeline.render.svd.conditions import (
    Branch,
    DecoupledGuidance,
    SegmentConditions,
    SegmentWarp,
)
from pipeline.render.tensors import to_tensor
from pipeline.render.warp.detail import add_repair
from pipeline.values import Motion, Pose


class WarpedReference(ModelMixin, ConfigMixin):
    """Condition the denoiser on the layered warp of the reference image.

    The warp for the denoiser has a short side of `short_side` pixels. The denoiser predicts the
    whitened residual to it. The user's frames get the warp's detail back at full size. The noise is
    the same in all frames. `gated_validity` is the share of the control's strength that also acts
    on the warp's validity:
    1 for weights that were trained with the gate. `audio_guidance` and `pose_guidance` are those of
    `DecoupledGuidance`.
    """

    lead = 0
    decodings = 1.0
    decode_chunk = None

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
        self.guidance = DecoupledGuidance(audio_guidance, pose_guidance)
        # gives the component a device and a file to save
        self.register_buffer("anchor", torch.zeros(1))

    @property
    def needs_null_inputs(self) -> bool:
        """Whether the denoiser is evaluated without pose or sound, which not all weights know."""
        return not self.guidance.plain

    @property
    def evaluations(self) -> int:
        """How often the denoiser runs per window and step."""
        return self.guidance.evaluations

    def work_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (h, w) in pixels at which the denoiser works for an output of (H, W)."""
        factor = self.config.short_side / min(size)
        multiple = self.config.multiple
        height, width = (round(side * factor / multiple) * multiple for side in size)
        return max(multiple, height), max(multiple, width)

    def latent_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (h, w) of the latents for an output of (H, W)."""
        height, width = self.work_size(size)
        return height // CELL, width // CELL

    def open(
        self,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: HaarLatent,
        reference_tokens: ReferenceTokens,
        generator: torch.Generator | None = None,
    ) -> WarpedClip:
        """Open the work on a picture (H,W,3) uint8 and a motion, for output frames of `size`
        (H,W)."""
        return WarpedClip(self, image, motion, size, vae, reference_tokens)


class WarpedClip:
    """One reference image and motion in work: layers are built once, frames when they are asked
    for."""

    def __init__(
        self,
        source: WarpedReference,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: HaarLatent,
        reference_tokens: ReferenceTokens,
    ) -> None:
        self.guidance = source.guidance
        if self.guidance.pose_free:
            # keep the reference pose; only the sound may move the person
            still = np.zeros(len(motion), int)
            motion = replace(motion, pose=motion.reference[still])
        self.source = source
        self.image = image
        self.size = size
        self.vae = vae
        self.device = source.device
        self.work_size = source.work_size(size)
        self.layers = layers(image, motion, size, self.device)
        # for the warp and the control pictures alike
        self.motion = partial_arms.rested(motion, arm_stability(self.layers))
        self.picture = to_tensor(image, self.work_size).to(self.device)
        self.reference_latents = self.encode(self.picture)
        self.tokens = reference_tokens(self.reference_latents)
        self._noise: Tensor | None = None
        self._points = warp.Points.timed(self.motion.pose, self.device)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return latents (N,C,h,w) of pictures (N,3,H,W) in [0,1]."""
        return self.vae.encode(pictures * 2 - 1).latent_dist.mode()

    def noise(self, rows: int, generator: torch.Generator | None) -> Tensor:
        """Return unit noise (1,F,C,h,w), the same in every frame and every segment of the clip."""
        if self._noise is None:
            shape = (1, 1, *self.reference_latents.shape[1:])
            dtype = self.reference_latents.dtype
            self._noise = shared_noise(shape, generator, self.device, dtype)
        return self._noise.expand(-1, rows, -1, -1, -1).clone()

    def warped(
        self, start: int, stop: int, size: tuple[int, int]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield, some of the frames start..stop at a time, the warp (f,3,H,W), its validity and
        where it is the unmoved photo (f,1,H,W).

        Pose-free it is the picture itself, in which all may move.
        """
        if self.guidance.pose_free:
            image = to_tensor(self.image, size).to(self.device)
            for _ in range(start, stop):
                yield image, torch.ones_like(image[:, :1]), torch.zeros_like(image[:, :1])
            return
        frames = slice(start, stop)
        for part in warp.stream(self.layers, self._points, size, frames):
            yield part.image[0], part.validity[0], part.still[0]

    def conditions(self, start: int, stop: int) -> SegmentConditions:
        """Return the conditions of frames start..stop."""
        motion = self.motion[start:stop]
        parts = zip(*self.warped(start, stop, self.work_size), strict=True)
        image, validity, still = (torch.cat(part) for part in parts)
        segment = SegmentWarp(image, validity, self.encode(image)[None], still)
        branches = self._branches(motion, segment)
        used = tuple(branch for branch in branches if bool(branch.share.any()))
        return SegmentConditions(used, rows=len(motion), first=start, warp=segment)

    def _branches(self, motion: Motion, segment: SegmentWarp) -> list[Branch]:
        """Return the branches eps_0, eps_a and eps_ap of the guidance, in this order.

        eps_0 and eps_a have no pose and start from the still reference. eps_ap starts from the
        warp.
        """
        guidance = self.guidance
        control_strength = torch.from_numpy(motion.control_strength)
        control_strength = control_strength.to(self.device, torch.float32)
        no_share, sound_share, pose_share = guidance.shares(control_strength)
        scale = guidance.control_scale(control_strength)
        gate = scale**self.source.config.gated_validity
        gated_validity = (segment.validity * gate).clamp(max=1)
        audio = torch.from_numpy(motion.audio_tokens).to(self.device)
        still = self.reference_latents[None].expand_as(segment.base)
        offset = None if guidance.pose_free else self.vae.residual_of(still, segment.base)
        without_both = Branch(
            share=no_share,
            image_latents=still,
            tokens=self.tokens,
            control=None,
            extra=None,
            scale=torch.ones_like(scale),
            offset=offset,
        )
        sound_only = replace(without_both, share=sound_share, audio=audio)
        with_both = Branch(
            share=pose_share,
            image_latents=segment.base,
            tokens=self.tokens,
            control=self._control_pictures(motion.pose),
            extra=validity_cells(gated_validity),
            scale=scale,
            audio=audio,
        )
        return [without_both, sound_only, with_both]

    def _control_pictures(self, pose: Pose) -> Tensor:
        """Draw the skeletons (F,3,H,W) in [0,1]."""
        height, width = self.work_size
        factor = self.source.config.control_scale
        drawn = skeleton.draw(pose, (height * factor, width * factor), "preview")
        pictures = torch.from_numpy(drawn).to(self.device)
        return pictures.permute(0, 3, 1, 2).float() / 255

    def repaired(self, latents: Tensor, conditions: SegmentConditions) -> Tensor:
        """Add the gated repair of denoised latents (1,F,C,h,w) to the warp: (F,3,h,w) in [0,1].

        What the warp has not moved stays the photo.
        """
        segment = _warp_of(conditions)
        clean = self.vae.add_residual(segment.base[0], latents[0])
        decoded = self.vae.decode(clean, num_frames=len(conditions)).sample
        generated = decoded / 2 + 0.5
        shown = slice(conditions.first, conditions.first + len(conditions))
        face = self._points[shown].face[0]
        keep = self.vae.config.keep
        reference = None if self.guidance.pose_free else self.picture
        pictures = blend(segment.image, generated, segment.validity, face, keep, reference)
        return keep_still(pictures.clamp(0, 1), segment.image, segment.still)

    def frames(self, latents: Tensor, conditions: SegmentConditions, skip: int = 0) -> Tensor:
        """Return frames (F-skip,3,H,W) in [0,1] at output size, with the warp's detail at full
        size."""
        repaired = self.repaired(latents, conditions)
        low = _warp_of(conditions).image
        frames = []
        first = conditions.first + skip
        last = conditions.first + len(conditions)
        start = skip
        for full_size, _, still in self.warped(first, last, self.size):
            stop = start + len(full_size)
            detailed = add_repair(repaired[start:stop], low[start:stop], full_size)
            frames.append(keep_still(detailed, full_size, still))
            start = stop
        return torch.cat(frames)

    def preview(self, latents: Tensor, conditions: SegmentConditions) -> Tensor:
        """Return one picture (1,3,H,W): the middle frame of an estimate, plainly enlarged."""
        middle = len(conditions) // 2
        picture = self.repaired(latents, conditions)[middle : middle + 1]
        return F.interpolate(picture, self.size, mode="bilinear", align_corners=False)


def keep_still(pictures: Tensor, warped: Tensor, still: Tensor | None) -> Tensor:
    """Put the warp (N,3,H,W) where it is the unmoved photo (N,1,H,W) over repaired pictures."""
    return pictures if still is None else torch.lerp(pictures, warped, still)


def _warp_of(conditions: SegmentConditions) -> SegmentWarp:
    if conditions.warp is None:
        raise ValueError("these conditions are not those of a warped reference")
    return conditions.warp
