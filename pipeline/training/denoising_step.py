"""One training step of the denoiser: the noise level, what is withheld of pose and sound, and the
loss.

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

# Shares of clips that train without pose and without sound. Where a GPU trains, .3 of the poses.
POSE_DROPOUT = 0.15
AUDIO_DROPOUT = 0.1
# Share of clips under the loudness gate, and w0: the control's strength that is left in silence.
GATED = 0.2
GATE_FLOOR = 0.2
# Share of clips with a random constant strength, and its maximum.
FREE_SCALE = 0.1
HIGHEST_FREE_SCALE = 1.3
SAMPLER_STEPS = 4
# Share of clips at the sampler's first level: one step is what a CPU user runs.
TOP_SIGMA = 0.75
# Share of clips at lower levels whose states are the sampler's own instead of noised truth.
OWN_STATE = 0.5
# Share of crops around the mouth among clips whose lips are withheld. Crops of SMALL_CROP_CELLS all
# are.
LIPS_CROP = 0.7
SMALL_CROP_CELLS = 8
# The mouth's factor in the loss of these clips, because only the sound tells how it is.
LIPS_WEIGHT = 2.0
LIPS = slice(48, 68)  # among the face points


@dataclass(frozen=True)
class StepChoices:
    """What chance decided for B clips of N frames.

    levels: (B,) noise levels. has_pose, has_audio: (B,) 0 or 1. scale: (N,) strength of the control
    and of the validity.
    """

    levels: Tensor
    has_pose: Tensor
    has_audio: Tensor
    scale: Tensor

    def to(self, device: torch.device) -> StepChoices:
        moved = [getattr(self, field.name).to(device) for field in fields(self)]
        return StepChoices(*moved)


def sampler_levels(scheduler: EulerDiscreteScheduler, steps: int = SAMPLER_STEPS) -> Tensor:
    """Return the (steps,) noise levels that the sampler visits, the highest first."""
    return prepare_scheduler(scheduler, steps).sigmas[:-1].float()


def pick_frames(clips: Clips, has_pose: Tensor, generator: torch.Generator) -> Clips:
    """Take one random frame of each clip, F = 1.

    A clip without pose (`has_pose` (B,) is 0) gets another of its frames as reference. What the
    sound alone moves can be learned from a picture of the same moment, not from one far away.
    """
    count, frames = clips.truth.shape[:2]
    frame = torch.randint(frames, (count,), generator=generator)
    distance = torch.randint(1, max(frames, 2), (count,), generator=generator)
    other_frame = (frame + distance) % frames
    rows = torch.arange(count)
    near_reference = clips.truth[rows, other_frame]
    keep_reference = has_pose.view(-1, 1, 1, 1) > 0
    reference = torch.where(keep_reference, clips.reference, near_reference)
    picked = {}
    for field in fields(Clips):
        if field.name not in PER_CLIP:
            values = getattr(clips, field.name)[rows, frame]
            picked[field.name] = values[:, None]
    return replace(clips, reference=reference, **picked)


def draw_choices(
    batch: Batch, has_pose: Tensor, scheduler: EulerDiscreteScheduler, generator: torch.Generator
) -> StepChoices:
    """Draw level, audio dropout and strength for every clip of a batch; `has_pose` (B,) is
    given."""
    count = batch.clips
    frames = len(batch.truth) // count
    top, *lower = sampler_levels(scheduler).tolist()
    picks = torch.randint(len(lower), (count,), generator=generator)
    low_levels = torch.tensor(lower)[picks]
    top_levels = torch.full_like(low_levels, top)
    level_chance, audio_chance, free_draw, kind_chance = torch.rand((4, count), generator=generator)
    levels = torch.where(level_chance < TOP_SIGMA, top_levels, low_levels)
    has_audio = (audio_chance >= AUDIO_DROPOUT).float()
    gate = GATE_FLOOR + (1 - GATE_FLOOR) * batch.loudness.cpu()
    free_scale = (HIGHEST_FREE_SCALE * free_draw).repeat_interleave(frames, 0)
    kind = kind_chance.repeat_interleave(frames, 0)
    scale = torch.where(kind > 1 - FREE_SCALE, free_scale, torch.ones_like(free_scale))
    scale = torch.where(kind < GATED, gate, scale)
    return StepChoices(levels, has_pose, has_audio, scale)


@dataclass(frozen=True)
class DenoisingTask:
    """B clips of F frames as the denoiser gets them. Frames lie flat, N = B F, but in base and
    clean.

    base, clean: (B,F,C,h,w), the latents that the residual is added to, and the true residual.
    tokens: (B,S,D). control: (N,3,H,W). extra: (N,E,h,w). audio: (N,n,d). scale: (N,1,1,1).
    has_pose, has_audio: (N,) 0 or 1.
    """

    base: Tensor
    clean: Tensor
    tokens: Tensor
    control: Tensor
    extra: Tensor
    audio: Tensor
    has_pose: Tensor
    has_audio: Tensor
    scale: Tensor

    def __getitem__(self, clips: Tensor) -> DenoisingTask:
        """Take some of the clips."""
        count, frames = self.base.shape[:2]
        offsets = torch.arange(frames, device=clips.device)
        rows = (clips[:, None] * frames + offsets).flatten()
        parts = {}
        for field in fields(self):
            values = getattr(self, field.name)
            parts[field.name] = values[clips if len(values) == count else rows]
        return DenoisingTask(**parts)


def predict_clean(
    mini: mini_model.Mini, injection: Injection, task: DenoisingTask, state: Tensor, levels: Tensor
) -> Tensor:
    """Return the denoiser's clean residual (B,F,C,h,w) for noisy states at levels (B,)."""
    sigma = levels.view(-1, 1, 1, 1, 1)
    times = 0.25 * levels.log()
    control = task.control.unflatten(0, task.base.shape[:2])
    features = mini.controlnext(control, times, task.extra)
    if mini.interaction is not None:
        null = mini.interaction.null_control(len(features)).to(features.dtype)
        features = torch.where(task.has_pose.view(-1, 1, 1, 1) > 0, features, null)
    scaled = state / (sigma.square() + 1).sqrt()
    return run_unet(
        mini.unet,
        injection,
        scaled,
        times,
        task.base,
        task.tokens,
        features,
        task.scale,
        audio=task.audio,
        audio_mask=task.has_audio,
    )


def make_states(
    mini: mini_model.Mini,
    injection: Injection,
    task: DenoisingTask,
    levels: Tensor,
    noise: Tensor,
    is_own: Tensor,
) -> Tensor:
    """Return states (B,F,C,h,w): noised truth, or, where `is_own` (B,) is true, the sampler's own
    states.

    An estimate from the top level is no truth: a denoiser that only ever saw noised truths makes
    such a state worse. From sigma_0 to sigma, Euler's step in pure noise gives D (1 - sigma /
    sigma_0) + sigma n.
    """
    sigma = levels.view(-1, 1, 1, 1, 1)
    states = task.clean + sigma * noise
    rows = torch.nonzero(is_own).flatten()
    if len(rows) == 0:
        return states
    top = float(mini.scheduler.config.sigma_max)
    top_levels = torch.full_like(levels[rows], top)
    with torch.no_grad():
        estimate = predict_clean(mini, injection, task[rows], noise[rows] * top, top_levels)
    left = 1 - sigma[rows] / top
    states[rows] = estimate.to(states.dtype) * left + sigma[rows] * noise[rows]
    return states


@dataclass(frozen=True)
class TaskWeights:
    """Loss weights (N,1,h,w), and the share (N,1,h,w) of places that should stay as they are."""

    error: Tensor
    rest: Tensor


def make_task(
    mini: mini_model.Mini,
    batch: Batch,
    choices: StepChoices,
    side: int | None,
    generator: torch.Generator,
) -> tuple[DenoisingTask, TaskWeights]:
    """Turn a batch into the denoiser's task and its weights; `side` latents of a crop, None =
    whole.

    A clip without pose has no warp either: it starts from the still reference, whose validity is 0.
    """
    # 1. reference and crops
    frames = len(batch.truth) // batch.clips
    reference = mini.encode(batch.reference)
    tokens = mini.reference_tokens(reference)
    still = reference.repeat_interleave(frames, 0)
    if side is not None:
        corners = choose_corners(batch, side, generator)
        batch = crop_batch(batch, corners, side)
        still = crop(still, corners, side, 1)

    # 2. latents and their residual
    has_pose = choices.has_pose.repeat_interleave(frames, 0)
    has_audio = choices.has_audio.repeat_interleave(frames, 0)
    pose_mask = has_pose.view(-1, 1, 1, 1)
    warped = mini.encode(batch.warped)
    truth = mini.encode(batch.truth)
    base = torch.where(pose_mask > 0, warped, still)
    clean = mini.vae.residual_of(truth, base)

    # 3. strength of control and validity
    scale = choices.scale.view(-1, 1, 1, 1)
    validity = (batch.validity * scale).clamp(max=1) * pose_mask
    scale = torch.where(pose_mask > 0, scale, torch.ones_like(scale))

    weights = weigh(batch, clean, mini.vae.residual_of(truth, warped), pose_mask)
    shape = (batch.clips, frames, *clean.shape[1:])
    task = DenoisingTask(
        base=base.view(shape),
        clean=clean.view(shape),
        tokens=tokens,
        control=batch.control,
        extra=validity_cells(validity),
        audio=batch.audio,
        has_pose=has_pose,
        has_audio=has_audio,
        scale=scale,
    )
    return task, weights


def weigh(batch: Batch, clean: Tensor, warp_residual: Tensor, pose_mask: Tensor) -> TaskWeights:
    """Weigh regions and clips.

    A clip without pose is farther from the truth than its warp is. Its weight is lowered by that
    factor, so that it counts as much as another clip.

    Args:
        batch: the batch, cropped.
        clean: the true residual (N,C,h,w) to what the clip starts from.
        warp_residual: the true residual (N,C,h,w) to the warp.
        pose_mask: (N,1,1,1), 0 where a clip has no pose.
    """
    distance = clean.abs().mean((1, 2, 3)).clamp_min(1e-6)
    warp_distance = warp_residual.abs().mean((1, 2, 3))
    clip_weight = (warp_distance / distance).clamp(max=1).view(-1, 1, 1, 1)
    validity = torch.where(pose_mask > 0, batch.validity, torch.ones_like(batch.validity))
    error = region_weights(validity, batch.face, batch.hands) * clip_weight
    size = tuple(batch.truth.shape[-2:])
    face, mouth = face_maps(batch.face, size)
    lips_withheld = (1 - batch.lips).view(-1, 1, 1, 1)
    error = error * (1 + (LIPS_WEIGHT - 1) * lips_withheld * F.avg_pool2d(mouth, CELL))
    rest = F.avg_pool2d(batch.validity * (1 - face), CELL) * pose_mask
    return TaskWeights(error, rest)


def crop_batch(batch: Batch, corners: list[tuple[int, int]], side: int) -> Batch:
    """Crop the frames to `side` latents; points become fractions of the crops."""
    frames = len(batch.truth) // batch.clips
    height, width = batch.truth.shape[-2:]
    corner = torch.tensor(corners, dtype=torch.float32).flip(1) * CELL  # x, y in pixels
    corner = corner.repeat_interleave(frames, 0).to(batch.face.device)[:, None]
    size = corner.new_tensor([width, height])

    def crop_points(points: Tensor) -> Tensor:
        xy = (points[..., :2] * size - corner) / (side * CELL)
        return torch.cat([xy, points[..., 2:]], -1)

    return replace(
        batch,
        truth=crop(batch.truth, corners, side, CELL),
        warped=crop(batch.warped, corners, side, CELL),
        validity=crop(batch.validity, corners, side, CELL),
        control=crop(batch.control, corners, side, CELL * CONTROL_SCALE),
        face=crop_points(batch.face),
        hands=crop_points(batch.hands),
    )


def choose_corners(batch: Batch, side: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Draw crop corners as `crop_corner` does, but mostly around the mouth where the lips are
    withheld."""
    corners = crop_corner(batch, side, generator)
    frames = len(batch.truth) // batch.clips
    share = LIPS_CROP if side > SMALL_CROP_CELLS else 1
    for clip in range(batch.clips):
        chance, *shift = torch.rand(3, generator=generator)
        row = clip * frames
        lips = batch.face[row, LIPS]
        if batch.lips[row] or chance > share or lips[:, 2].mean() < 0.5:
            continue
        corners[clip] = _mouth_corner(batch, lips, side, shift)
    return corners


def _mouth_corner(batch: Batch, lips: Tensor, side: int, shift: list[Tensor]) -> tuple[int, int]:
    """Place a crop of `side` latents around the lips, moved by up to a quarter of it to each
    side."""
    x, y = lips[:, :2].mean(0).tolist()
    height, width = batch.truth.shape[-2:]
    corner = []
    for position, extent, draw in ((y, height, shift[0]), (x, width, shift[1])):
        middle = position * extent / CELL
        place = middle + (draw.item() - 0.5) * side * 0.5 - side / 2
        limit = extent // CELL - side
        corner.append(int(min(max(place, 0), limit)))
    return corner[0], corner[1]


def compute_loss(
    mini: mini_model.Mini,
    batch: Batch,
    side: int | None,
    generator: torch.Generator,
    *,
    has_pose: Tensor | None = None,
    precision: torch.dtype = torch.float32,
    sharpness: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return one batch's loss and the loss of the warp itself.

    Args:
        mini: the networks.
        batch: the pictures, points and sound.
        side: latents of a crop's side, None for whole pictures.
        generator: draws the choices, crops and noise.
        has_pose: (B,) 0 or 1, which clips keep their pose; None for all.
        precision: autocast's.
        sharpness: weight of the local contrast below the sampler's first level. A single step stays
            the best mean, further steps may sharpen it.
    """
    # 1. choose and build the task
    device = mini.unet.device
    has_pose = torch.ones(batch.clips) if has_pose is None else has_pose
    choices = draw_choices(batch, has_pose, mini.scheduler, generator).to(device)
    batch = mini_model.to_device(batch, device)
    task, weights = make_task(mini, batch, choices, side, generator)
    noise = shared_noise(task.clean.shape, generator, device, task.clean.dtype)
    top = choices.levels.new_tensor(mini.scheduler.config.sigma_max)
    below_top = choices.levels < top * 0.999
    own_draw = torch.rand(batch.clips, generator=generator) < OWN_STATE
    is_own = below_top & own_draw.to(device)

    # 2. denoise
    with (
        torch.autocast(device.type, precision, enabled=precision != torch.float32),
        controlled(mini.unet, mini.controlnext, mini.interaction) as injection,
    ):
        states = make_states(mini, injection, task, choices.levels, noise, is_own)
        output = predict_clean(mini, injection, task, states, choices.levels)

    # 3. compare with the truth
    output = output.flatten(0, 1).float()
    clean = task.clean.flatten(0, 1).float()
    spread = mini.vae.residual.flatten() * mini.vae.std.flatten()
    loss = denoising_loss(output, clean, weights.error, weights.rest, spread)
    if sharpness:
        base = task.base.flatten(0, 1).float()
        frames = len(weights.error) // len(below_top)
        late = below_top.repeat_interleave(frames).view(-1, 1, 1, 1)
        loss = loss + sharpness * sharpness_loss(
            mini.vae.add_residual(base, output),
            mini.vae.add_residual(base, clean),
            weights.error * late,
            mini.vae.std.flatten(),
        )
    no_change = torch.zeros_like(clean)
    warp_loss = denoising_loss(no_change, clean, weights.error, weights.rest, spread)
    return loss, warp_loss
