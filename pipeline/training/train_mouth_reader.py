"""Train the mouth reader on ground-truth frames of drawn presenters."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from pipeline.models.mouth_reader import SHIPPED, MouthReader, mouth_crops
from pipeline.training.data import filming, held_out, talks
from pipeline.values import InputError

PEOPLE = 400  # presenters to learn from
FRAMES = 4  # of each
PEOPLE_PER_DRAWING = 2
SIZE = (192, 128)  # of the pictures (H, W)
BANK_SCALE = 0.02  # of the speech bank's plain size
STEPS = 1500
BATCH = 64
LEARNING_RATE = 3e-3
SEED = 77


def draw_lessons(people: int, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """Draw crops (N, 3, 20, 20) and apertures (N,) of presenters to train on."""
    bank = talks.make_bank(seed, BANK_SCALE)
    generator = torch.Generator().manual_seed(seed)
    crops = []
    apertures = []
    for start in range(0, people, PEOPLE_PER_DRAWING):
        count = min(PEOPLE_PER_DRAWING, people - start)
        scene = filming.draw_scenes(generator, count, SIZE, FRAMES, bank)
        pictures = scene.image.flatten(0, 1)
        face = scene.face.flatten(0, 1)
        crops.append(mouth_crops(pictures, face))
        apertures.append(torch.from_numpy(held_out.aperture(face, SIZE)))
    return torch.cat(crops), torch.cat(apertures)


def fit(crops: Tensor, apertures: Tensor, seed: int = SEED, steps: int = STEPS) -> MouthReader:
    """Train a reader on crops that are mirrored, dimmed and softened at random; returns it
    frozen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = MouthReader()
    deviation = apertures.std().clamp_min(1e-4)
    reader.level.copy_(torch.stack([apertures.mean(), deviation]))
    optimizer = torch.optim.AdamW(reader.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    count = min(BATCH, len(crops))
    for _ in range(steps):
        rows = torch.randint(len(crops), (count,), generator=generator)
        predicted = reader(_vary(crops[rows], generator))
        loss = F.smooth_l1_loss(
            (predicted - reader.level[0]) / reader.level[1],
            (apertures[rows] - reader.level[0]) / reader.level[1],
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
    return reader.eval().requires_grad_(False)


def _vary(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Change noise, sharpness, place and side of crops, so that the reader ignores them."""
    chance = torch.rand((4, len(crops), 1, 1, 1), generator=generator)
    softness, soft_chance, mirror_chance, noise_level = chance
    soft = F.avg_pool2d(crops, 3, 1, 1, count_include_pad=False)
    crops = torch.lerp(crops, soft, softness * (soft_chance < 0.5))
    crops = torch.where(mirror_chance < 0.5, crops.flip(-1), crops)
    shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
    crops = crops.roll(shift, (2, 3))
    noise = torch.randn(crops.shape, generator=generator)
    return crops + 0.02 * noise_level * noise


def main(argv: Sequence[str] | None = None) -> int:
    """Train a reader and write it."""
    parser = argparse.ArgumentParser(prog="python -m pipeline train mouth-reader")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="safetensors file to write")
    people_help = "training presenters to learn from"
    parser.add_argument("--people", type=int, default=PEOPLE, help=people_help)
    options = parser.parse_args(argv)
    if options.people < 1:
        raise InputError(f"--people {options.people} teaches nothing; give 1 or more")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    crops, apertures = draw_lessons(options.people)
    save_file(fit(crops, apertures).state_dict(), options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
