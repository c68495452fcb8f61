"""Fill the training pool: a side process draws shards of clips while the training runs."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import torch

from pipeline.training.data import talks
from pipeline.training.data.clips import FRAMES, is_current
from pipeline.training.data.filming import draw_clips

SIZES = ((192, 128), (128, 128), (128, 192), (224, 128))  # (H, W); short side 128, multiples of 16
SIZE_SHARES = (0.6, 0.15, 0.15, 0.1)
CLIPS_PER_SHARD = 8  # about 6 MB
SHARDS = 450
_TIMED_SHARDS = 3  # the first ones report their processor time


def fill(
    folder: str, seed: int, count: int = SHARDS, scale: float = 1.0, device: str = "cpu"
) -> None:
    """Draw shards into `folder` until there are `count` of them; existing ones are kept.

    The speech bank, `scale` times the plain size, is made first and kept beside `folder`.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.nice(5)
    parent = os.getppid()
    bank = talks.load_or_make_bank(Path(folder).parent, seed, scale)
    for number in range(count):
        path = Path(folder) / f"{seed}-{number:05d}.npz"
        if path.exists() and is_current(path):
            continue
        if os.getppid() != parent:  # the training has ended
            return
        start = time.process_time()
        generator = torch.Generator().manual_seed(seed * 100_000 + number)
        shares = torch.tensor(SIZE_SHARES)
        kind = torch.multinomial(shares, 1, generator=generator).item()
        clips = draw_clips(generator, CLIPS_PER_SHARD, SIZES[kind], FRAMES, bank, device)
        clips.save(path)
        if number < _TIMED_SHARDS:
            seconds = time.process_time() - start
            frames = CLIPS_PER_SHARD * FRAMES
            print(f"shard {number}: {seconds:.1f} CPU-s for {frames} frames", flush=True)


def start_filling(
    folder: Path, seed: int, count: int = SHARDS, scale: float = 1.0, device: str = "cpu"
) -> multiprocessing.Process:
    """Start a side process that fills the pool; it ends with its parent."""
    context = multiprocessing.get_context("spawn")
    arguments = (str(folder), seed, count, scale, device)
    process = context.Process(target=fill, args=arguments, daemon=True)
    process.start()
    return process
