"""`python -m pipeline train sync --out FOLDER`: the network of `sync_c_mini`, from drawn ground truth alone.

Windows of a sound and of the mouth that a drawn presenter opens to it attract each other, all other pairs of
the batch repel (InfoNCE, van den Oord et al. 2018, in both directions). Batches of 8 clips x 16 windows: that
windows of one clip are told apart is what teaches the offset.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models import sync_mini
from pipeline.training.data import clips, presenters, talks
from pipeline.training.data import held_out as heldout
from pipeline.training.data.presenters import acting
from pipeline.training.data.speech import engines
from pipeline.values import Audio, InputError

SCALE = 0.5  # of the training bank: 180 espeak-ng talks, 55 of flite where it is installed
STEPS, CLIPS, WINDOWS = 900, 8, 16
RATE, TEMPERATURE = 2e-3, 0.1
CUTS, SECONDS = (
    3,
    (1.6, 4.0),
)  # pieces of each talk and their length, which is that of talks to be judged
LIKE = (192, 128)  # size of the drawing, which nobody paints


@dataclass(frozen=True)
class Lesson:
    """A piece of a talk of T frames: sound (T, 40, 20) and mouth (T, 5, 2)."""

    sound: Tensor
    mouth: Tensor


def lessons(bank: talks.Bank, seed: int, cuts: int = CUTS) -> list[Lesson]:
    """Pieces of a bank's talks, each said by another drawn presenter."""
    generator = torch.Generator().manual_seed(seed)
    return [
        made
        for row in range(len(bank))
        for _ in range(cuts)
        if (made := _piece(bank, row, generator))
    ]


def _piece(bank: talks.Bank, row: int, generator: torch.Generator) -> Lesson | None:
    """One piece; None where the mouth hardly opens in it."""
    chance = torch.rand(3, generator=generator).tolist()
    said = bank.talks[row]
    seconds = min(SECONDS[0] + chance[0] * (SECONDS[1] - SECONDS[0]), said.seconds)
    frames = int(seconds * sync_mini.FPS)
    start = int(chance[1] * (said.seconds - seconds) * engines.SAMPLE_RATE)
    first = chance[2] / sync_mini.FPS  # s of the first frame after the piece's first sample
    moments = (start / engines.SAMPLE_RATE + first + torch.arange(frames) / sync_mini.FPS)[None]
    cast = clips.cast_of(generator, 1, bank)
    cues = bank.cues(torch.tensor([row]), moments)
    dofs = acting.act(
        cast.moves, cast.manner, cues, moments + 600 * torch.rand(1, generator=generator)
    )
    gap = heldout.aperture(presenters.points(cast.people, dofs, LIKE)[2][0], LIKE)
    if np.ptp(np.quantile(gap, (0.02, 0.98))) < 0.02:
        return None
    samples = (
        said.samples[start : start + int(seconds * engines.SAMPLE_RATE)].astype(np.float32) / 32767
    )
    audio = Audio(samples, engines.SAMPLE_RATE)
    return Lesson(sync_mini.sound_windows(audio, frames, first), sync_mini.mouth_windows(gap, gap))


def trained(known: list[Lesson], seed: int, steps: int = STEPS) -> sync_mini.SyncMini:
    """A network that has learnt from the lessons; the same for the same seed and lessons."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = sync_mini.SyncMini()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(steps):
        sound, mouth = [], []
        for k in rng.choice(len(known), min(CLIPS, len(known)), replace=False):
            rows = rng.choice(len(known[k].sound), WINDOWS, replace=False)
            sound.append(known[k].sound[rows])
            mouth.append(known[k].mouth[rows])
        one, other = network(torch.cat(sound), torch.cat(mouth))
        alike, own = one @ other.T / TEMPERATURE, torch.arange(len(one))
        loss = (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        pace.step()
    return network.eval().requires_grad_(False)


def held_out(network: sync_mini.SyncMini) -> dict[str, dict[str, float]]:
    """Verdicts on drawn mouths of the held-out talks, and on spoilt ones: what the network can tell apart."""
    from scipy.ndimage import gaussian_filter1d

    bank, generator = talks.held_out(), torch.Generator().manual_seed(clips.HELD_OUT)
    rng, found = np.random.default_rng(0), {}
    for row, said in enumerate(bank.talks):
        frames = int(said.seconds * sync_mini.FPS)
        moments = (torch.arange(frames) + sync_mini.PHASE)[None] / sync_mini.FPS
        cast = clips.cast_of(generator, 1, bank)
        dofs = acting.act(
            cast.moves, cast.manner, bank.cues(torch.tensor([row]), moments), moments + 100
        )
        gap = heldout.aperture(presenters.points(cast.people, dofs, LIKE)[2][0], LIKE)
        spread = np.ptp(np.quantile(gap, (0.02, 0.98)))
        audio = Audio(said.samples.astype(np.float32) / 32767, engines.SAMPLE_RATE)
        spoilt = {
            "true": gap,
            "2 frames late": np.concatenate([gap[:2], gap[:-2]]),
            "smooth, 2 frames": gaussian_filter1d(gap, 2.0),
            "noise 0.1": gap + 0.1 * spread * rng.standard_normal(frames),
            "exchanged halves": np.roll(gap, frames // 2),
            "still": np.full(frames, gap.mean()),
        }
        for name, curve in spoilt.items():
            found.setdefault(name, []).append(network.judge(curve, gap, audio))
    return {
        name: {
            "sync_c_mini": float(np.mean([v.confidence for v in verdicts])),
            "distance": float(np.mean([v.distance for v in verdicts])),
            "offset": float(np.median([v.offset for v in verdicts])),
            "|offset| <= 1": float(np.mean([abs(v.offset) <= 1 for v in verdicts])),
        }
        for name, verdicts in found.items()
    }


def main(argv: list[str]) -> int:
    """Makes a speech bank, trains, writes the folder, prints the held-out figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train sync", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for config.json and the weights"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args(argv)
    if args.steps < 1:
        raise InputError(f"--steps {args.steps} trains nothing; give 1 or more")
    torch.set_num_threads(1)
    network = trained(lessons(talks.make(args.seed, SCALE), args.seed), args.seed, args.steps)
    network.save_pretrained(args.out)
    print(json.dumps(held_out(network), indent=1))
    return 0
