"""What a step of the denoiser's training draws: its recipe, its batch, its loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.models.temporal import restore_temporal
from pipeline.training import denoising_step
from pipeline.training.data.batches import WITHHELD_CHANCE, Pool, augmented, step_generator
from pipeline.training.data.clips import FRAMES
from pipeline.training.run_state import LEARNING_RATE, Run


@dataclass(frozen=True)
class BatchShape:
    """The crops of a step."""

    side: int | None  # latents of a crop's side; None for whole pictures
    clips: int
    frames: int = 1


# each costs about the same
SMALL_CROPS = BatchShape(16, 24)
LARGE_CROPS = BatchShape(24, 12)
WHOLE_PICTURES = BatchShape(None, 6)
WHOLE_CLIPS = BatchShape(None, 2, FRAMES)
MOUTH_CROPS = BatchShape(8, 64)  # six cells of a small crop, at mouths that only the sound moves
SHAPES = (SMALL_CROPS, LARGE_CROPS, WHOLE_PICTURES)
SHAPE_SHARES = (0.65, 0.25, 0.1)
MOUTH_SHARE = 0.3
ALL_WITHHELD = 1000.0  # factor on the chance of clips with withheld lips
WHOLE_FROM = 0.9  # share of the run after which whole pictures are trained


@dataclass(frozen=True)
class Recipe:
    """The choices of a run."""

    seed: int = 0
    seconds: float = 5400.0  # of wall time over all continuations
    precision: torch.dtype = torch.float32
    batch: int = 1  # factor on the clips of a `BatchShape`
    pose_dropout: float = denoising_step.POSE_DROPOUT
    sharpness: float = 0.0  # weight of the loss of local contrast
    clip_share: float = 0.0  # last share of the run, for whole clips
    mouth_share: float = MOUTH_SHARE  # of the steps before whole pictures, for withheld lips
    learning_rate: float = LEARNING_RATE


def draw_shape(recipe: Recipe, share: float, generator: torch.Generator) -> BatchShape:
    """Draw the next batch's shape at `share` of the run: crops, then pictures, then clips if
    any."""
    if share >= 1 - recipe.clip_share:
        return WHOLE_CLIPS
    if share >= WHOLE_FROM - recipe.clip_share:
        return WHOLE_PICTURES
    if torch.rand((), generator=generator) < recipe.mouth_share:
        return MOUTH_CROPS
    shares = torch.tensor(SHAPE_SHARES)
    kind = torch.multinomial(shares, 1, generator=generator).item()
    return SHAPES[kind]


def step_loss(
    run: Run, pool: Pool, recipe: Recipe, share: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Compute the loss, and the loss of the warp itself, of one batch at `share` of the run."""
    generator = step_generator(seed, run.step)
    shape = draw_shape(recipe, share, generator)
    if shape.frames > 1:
        restore_temporal(run.mini.unet)
    withheld = ALL_WITHHELD if shape == MOUTH_CROPS else WITHHELD_CHANCE
    clips = pool.draw(shape.clips * recipe.batch, withheld)
    has_pose = (torch.rand(len(clips), generator=generator) >= recipe.pose_dropout).float()
    if shape.frames == 1:
        clips = denoising_step.pick_frames(clips, has_pose, generator)
    batch = augmented(clips, generator)
    return denoising_step.compute_loss(
        run.mini,
        batch,
        shape.side,
        generator,
        has_pose=has_pose,
        precision=recipe.precision,
        sharpness=recipe.sharpness,
    )
