"""The image condition of SVD's published weights: the still reference image, in every frame.

With the published weights every window of the denoiser begins with one more row, the lead. It shows
the reference's own pose, as in training. Its frame is dropped, so that sound and picture agree.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from pipeline.models.haar import HaarLatent
from pipeline.models.windows import plan_windows, triangular_weights
from pipeline.motion import skeleton
from pipeline.motion.face_mesh import carry
from pipeline.render.svd.clip_token import reference_tokens_of
from pipeline.render.svd.conditions import Branch, DecoupledGuidance, SegmentConditions
from pipeline.render.tensors import to_tensor
from pipeline.values import InputError, Motion, Pose

log = logging.getLogger(__name__)


class StillReference(ModelMixin, ConfigMixin):
    """Condition the denoiser on the still reference image: ControlNeXt-SVD (arXiv 2408.06070).

    fps, motion_bucket_id and noise_aug_strength are SVD's micro-conditions. The defaults are the
    constants of the published inference code; its training had 127 where the code has 128. Guidance
    rises from min_guidance at the first row of a window to max_guidance at its last; 1 = no second
    evaluation.
    decode_chunk frames are decoded together and blended with their neighbors over decode_overlap
    frames.

    style: of the skeleton pictures that the weights were trained on; see `motion.skeleton`.
    "aniportrait" draws the motion's face mesh.
    lead: rows before the frames of a window; 1 for the published weights, 0 for weights that were
    trained without such a row. cell: pixels per latent on each side.
    `audio_guidance` and `pose_guidance` are those of `DecoupledGuidance`, for weights with an
    interaction.
    """

    @register_to_config
    def __init__(
        self,
        style: str = "controlnext",
        fps: float = 7,
        motion_bucket_id: float = 128,
        noise_aug_strength: float = 0.02,
        min_guidance: float = 3.0,
        max_guidance: float = 3.0,
        control_strength: float = 1.0,
        decode_chunk: int = 4,
        decode_overlap: int = 1,
        lead: int = 1,
        cell: int = 8,
        audio_guidance: float = 1.0,
        pose_guidance: float = 1.0,
    ) -> None:
        super().__init__()
        self.guidance = DecoupledGuidance(audio_guidance, pose_guidance)
        if not (0 <= min_guidance <= 20 and 0 <= max_guidance <= 20):
            raise InputError(
                f"guidance is {min_guidance} to {max_guidance}; give numbers from 0 to 20"
            )
        if not (0 <= noise_aug_strength <= 1 and 0 <= control_strength <= 5):
            raise InputError(
                f"noise_aug_strength is {noise_aug_strength}, control_strength {control_strength}; "
                "give 0 to 1 and 0 to 5"
            )
        if not (decode_chunk >= 1 and decode_overlap >= 0):
            raise InputError(
                f"decode_chunk is {decode_chunk}, decode_overlap {decode_overlap}; give 1 and 0 up"
            )
        if lead not in (0, 1):
            raise InputError(f"lead is {lead}; give 0 or 1")
        # gives the component a device and a file to save
        self.register_buffer("anchor", torch.zeros(1))

    @property
    def lead(self) -> int:
        """Rows that every window begins with and that are no frames."""
        return self.config.lead

    @property
    def needs_null_inputs(self) -> bool:
        """Whether the denoiser is evaluated without pose or sound, which not all weights know.

        The unconditional half of the classifier-free guidance needs no training.
        """
        return not self.guidance.plain

    @property
    def evaluations(self) -> int:
        """How often the denoiser runs per window and step: once where all guidance is 1."""
        is_unguided = self.config.min_guidance == self.config.max_guidance == 1
        unconditional = 0 if is_unguided else 1
        return self.guidance.evaluations + unconditional

    @property
    def decode_chunk(self) -> int:
        """How many frames the codec decodes together."""
        return self.config.decode_chunk

    @property
    def decodings(self) -> float:
        """How often a frame is decoded on average: frames that two chunks share, twice."""
        chunk = self.decode_chunk
        overlap = min(self.config.decode_overlap, chunk - 1)
        return chunk / (chunk - overlap)

    def latent_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (h, w) of the latents for an output of (H, W)."""
        height, width = size
        cell = self.config.cell
        return height // cell, width // cell

    def open(
        self,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: AutoencoderKLTemporalDecoder | HaarLatent,
        reference_tokens: nn.Module,
        generator: torch.Generator | None = None,
    ) -> StillClip:
        """Open the work on a picture (H,W,3) uint8 and a motion, for output frames of `size`
        (H,W)."""
        picture = to_tensor(image, size).to(self.device) * 2 - 1
        return StillClip(self, picture, motion, vae, reference_tokens, generator)


class StillClip:
    """One reference image (1,3,H,W) in [-1,1] and motion in work."""

    def __init__(
        self,
        source: StillReference,
        picture: Tensor,
        motion: Motion,
        vae: AutoencoderKLTemporalDecoder | HaarLatent,
        reference_tokens: nn.Module,
        generator: torch.Generator | None,
    ) -> None:
        height, width = picture.shape[-2:]
        self.size = (height, width)
        self.config = source.config
        self.guidance = source.guidance
        self.lead = source.lead
        self.device = source.device
        self.motion = motion
        self.vae = vae
        self.chunk = source.decode_chunk
        grain = randn_tensor(picture.shape, generator=generator, device=self.device)
        noisy = picture + self.config.noise_aug_strength * grain
        encoder_dtype = dtype_of_part(vae, "encoder")
        self.latents = vae.encode(noisy.to(encoder_dtype)).latent_dist.mode().float()
        self.tokens = reference_tokens_of(picture, self.latents, reference_tokens)

    def noise(self, rows: int, generator: torch.Generator | None) -> Tensor:
        """Draw unit noise (1,F,C,h,w), different in every frame, as in SVD's training."""
        shape = (1, rows, *self.latents.shape[1:])
        return randn_tensor(shape, generator=generator, device=self.device)

    def conditions(self, start: int, stop: int) -> SegmentConditions:
        """Return the conditions of the lead and of frames start..stop."""
        part = self.motion[start:stop]
        drawn = self._draw(part.pose, part.mesh)
        if self.lead:
            reference = self._draw(self.motion.reference, self._reference_mesh())
            drawn = np.concatenate([reference, drawn])
        pictures = torch.from_numpy(drawn).to(self.device).permute(0, 3, 1, 2)
        lead_strength = np.ones(self.lead)
        strength = np.concatenate([lead_strength, part.control_strength])
        strength = strength * self.config.control_strength
        audio = self._audio(part.audio_tokens)
        return self.conditions_of(pictures, torch.from_numpy(strength), start, audio)

    def _audio(self, tokens: np.ndarray) -> Tensor | None:
        """Return the speech tokens of the lead and of the frames, None where there are none."""
        if tokens.size == 0:
            return None
        first_rows = np.repeat(tokens[:1], self.lead, axis=0)
        rows = np.concatenate([first_rows, tokens])
        return torch.from_numpy(rows).to(self.device)

    def _draw(self, pose: Pose, mesh: np.ndarray | None) -> np.ndarray:
        return skeleton.draw(pose, self.size, self.config.style, mesh)

    def _reference_mesh(self) -> np.ndarray | None:
        """Carry the first frame's face mesh (1,468,2) to where the reference has its face."""
        motion = self.motion
        if motion.mesh is None:
            return None
        return carry(motion.mesh[:1], motion.pose.face[:1], motion.reference.face)

    def conditions_of(
        self, pictures: Tensor, strength: Tensor, first: int, audio: Tensor | None = None
    ) -> SegmentConditions:
        """Return the conditions of control pictures (F,3,H,W) uint8, the lead's first, with
        strengths (F,) and speech tokens (F,n,d)."""
        config = self.config
        rows = len(pictures)
        reference_share = config.min_guidance
        rise = config.max_guidance - config.min_guidance
        still = self.latents[:, None].expand(-1, rows, -1, -1, -1)
        ones = torch.ones(rows, device=self.device)
        strength = strength.to(self.device, torch.float32)
        scale = self.guidance.control_scale(strength)
        unconditional = Branch(
            share=ones * (1 - reference_share),
            image_latents=torch.zeros_like(still),
            tokens=torch.zeros_like(self.tokens),
            control=None,
            extra=None,
            scale=scale,
            rise=-rise,
        )
        without_both = replace(unconditional, image_latents=still, tokens=self.tokens, rise=0.0)
        sound_only = replace(without_both, audio=audio)
        with_both = replace(sound_only, control=pictures)
        shares = self.guidance.shares(strength)
        conditional = []
        for branch, share in zip((without_both, sound_only, with_both), shares, strict=True):
            if bool(share.any()):
                conditional.append(replace(branch, share=reference_share * share))
        conditional[-1] = replace(conditional[-1], rise=rise)
        return SegmentConditions(
            branches=(unconditional, *conditional),
            rows=rows,
            first=first,
            lead=self.lead,
            time_ids=(
                config.fps - 1.0,
                float(config.motion_bucket_id),
                config.noise_aug_strength,
            ),
        )

    def frames(self, latents: Tensor, conditions: SegmentConditions, skip: int = 0) -> Tensor:
        """Decode latents (1,F,C,h,w) to frames (F-lead-skip,3,H,W) in [0,1], on the CPU.

        Where memory runs out, chunks are half as long from there on. What was denoised, minutes of
        work, is not lost for it.
        """
        rows = latents[0, conditions.lead :]
        while True:
            try:
                return self._decode_in_chunks(rows, skip)
            except torch.OutOfMemoryError:
                if self.chunk == 1:
                    raise
            self.chunk //= 2
            log.warning("out of memory: frames are decoded %d at a time from here on", self.chunk)
            torch.cuda.empty_cache()

    def _decode_in_chunks(self, rows: Tensor, skip: int) -> Tensor:
        """Decode all rows but the first `skip`, and blend chunks with triangular weights.

        The decoder mixes neighboring frames, so chunks side by side would show seams. Some of the
        skipped rows serve as neighbors.
        """
        overlap = min(self.config.decode_overlap, self.chunk - 1)
        dropped = max(0, skip - overlap)
        rows = rows[dropped:]
        total = torch.zeros(len(rows), 3, *self.size)
        weight = torch.zeros(len(rows), 1, 1, 1)
        for start, stop in plan_windows(len(rows), self.chunk, overlap):
            share = torch.from_numpy(triangular_weights(stop - start)).float()
            share = share.view(-1, 1, 1, 1)
            pictures = self.decode(rows[start:stop]).cpu()
            total[start:stop] += pictures * share
            weight[start:stop] += share
        frames = total / weight
        return frames[skip - dropped :]

    def decode(self, latents: Tensor) -> Tensor:
        """Decode neighboring frames' latents (F,C,h,w) together, to pictures (F,3,H,W) in [0,1]."""
        decoder_dtype = dtype_of_part(self.vae, "decoder")
        scaled = (latents / self.vae.config.scaling_factor).to(decoder_dtype)
        decoded = self.vae.decode(scaled, num_frames=len(latents)).sample
        pictures = decoded.float() / 2 + 0.5
        return pictures.clamp(0, 1)

    def preview(self, latents: Tensor, conditions: SegmentConditions) -> Tensor | None:
        """Return one picture (1,3,H,W): the middle frame decoded at half size.

        None where the codec is offloaded: to fetch it for every step would cost more than it shows.
        """
        if hasattr(self.vae, "_hf_hook"):
            return None
        middle = latents[0, len(conditions) // 2][None]
        small = F.interpolate(middle, scale_factor=0.5, mode="area")
        picture = self.decode(small)
        return F.interpolate(picture, self.size, mode="bilinear", align_corners=False)


def dtype_of_part(vae: nn.Module, name: str) -> torch.dtype:
    """Return the precision of a codec's "encoder" or "decoder"; that of a codec without parts."""
    part = getattr(vae, name, vae)
    return next(itertools.chain(part.parameters(), part.buffers())).dtype
