"""A small network that reads how far a mouth is open from its picture, for measuring rendered frames.

It learnt from ground-truth frames of training presenters alone (`python -m pipeline.evaluation.reader`) and
is frozen. The crop is placed by eyes and nose, which no speech moves: its place says nothing of the mouth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline import ROOT
from pipeline.training import heldout, pool, talks

SIDE = 20  # pixels of a crop
REACH = 1.15  # half the crop's side, in distances from the eyes' middle to the nose's base
BELOW = 0.75  # of the crop's middle under the nose's base, in the same unit
PEOPLE, FRAMES = 400, 4  # presenters to learn from, frames of each
STEPS, BATCH, RATE = 1500, 64, 3e-3
SEED = 77
SHIPPED = ROOT / "checkpoints" / "sync_mini" / "mouth_reader.safetensors"


def mouth_crops(pictures: Tensor, face: Tensor) -> Tensor:
    """(N,3,20,20) upright mouths of pictures (N,3,H,W) in [0,1] with face points (N,68,3)."""
    height, width = pictures.shape[-2:]
    pixels = face[..., :2] * face.new_tensor((width, height))
    nose = pixels[:, 31:36].mean(1)
    down = nose - pixels[:, 36:48].mean(1)
    middle = nose + BELOW * down
    right = torch.stack([down[:, 1], -down[:, 0]], 1)
    place = torch.stack([REACH * right, REACH * down, middle], 2)  # (N, 2, 3): unit square to pixels
    scale = place.new_tensor([[2 / width], [2 / height]])
    place = place * scale
    place[:, :, 2] -= 1
    grid = F.affine_grid(place, [len(pictures), 3, SIDE, SIDE], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class MouthReader(nn.Module):
    """About 6 000 parameters: (N,3,20,20) crops in [0,1] -> (N,) apertures as `heldout.aperture` has them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(16 * (SIDE // 4) ** 2, 8), nn.ReLU(), nn.Linear(8, 1),
        )  # fmt: skip
        self.register_buffer("level", torch.tensor([0.0, 1.0]))  # mean and deviation of the apertures

    def forward(self, crops: Tensor) -> Tensor:
        even = crops - crops.mean((2, 3), keepdim=True)
        even = even / even.std((1, 2, 3), keepdim=True).clamp_min(0.02)  # skin and light do not count
        return self.layers(even)[:, 0] * self.level[1] + self.level[0]

    @torch.no_grad()
    def read(self, pictures: Tensor, face: Tensor) -> Tensor:
        """(N,) apertures of the mouths in pictures (N,3,H,W) whose faces stand at points (N,68,3)."""
        return self(mouth_crops(pictures.clamp(0, 1), face))


def lessons(people: int, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """Crops (N,3,20,20) and apertures (N,) of ground-truth frames of presenters to train on."""
    size = (192, 128)
    bank = talks.make(seed, 0.02)
    crops, gaps = [], []
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, people, 2):
        scene = pool.draw_scenes(generator, min(2, people - start), size, FRAMES, bank)
        face = scene.face.flatten(0, 1)
        crops.append(mouth_crops(scene.image.flatten(0, 1), face))
        gaps.append(torch.from_numpy(heldout.aperture(face, size)))
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


def shipped(path: Path = SHIPPED) -> MouthReader:
    """The frozen reader; ValueError where its file is missing."""
    if not path.is_file():
        remedy = f"make it with `python -m pipeline.evaluation.reader --out {path}`"
        raise ValueError(f"the mouth reader {path} is missing; {remedy}")
    network = MouthReader()
    network.load_state_dict(load_file(path))
    return network.eval().requires_grad_(False)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains a reader and writes it."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluation.reader")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="safetensors file to write")
    parser.add_argument("--people", type=int, default=PEOPLE, help="training presenters to learn from")
    args = parser.parse_args(argv)
    if args.people < 1:
        raise ValueError(f"--people {args.people} teaches nothing; give 1 or more")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    save_file(fitted(*lessons(args.people)).state_dict(), args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
