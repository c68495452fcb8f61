"""What one training step asks of the denoiser: noise level, what it may know of pose and sound, and the loss.

[ApoAvatar: loudness gate, pose and audio dropout; EDM preconditioning]
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from diffusers import EulerDiscreteScheduler
from torch import Tensor

from pipeline.models.controlnext import Injection
from pipeline.models.denoiser import CELL, controlled, prepare_scheduler, run_unet, shared_noise
from pipeline.models.repair import face_maps, validity_cells
from pipeline.training import mini_model
from pipeline.training.data.batches import CONTROL_SCALE, Batch, crop, crop_corner
from pipeline.training.data.clips import PER_CLIP, Clips
from pipeline.training.losses import denoising_loss, region_weights, sharpness_loss

POSE_DROPOUT, AUDIO_DROPOUT = 0.15, 0.1  # whole clips; 0.3 of the poses where a GPU trains
GATED, FLOOR = (
    0.2,
    0.2,
)  # share of clips under the loudness gate, and w0: the strength left in silence
FREE_SCALE = 0.1  # share of clips with any constant strength
SAMPLER_STEPS = 4
TOP_SIGMA = 0.75  # share of clips at the sampler's first level; one step is what a CPU user runs
OWN_STATE = 0.5  # of the lower levels: states as the sampler reaches them instead of noised truth
LIPS_CROP = 0.7  # share of crops at the mouth where the lips are withheld; all of those of 8 cells
LIPS_WEIGHT = (
    2.0  # times as much as elsewhere the mouth weighs there, as only the sound tells how it is
)


@dataclass(frozen=True)
class Chosen:
    """What chance decided: levels (B,); posed, heard (B,) 0 or 1; scale (N,) of control and validity."""

    levels: Tensor
    posed: Tensor
    heard: Tensor
    scale: Tensor

    def to(self, device: torch.device) -> Chosen:
        return Chosen(*(getattr(self, f.name).to(device) for f in fields(self)))


def sampler_levels(scheduler: EulerDiscreteScheduler, steps: int = SAMPLER_STEPS) -> Tensor:
    """(steps,) noise levels that the sampler visits, the highest first."""
    return prepare_scheduler(scheduler, steps).sigmas[:-1].float()


def framed(clips: Clips, posed: Tensor, generator: torch.Generator) -> Clips:
    """One random frame of each clip, F = 1; a clip without pose gets another of its frames as reference.

    What the sound alone moves can be learnt from a picture of the same moment, not from one far away.
    """
    count, frames = clips.truth.shape[:2]
    number = torch.randint(frames, (count,), generator=generator)
    other = (number + torch.randint(1, max(frames, 2), (count,), generator=generator)) % frames
    rows = torch.arange(count)
    near = clips.truth[rows, other]
    reference = torch.where(posed.view(-1, 1, 1, 1) > 0, clips.reference, near)
    parts = {f.name: getattr(clips, f.name) for f in fields(Clips)}
    one = {k: v[rows, number][:, None] for k, v in parts.items() if k not in PER_CLIP}
    return replace(clips, reference=reference, **one)


def choose(
    batch: Batch, posed: Tensor, scheduler: EulerDiscreteScheduler, generator: torch.Generator
) -> Chosen:
    """Draws level, audio dropout and strengths for every clip of a batch; posed (B,) is given."""
    count, frames = batch.clips, len(batch.truth) // batch.clips
    top, *lower = sampler_levels(scheduler).tolist()
    low = torch.tensor(lower)[torch.randint(len(lower), (count,), generator=generator)]
    chance = torch.rand((4, count), generator=generator)
    levels = torch.where(chance[0] < TOP_SIGMA, torch.full_like(low, top), low)
    heard = (chance[1] >= AUDIO_DROPOUT).float()
    gate = FLOOR + (1 - FLOOR) * batch.loudness.cpu()
    free = (1.3 * chance[2]).repeat_interleave(frames, 0)
    kind = chance[3].repeat_interleave(frames, 0)
    scale = torch.where(
        kind < GATED, gate, torch.where(kind > 1 - FREE_SCALE, free, torch.ones_like(free))
    )
    return Chosen(levels, posed, heard, scale)


@dataclass(frozen=True)
class Task:
    """B clips of F frames as the denoiser meets them; frames lie flat (N = B F) but in base and clean.

    base, clean (B,F,C,h,w): the latents that the residual is added to, and the true residual.
    """

    base: Tensor
    clean: Tensor
    tokens: Tensor  # (B,S,D)
    control: Tensor  # (N,3,H,W)
    extra: Tensor  # (N,E,h,w)
    audio: Tensor  # (N,n,d)
    posed: Tensor  # (N,)
    heard: Tensor  # (N,)
    scale: Tensor  # (N,1,1,1)

    def __getitem__(self, clips: Tensor) -> Task:
        """Some of the clips."""
        count, frames = self.base.shape[:2]
        rows = (clips[:, None] * frames + torch.arange(frames, device=clips.device)).flatten()
        parts = {
            f.name: getattr(self, f.name)[clips if len(getattr(self, f.name)) == count else rows]
            for f in fields(self)
        }
        return Task(**parts)


def denoised(
    mini: mini_model.Mini, injection: Injection, task: Task, state: Tensor, levels: Tensor
) -> Tensor:
    """The clean residual (B,F,C,h,w) that the denoiser sees in noisy states at levels (B,)."""
    sigma, times = levels.view(-1, 1, 1, 1, 1), 0.25 * levels.log()
    control = task.control.unflatten(0, task.base.shape[:2])
    features = mini.controlnext(control, times, task.extra)
    if mini.interaction is not None:
        null = mini.interaction.null_control(len(features)).to(features.dtype)
        features = torch.where(task.posed.view(-1, 1, 1, 1) > 0, features, null)
    scaled = state / (sigma.square() + 1).sqrt()
    return run_unet(
        mini.unet, injection, scaled, times, task.base, task.tokens, features, task.scale,
        audio=task.audio, audio_mask=task.heard,
    )  # fmt: skip


def noisy(
    mini: mini_model.Mini,
    injection: Injection,
    task: Task,
    levels: Tensor,
    noise: Tensor,
    own: Tensor,
) -> Tensor:
    """States (B,F,C,h,w): noised truth, or, where `own` (B,) is true, what the sampler itself arrives at.

    An estimate from the top level is no truth: a denoiser that only ever saw noised truths makes such a state
    worse. From sigma_0 to sigma, Euler's step in pure noise gives D (1 - sigma / sigma_0) + sigma n.
    """
    sigma = levels.view(-1, 1, 1, 1, 1)
    state = task.clean + sigma * noise
    rows = torch.nonzero(own).flatten()
    if len(rows):
        top = float(mini.scheduler.config.sigma_max)
        with torch.no_grad():
            start = noise[rows] * top
            guess = denoised(mini, injection, task[rows], start, torch.full_like(levels[rows], top))
        state[rows] = guess.to(state.dtype) * (1 - sigma[rows] / top) + sigma[rows] * noise[rows]
    return state


def task_of(
    mini: mini_model.Mini,
    batch: Batch,
    chosen: Chosen,
    side: int | None,
    generator: torch.Generator,
) -> tuple[Task, Tensor, Tensor]:
    """The task, loss weights (N,1,h,w), and the share (N,1,h,w) of places that should stay as they are.

    A clip without pose has no warp either: it starts from the still reference, whose validity is 0. Its
    weight is lowered by how much farther from the truth that is, so that it counts as much as another clip.
    """
    frames = len(batch.truth) // batch.clips
    reference = mini.encode(batch.reference)
    tokens, still = mini.reference_tokens(reference), reference.repeat_interleave(frames, 0)
    if side is not None:
        corners = corners_of(batch, side, generator)
        batch, still = cropped(batch, corners, side), crop(still, corners, side, 1)
    warped, truth = mini.encode(batch.warped), mini.encode(batch.truth)
    posed, heard = (x.repeat_interleave(frames, 0) for x in (chosen.posed, chosen.heard))
    on = posed.view(-1, 1, 1, 1)
    base = torch.where(on > 0, warped, still)
    clean = mini.vae.residual_of(truth, base)
    far = clean.abs().mean((1, 2, 3)).clamp_min(1e-6)
    near = mini.vae.residual_of(truth, warped).abs().mean((1, 2, 3))
    sure = torch.where(on > 0, batch.validity, torch.ones_like(batch.validity))
    weight = region_weights(sure, batch.face, batch.hands) * (near / far).clamp(max=1).view(
        -1, 1, 1, 1
    )
    face, mouth = face_maps(batch.face, tuple(batch.truth.shape[-2:]))
    unseen = (1 - batch.lips).view(-1, 1, 1, 1)
    weight = weight * (1 + (LIPS_WEIGHT - 1) * unseen * F.avg_pool2d(mouth, CELL))
    rest = F.avg_pool2d(batch.validity * (1 - face), CELL) * on
    scale = chosen.scale.view(-1, 1, 1, 1)
    extra = validity_cells((batch.validity * scale).clamp(max=1) * on)
    shape = (batch.clips, frames, *clean.shape[1:])
    scale = torch.where(on > 0, scale, torch.ones_like(scale))
    task = Task(
        base.view(shape),
        clean.view(shape),
        tokens,
        batch.control,
        extra,
        batch.audio,
        posed,
        heard,
        scale,
    )
    return task, weight, rest


def cropped(batch: Batch, corners: list[tuple[int, int]], side: int) -> Batch:
    """The batch's frames in crops of `side` latents, and the points in the crops' own fractions."""
    frames, (height, width) = len(batch.truth) // batch.clips, batch.truth.shape[-2:]
    corner = torch.tensor(corners, dtype=torch.float32).flip(1) * CELL  # x, y in pixels
    corner = corner.repeat_interleave(frames, 0).to(batch.face.device)[:, None]
    size = corner.new_tensor([width, height])

    def own(points: Tensor) -> Tensor:
        return torch.cat([(points[..., :2] * size - corner) / (side * CELL), points[..., 2:]], -1)

    pictures = {
        name: crop(getattr(batch, name), corners, side, CELL)
        for name in ("truth", "warped", "validity")
    }
    control = crop(batch.control, corners, side, CELL * CONTROL_SCALE)
    return replace(batch, **pictures, control=control, face=own(batch.face), hands=own(batch.hands))


def corners_of(batch: Batch, side: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Crop corners as `crop_corner` draws them, but mostly around the mouth where the lips are withheld."""
    corners = crop_corner(batch, side, generator)
    frames = len(batch.truth) // batch.clips
    limits = [extent // CELL - side for extent in batch.truth.shape[-2:]]
    for clip in range(batch.clips):
        chance = torch.rand(3, generator=generator)
        row = clip * frames
        if (
            batch.lips[row]
            or chance[0] > (LIPS_CROP if side > 8 else 1)
            or batch.face[row, 48:, 2].mean() < 0.5
        ):
            continue
        x, y = batch.face[row, 48:, :2].mean(0).tolist()
        middle = (y * batch.truth.shape[-2] / CELL, x * batch.truth.shape[-1] / CELL)
        place = [
            m + (c - 0.5) * side * 0.5 - side / 2
            for m, c in zip(middle, chance[1:].tolist(), strict=True)
        ]
        corners[clip] = tuple(
            int(min(max(v, 0), limit)) for v, limit in zip(place, limits, strict=True)
        )
    return corners


def loss_of(
    mini: mini_model.Mini,
    batch: Batch,
    side: int | None,
    generator: torch.Generator,
    *,
    posed: Tensor | None = None,
    precision: torch.dtype = torch.float32,
    sharpness: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """One batch's loss and the loss of the warp itself; `side` latents of a crop, None for whole pictures.

    posed (B,) 0 or 1: which clips keep their pose, None for all. `sharpness` weighs the local contrast
    below the sampler's first level: a single step stays the best mean, further steps may sharpen it.
    """
    device = mini.unet.device
    posed = torch.ones(batch.clips) if posed is None else posed
    chosen = choose(batch, posed, mini.scheduler, generator).to(device)
    task, weight, rest = task_of(mini, mini_model.moved(batch, device), chosen, side, generator)
    noise = shared_noise(task.clean.shape, generator, device, task.clean.dtype)
    below = chosen.levels < chosen.levels.new_tensor(mini.scheduler.config.sigma_max) * 0.999
    own = below & (torch.rand(batch.clips, generator=generator) < OWN_STATE).to(device)
    with (
        torch.autocast(device.type, precision, enabled=precision != torch.float32),
        controlled(mini.unet, mini.controlnext, mini.interaction) as injection,
    ):
        state = noisy(mini, injection, task, chosen.levels, noise, own)
        output = denoised(mini, injection, task, state, chosen.levels)
    spread = mini.vae.residual.flatten() * mini.vae.std.flatten()
    output, clean, base = (x.flatten(0, 1).float() for x in (output, task.clean, task.base))
    loss = denoising_loss(output, clean, weight, rest, spread)
    if sharpness:
        made, true = (mini.vae.add_residual(base, x) for x in (output, clean))
        late = below.repeat_interleave(len(weight) // len(below)).view(-1, 1, 1, 1)
        loss = loss + sharpness * sharpness_loss(made, true, weight * late, mini.vae.std.flatten())
    return loss, denoising_loss(torch.zeros_like(clean), clean, weight, rest, spread)
