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
from pipeline.training.data import clips, held_out, talks
from pipeline.values import InputError

PEOPLE, FRAMES = 400, 4  # presenters to learn from, frames of each
STEPS, BATCH, RATE = 1500, 64, 3e-3
SEED = 77


def lessons(people: int, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """Crops (N,3,20,20) and apertures (N,) of ground-truth frames of presenters to train on."""
    size = (192, 128)
    bank = talks.make(seed, 0.02)
    crops, gaps = [], []
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, people, 2):
        scene = clips.draw_scenes(generator, min(2, people - start), size, FRAMES, bank)
        face = scene.face.flatten(0, 1)
        crops.append(mouth_crops(scene.image.flatten(0, 1), face))
        gaps.append(torch.from_numpy(held_out.aperture(face, size)))
    return torch.cat(crops), torch.cat(gaps)


def fitted(crops: Tensor, gaps: Tensor, seed: int = SEED, steps: int = STEPS) -> MouthReader:
    """A frozen reader that has learnt from these crops, mirrored, dimmed and softened at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = MouthReader()
    reader.level.copy_(torch.stack([gaps.mean(), gaps.std().clamp_min(1e-4)]))
    trained = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(trained, RATE, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(crops), (min(BATCH, len(crops)),), generator=generator)
        loss = F.smooth_l1_loss(
            (reader(_varied(crops[rows], generator)) - reader.level[0]) / reader.level[1],
            (gaps[rows] - reader.level[0]) / reader.level[1],
        )
        trained.zero_grad()
        loss.backward()
        trained.step()
        pace.step()
    return reader.eval().requires_grad_(False)


def _varied(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops with other noise, sharpness, place and side: the reader shall not care for them."""
    chance = torch.rand((4, len(crops), 1, 1, 1), generator=generator)
    soft = F.avg_pool2d(crops, 3, 1, 1, count_include_pad=False)
    crops = torch.lerp(crops, soft, chance[0] * (chance[1] < 0.5))
    crops = torch.where(chance[2] < 0.5, crops.flip(-1), crops)
    shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
    crops = crops.roll(shift, (2, 3))
    return crops + 0.02 * chance[3] * torch.randn(crops.shape, generator=generator)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains a reader and writes it."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.train_mouth_reader")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="safetensors file to write")
    parser.add_argument(
        "--people", type=int, default=PEOPLE, help="training presenters to learn from"
    )
    args = parser.parse_args(argv)
    if args.people < 1:
        raise InputError(f"--people {args.people} teaches nothing; give 1 or more")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    save_file(fitted(*lessons(args.people)).state_dict(), args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
