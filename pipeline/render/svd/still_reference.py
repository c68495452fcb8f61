"""Where SVD's published weights take their image latents from: the still reference image, in every frame.

The counterpart of `conditioning.WarpedReference`. Every window of the denoiser begins with one more row, the
lead: it shows the reference's own pose, as in training, and is dropped, so that sound and picture agree.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from pipeline.models import windows
from pipeline.motion import skeleton
from pipeline.render.svd.conditions import Branch
from pipeline.render.tensors import to_tensor
from pipeline.values import InputError, Motion, Pose

log = logging.getLogger(__name__)

CELL = 8  # pixels of a side per latent
# Below it a wide open mouth is smaller than the control's cell of 16 pixels: at 576x1024 the face of a whole
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class StillConditions:
    """What the denoising of F rows, the lead first, needs; first is the number of the frame behind it."""

    branches: tuple[Branch, ...]
    rows: int
    first: int
    lead: int
    time_ids: tuple[float, float, float]

    def __len__(self) -> int:
        return self.rows


class StillReference(ModelMixin, ConfigMixin):
    """The still reference image conditions the denoiser: ControlNeXt-SVD as published (arXiv 2408.06070).

    fps, motion_bucket_id and noise_aug_strength are SVD's micro-conditions; the defaults are the constants
    that the published inference code always uses, 128 where its training had 127. Guidance rises from
    min_guidance at the first row of a window to max_guidance at its last; 1 = no second evaluation.
    decode_chunk frames are decoded together and blended with their neighbours over decode_overlap frames.
    """

    lead = 1
    nulls = False  # of the interaction's kind; its own unconditional half needs no training

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
    ) -> None:
        super().__init__()
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
        self.register_buffer(
            "anchor", torch.zeros(1)
        )  # gives the component a device and a saved file

    @property
    def evaluations(self) -> int:
        """How often the denoiser runs per window and step: once where guidance is 1."""
        return 1 if self.config.min_guidance == self.config.max_guidance == 1 else 2

    @property
    def decodings(self) -> float:
        """How often a frame is decoded on average: those that two chunks share, twice."""
        chunk = self.config.decode_chunk
        return chunk / (chunk - min(self.config.decode_overlap, chunk - 1))

    def latent_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the latents for an output of (H, W)."""
        return tuple(side // CELL for side in size)

    def shot(
        self,
        image: np.ndarray,
        motion: Motion,
        size: tuple[int, int],
        vae: AutoencoderKLTemporalDecoder,
        reference_tokens: nn.Module,
        generator: torch.Generator | None = None,
    ) -> StillShot:
        """Opens the work on one picture (H,W,3) uint8 and motion, for output frames of `size` (H,W)."""
        picture = to_tensor(image, size).to(self.device) * 2 - 1
        return StillShot(self, picture, motion, vae, reference_tokens, generator)


class StillShot:
    """One reference image (1,3,H,W) in [-1,1] and motion in work."""

    def __init__(
        self,
        source: StillReference,
        picture: Tensor,
        motion: Motion,
        vae: AutoencoderKLTemporalDecoder,
        reference_tokens: nn.Module,
        generator: torch.Generator | None,
    ) -> None:
        self.source, self.motion, self.vae = source, motion, vae
        self.config, self.device, self.size = (
            source.config,
            source.device,
            tuple(picture.shape[-2:]),
        )
        self.chunk = self.config.decode_chunk
        self.tokens = image_token(picture, reference_tokens)
        grain = randn_tensor(picture.shape, generator=generator, device=self.device)
        seen = picture + self.config.noise_aug_strength * grain
        coder = next(vae.encoder.parameters()).dtype
        self.latents = vae.encode(seen.to(coder)).latent_dist.mode().float()

    def noise(self, rows: int, generator: torch.Generator | None) -> Tensor:
        """Unit noise (1,F,C,h,w), another in every frame, as SVD was trained."""
        return randn_tensor(
            (1, rows, *self.latents.shape[1:]), generator=generator, device=self.device
        )

    def conditions(self, start: int, stop: int) -> StillConditions:
        """The conditions of the lead and of frames start..stop."""
        part = self.motion[start:stop]
        drawn = np.concatenate([self._drawn(self.motion.reference), self._drawn(part.pose)])
        scale = (
            np.concatenate([np.ones(self.source.lead), part.control_strength])
            * self.config.control_strength
        )
        pictures = torch.from_numpy(drawn).to(self.device).permute(0, 3, 1, 2)
        return self.given(pictures, torch.from_numpy(scale), start)

    def _drawn(self, pose: Pose) -> np.ndarray:
        return skeleton.draw(pose, self.size, self.config.style)

    def given(self, pictures: Tensor, scale: Tensor, first: int) -> StillConditions:
        """Conditions of control pictures (F,3,H,W) uint8, the lead's first, with strengths (F,)."""
        rows, config = len(pictures), self.config
        low, rise = config.min_guidance, config.max_guidance - config.min_guidance
        still = self.latents[:, None].expand(-1, rows, -1, -1, -1)
        whole = torch.ones(rows, device=self.device)
        strength = scale.to(self.device, torch.float32).view(-1, 1, 1, 1)
        without = Branch(
            whole * (1 - low), torch.zeros_like(still), torch.zeros_like(self.tokens), None, None, strength,
            rise=-rise,
        )  # fmt: skip
        given = Branch(whole * low, still, self.tokens, pictures, None, strength, rise=rise)
        ids = (config.fps - 1.0, float(config.motion_bucket_id), config.noise_aug_strength)
        return StillConditions((without, given), rows, first, self.source.lead, ids)

    def frames(self, latents: Tensor, given: StillConditions, skip: int = 0) -> Tensor:
        """Frames (F-lead-skip,3,H,W) in [0,1] of denoised latents (1,F,C,h,w), on the CPU.

        Chunks are blended with triangular weights where they overlap: the decoder mixes neighbouring frames,
        so that chunks side by side would show seams. Skipped rows serve as neighbours. Where memory runs out,
        chunks are half as long from there on: what was denoised, minutes of work, is not lost for it.
        """
        while True:
            try:
                return self._decoded(latents[0, given.lead :], skip)
            except torch.OutOfMemoryError:
                if self.chunk == 1:
                    raise
            self.chunk //= 2
            log.warning("out of memory: frames are decoded %d at a time from here on", self.chunk)
            torch.cuda.empty_cache()

    def _decoded(self, rows: Tensor, skip: int) -> Tensor:
        chunk, overlap = self.chunk, min(self.config.decode_overlap, self.chunk - 1)
        kept = max(0, skip - overlap)
        rows = rows[kept:]
        total = torch.zeros(len(rows), 3, *self.size)
        weight = torch.zeros(len(rows), 1, 1, 1)
        for start, stop in windows.plan(len(rows), chunk, overlap):
            share = torch.from_numpy(windows.weights(stop - start)).float().view(-1, 1, 1, 1)
            total[start:stop] += self.decode(rows[start:stop]).cpu() * share
            weight[start:stop] += share
        return (total / weight)[skip - kept :]

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (F,3,H,W) in [0,1] of neighbouring frames' latents (F,C,h,w)."""
        decoder = next(self.vae.decoder.parameters()).dtype
        scaled = (latents / self.vae.config.scaling_factor).to(decoder)
        return (self.vae.decode(scaled, num_frames=len(latents)).sample.float() / 2 + 0.5).clamp(
            0, 1
        )

    def preview(self, latents: Tensor, given: StillConditions) -> Tensor | None:
        """One picture (1,3,H,W), the middle frame decoded at half size; None where the codec is offloaded."""
        if hasattr(
            self.vae, "_hf_hook"
        ):  # to fetch it for every step would cost more than it shows
            return None
        small = F.interpolate(latents[0, len(given) // 2][None], scale_factor=0.5, mode="area")
        return F.interpolate(self.decode(small), self.size, mode="bilinear", align_corners=False)


def image_token(picture: Tensor, encoder: nn.Module) -> Tensor:
    """The CLIP token (1,1,D) of a picture (1,3,H,W) in [-1,1], shrunk to a square with antialiasing."""
    from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as svd

    side = encoder.config.image_size
    small = svd._resize_with_antialiasing(picture.float(), (side, side)) / 2 + 0.5
    mean, std = (
        torch.tensor(v, device=small.device).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD)
    )
    return encoder(((small - mean) / std).to(encoder.dtype)).image_embeds[:, None].float()
