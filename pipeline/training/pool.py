"""The training pool: drawn clips, warped by the shipped warp, kept as uint8 shards that a side process fills.

A clip is one reference picture and a few target frames. Key points are as inexact as a detector's, and the
warp gets the person's mask in part of the clips only, as users' pictures do.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline import warp
from pipeline.training import presenters

log = logging.getLogger(__name__)

SIZES = ((192, 128), (128, 128), (128, 192), (224, 128))  # (H, W); short side 128, multiples of 16
SHARES = (0.6, 0.15, 0.15, 0.1)
FRAMES = 4
CLIPS = 8  # per shard, about 6 MB
SHARDS = 450
JITTER = 1.2  # pixels at a short side of 128, the largest standard deviation of a clip
TOKENS = (5, 160)  # per frame: offsets of `audio2pose.TOKEN_OFFSETS`, channels
WITHHELD = [*range(3, 14), *range(48, 68)]  # face points that speech moves: jaw and lips
PER_CLIP = ("reference", "lips")  # fields without a frame axis
HELD_OUT = 9_000_000  # seeds from here on are never trained on


@dataclass
class Clips:
    """N clips of F frames, uint8 but for the points; see `pictures` for floats.

    reference (N,3,H,W); truth, warped (N,F,3,H,W); validity (N,F,1,H,W); body (N,F,18,3), hands (N,F,42,3),
    face (N,F,68,3) are inexact key points of the truth. audio (N,F,5,160) float16 are Audio2Pose's tokens
    around each frame, loudness (N,F) in [0,1] the RMS between its 10th and 95th percentile of the speech.
    lips (N,) is 1, or 0 where the lips were withheld: the warp moved the reference's own mouth and jaw
    rigidly with the head and the skeleton shows neither, so that sound alone tells how the mouth is.
    """

    reference: Tensor
    truth: Tensor
    warped: Tensor
    validity: Tensor
    body: Tensor
    hands: Tensor
    face: Tensor
    audio: Tensor
    loudness: Tensor
    lips: Tensor

    def __len__(self) -> int:
        return len(self.reference)

    def __getitem__(self, rows: slice | list[int] | Tensor) -> Clips:
        return Clips(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.reference.shape[-2:])

    def frame(self, number: int) -> Clips:
        """The clips with one of their frames, F = 1."""
        part = slice(number, number + 1)
        framed = {f.name: getattr(self, f.name)[:, part] for f in fields(self) if f.name not in PER_CLIP}
        return replace(self, **framed)

    @staticmethod
    def join(parts: list[Clips]) -> Clips:
        return Clips(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Clips)))

    def save(self, path: Path) -> None:
        """Writes a `.npz` through a temporary file, so that readers never see half a shard."""
        draft = path.with_suffix(".tmp")
        with open(draft, "wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name).numpy() for f in fields(self)})
        os.replace(draft, path)

    @staticmethod
    def load(path: Path) -> Clips:
        with np.load(path, allow_pickle=False) as file:
            return Clips(*(torch.from_numpy(file[f.name]) for f in fields(Clips)))


def draw_clips(generator: torch.Generator, count: int, size: tuple[int, int], frames: int = FRAMES) -> Clips:
    """`count` clips of new people; two at a time: first-touched memory is slow on virtual machines."""
    parts = [_draw(generator, min(2, count - i), size, frames) for i in range(0, count, 2)]
    return Clips.join(parts)


def _draw(generator: torch.Generator, count: int, size: tuple[int, int], frames: int) -> Clips:
    people = presenters.identities(generator, count)
    moves = presenters.motions(generator, count)
    scene = presenters.render(people, moves.at(_times(generator, count, frames)), size)
    level = JITTER * torch.rand((count, 1, 1, 1), generator=generator)
    parts = [_inexact(p, level, size, generator) for p in (scene.body, scene.hands, scene.face)]
    reference = warp.Points(*(p[:, :1] for p in parts))
    target = warp.Points(*(p[:, 1:] for p in parts))
    mask = _inexact_mask(scene.mask[:, 0], generator)
    layers = warp.plates(scene.image[:, 0], reference, mask)
    warped = warp.warp(layers, target)
    pictures = (scene.image[:, 0], scene.image[:, 1:], warped.image, warped.validity)
    audio, loudness = torch.zeros((count, frames, *TOKENS), dtype=torch.float16), torch.zeros(count, frames)
    points = (target.body, target.hands, target.face)
    return Clips(*(_bytes(p) for p in pictures), *points, audio, loudness, torch.ones(count))


def _times(generator: torch.Generator, count: int, frames: int) -> Tensor:
    """(count, 1 + frames) seconds: the reference, then a run of frames, frames near it, or unrelated ones."""
    start = 600 * torch.rand((count, 1), generator=generator)
    step = 0.08 + 0.12 * torch.rand((count, 1), generator=generator)
    order = torch.arange(frames)[None]
    run = 600 * torch.rand((count, 1), generator=generator) + step * order
    near = start + step * order
    apart = 600 * torch.rand((count, frames), generator=generator)
    kind = torch.rand((count, 1), generator=generator)
    return torch.cat([start, torch.where(kind < 0.4, run, torch.where(kind < 0.55, near, apart))], 1)


def _inexact(points: Tensor, level: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Points with a detector's error: half of it new in every frame, half constant over the clip."""
    pixel = torch.tensor([1.0 / size[1], 1.0 / size[0]])
    each = torch.randn(points[..., :2].shape, generator=generator)
    habit = torch.randn(points[:, :1, :, :2].shape, generator=generator)
    shift = (0.7 * each + 0.7 * habit) * level * pixel
    face_like = points.shape[2] == 68
    xy = points[..., :2] + shift * (0.5 if face_like else 1.0)  # face points are the most exact ones
    return torch.cat([xy, points[..., 2:]], -1)


def _inexact_mask(mask: Tensor, generator: torch.Generator) -> Tensor | None:
    """The true mask, grown or shrunk by a pixel and softened, for 65 % of the calls; else None."""
    kind = torch.rand((), generator=generator).item()
    if kind > 0.65:
        return None
    if kind < 0.2:
        mask = F.max_pool2d(mask, 3, 1, 1)
    elif kind < 0.35:
        mask = -F.max_pool2d(-mask, 3, 1, 1)
    return F.avg_pool2d(mask, 3, 1, 1)


def _bytes(pictures: Tensor) -> Tensor:
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)


def fill(folder: str, seed: int, shards: int = SHARDS) -> None:
    """Draws shards into `folder` until there are `shards` of them; those that exist are passed over."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.nice(5)
    parent = os.getppid()
    for number in range(shards):
        path = Path(folder) / f"{seed}-{number:05d}.npz"
        if path.exists():
            continue
        if os.getppid() != parent:  # the training has ended
            return
        began = time.process_time()
        generator = torch.Generator().manual_seed(seed * 100_000 + number)
        kind = torch.multinomial(torch.tensor(SHARES), 1, generator=generator).item()
        draw_clips(generator, CLIPS, SIZES[kind]).save(path)
        if number < 3:
            print(
                f"shard {number}: {time.process_time() - began:.1f} CPU-s for {CLIPS * FRAMES} frames",
                flush=True,
            )


def start_filling(folder: Path, seed: int, shards: int = SHARDS) -> multiprocessing.Process:
    """A side process that fills the pool while the training runs; it ends with its parent."""
    process = multiprocessing.get_context("spawn").Process(
        target=fill, args=(str(folder), seed, shards), daemon=True
    )
    process.start()
    return process
