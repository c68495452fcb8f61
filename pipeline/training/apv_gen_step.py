"""One step of APV-Gen's training: the conditions of a batch, the denoiser's estimate, the losses.

The step follows the published trainer: one noise level per clip, noise of its own in every row, the
reference's tokens and image latents dropped for a share of the clips, the control never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from pipeline.training.apv_gen_losses import (
    ALPHA,
    BETA,
    body_loss,
    face_loss,
    hand_weight,
    reference_loss,
)
from pipeline.training.apv_gen_networks import DenoiserInputs, Networks
from pipeline.training.clip_batches import ClipBatch
from pipeline.training.noise_levels import NoiseLaw, draw_levels


@dataclass(frozen=True)
class StepOptions:
    """What is the same in all steps of a run.

    law: of the noise levels.
    dropout: p of the published trainer: tokens are dropped for r < 2 p, image latents for
        p <= r < 3 p, with r uniform in [0, 1) for every clip.
    alpha, beta: weights of L_body and L_refer in eq. 21.
    hand_gain: of the weight of hands, 0 = none.
    """

    law: NoiseLaw
    dropout: float = 0.1
    alpha: float = ALPHA
    beta: float = BETA
    hand_gain: float = 0.0


@dataclass(frozen=True)
class Conditions:
    """What the denoiser gets beside the noisy latents, for B clips of R rows.

    image_latents: (B,R,C,h,w). picture: (B,3,H,W) in [-1,1]. reference_latents: (B,C,h,w).
    token_mask: (B,1,1). control: (B,R,3,H,W) in [0,1]. scale: (B R,1,1,1).
    audio: (B R,n,d) and audio_mask: (B R,), or None where nothing listens. pose_mask: (B R,), 0 for
    the null pose, or None where every row has a pose.
    """

    image_latents: Tensor
    picture: Tensor
    reference_latents: Tensor
    token_mask: Tensor
    control: Tensor
    scale: Tensor
    audio: Tensor | None = None
    audio_mask: Tensor | None = None
    pose_mask: Tensor | None = None


# Makes the conditions of a batch: networks, batch, options, generator.
ConditionMaker = Callable[[Networks, ClipBatch, StepOptions, torch.Generator], Conditions]


@dataclass(frozen=True)
class StepLosses:
    """The losses of a batch: what is minimized, and its terms by name, unweighted."""

    total: Tensor
    terms: dict[str, Tensor]


def make_conditions(
    networks: Networks, batch: ClipBatch, options: StepOptions, generator: torch.Generator
) -> Conditions:
    """Condition the denoiser on the still reference, as `StillReference` does at inference.

    The reference's latents stand in every row, unscaled and slightly noised. A method that listens
    to the sound puts its own function in this place.
    """
    rows = batch.pictures.shape[1]
    picture = to_unit(batch.reference)
    grain = randn_tensor(picture.shape, generator=generator, device=picture.device)
    noisy = picture + networks.condition.config.noise_aug_strength * grain
    latents = networks.encode(noisy, generator)
    tokens_kept, image_kept = draw_dropout(len(batch), options.dropout, generator)
    image_mask = image_kept.to(latents.device).view(-1, 1, 1, 1)
    still = (latents * image_mask).unsqueeze(1)
    token_mask = tokens_kept.to(latents.device)
    control = batch.control.float() / 255
    scale = torch.ones(len(batch) * rows, 1, 1, 1, device=latents.device)
    return Conditions(
        image_latents=still.expand(-1, rows, -1, -1, -1),
        picture=picture,
        reference_latents=latents,
        token_mask=token_mask.view(-1, 1, 1),
        control=control,
        scale=scale,
    )


def draw_dropout(count: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw which of `count` clips keep their tokens and their image latents: two of (B,), 0 or 1.

    One r for both, as in the published trainer: a third of the clips that lose either lose both.
    """
    chance = torch.rand(count, generator=generator)
    tokens_dropped = chance < 2 * share
    image_dropped = (chance >= share) & (chance < 3 * share)
    tokens_kept = ~tokens_dropped
    image_kept = ~image_dropped
    return tokens_kept.float(), image_kept.float()


def compute_losses(
    networks: Networks,
    model: nn.Module,
    batch: ClipBatch,
    options: StepOptions,
    generator: torch.Generator,
    condition: ConditionMaker = make_conditions,
) -> StepLosses:
    """Compute the losses of a batch of face clips, or of one of full-body clips.

    Args:
        networks: of the run.
        model: `networks.denoiser`, or what a process group made of it.
        batch: of one kind, on the networks' device.
        options: of the run.
        generator: draws noise levels, noise and what is dropped; on the CPU, so that every device
            draws the same.
        condition: makes the conditions.
    """
    # 1. the noisy latents of all rows
    conditions = condition(networks, batch, options, generator)
    pictures = to_unit(batch.pictures)
    latents = networks.encode(pictures.flatten(0, 1), generator)
    clean = latents.unflatten(0, pictures.shape[:2]) * networks.scaling_factor
    sigma = draw_levels(len(batch), options.law, generator)
    sigma = sigma.to(clean.device)
    noise = randn_tensor(clean.shape, generator=generator, device=clean.device)

    # 2. the estimate of the clean ones
    denoised = estimate_clean(networks, model, clean, noise, sigma, conditions)

    # 3. the losses of this kind of clips
    hands = _hands(batch, options.hand_gain, clean.shape[-2:])
    if batch.kind == "body":
        body = body_loss(denoised, clean, sigma, hands)
        return StepLosses(options.alpha * body, {"body": body.detach()})
    frames = batch.frames
    face = face_loss(denoised[:, :frames], clean[:, :frames], sigma, batch.inside, hands)
    if not batch.has_reference_row:
        return StepLosses(face, {"face": face.detach()})
    refer = reference_loss(denoised[:, frames:], clean[:, frames:], sigma)
    total = face + options.beta * refer
    return StepLosses(total, {"face": face.detach(), "refer": refer.detach()})


def estimate_clean(
    networks: Networks,
    model: nn.Module,
    clean: Tensor,
    noise: Tensor,
    sigma: Tensor,
    conditions: Conditions,
) -> Tensor:
    """Return the denoiser's D (B,R,C,h,w) for clean latents with noise of levels sigma (B,)."""
    level = sigma.view(-1, 1, 1, 1, 1)
    noisy = clean + level * noise
    config = networks.condition.config
    inputs = DenoiserInputs(
        sample=noisy / (level.square() + 1).sqrt(),
        times=0.25 * sigma.log(),
        image_latents=conditions.image_latents,
        picture=conditions.picture,
        reference_latents=conditions.reference_latents,
        token_mask=conditions.token_mask,
        control=conditions.control,
        scale=conditions.scale,
        time_ids=(
            config.fps - 1.0,
            float(config.motion_bucket_id),
            config.noise_aug_strength,
        ),
        audio=conditions.audio,
        audio_mask=conditions.audio_mask,
        pose_mask=conditions.pose_mask,
    )
    output = model(inputs).float()
    return PREDICTIONS[networks.prediction_type](output, noisy, level)


def _from_velocity(output: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
    """Return D = c_out F + c_skip x with c_out = -s / sqrt(s^2 + 1), c_skip = 1 / (s^2 + 1)."""
    variance = level.square() + 1
    return noisy / variance - output * level / variance.sqrt()


def _from_sample(output: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
    return output


# diffusers' names of what a UNet predicts -> D from its output, the noisy latents and the level
PREDICTIONS = {"v_prediction": _from_velocity, "sample": _from_sample}


def _hands(batch: ClipBatch, gain: float, grid: torch.Size) -> Tensor | None:
    """Return the weight of hands (B,F,1,h,w), or None where hands weigh as much as the rest."""
    if gain == 0:
        return None
    height, width = batch.pictures.shape[-2:]
    return hand_weight(batch.hands, (height, width), tuple(grid), gain)


def to_unit(pictures: Tensor) -> Tensor:
    """Return uint8 pictures in [-1, 1]."""
    return pictures.float() / 127.5 - 1
