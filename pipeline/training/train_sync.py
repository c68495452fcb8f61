"""Train the network of `sync_c_mini`: `python -m pipeline train sync --out FOLDER`.

All it learns from is drawn ground truth.

Windows of a sound and of the mouth that a drawn presenter opens to it attract each other. All
other pairs of the batch repel (InfoNCE, van den Oord et al. 2018, in both directions). A batch has
8 clips x 16 windows: telling windows of one clip apart is what teaches the offset.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models import sync_mini
from pipeline.training.data import held_out, presenters, talks
from pipeline.training.data.clips import HELD_OUT_SEED
from pipeline.training.data.filming import FAR_SECONDS, Cast, draw_cast
from pipeline.training.data.presenters import acting
from pipeline.training.data.speech.engines import SAMPLE_RATE
from pipeline.values import Audio, InputError

BANK_SCALE = 0.5  # of the training bank: 180 espeak-ng talks, 55 of flite where it is installed
STEPS = 900
CLIPS_PER_BATCH = 8
WINDOWS_PER_CLIP = 16
LEARNING_RATE = 2e-3
TEMPERATURE = 0.1
PIECES_PER_TALK = 3
PIECE_SECONDS = (1.6, 4.0)  # as long as talks to be judged
LEAST_OPENING = 0.02  # spread of the opening, in face heights, below which a piece teaches nothing
SIZE = (192, 128)  # of the pictures, which are not painted
_SPREAD_QUANTILES = (0.02, 0.98)
_INT16 = 32767


@dataclass(frozen=True)
class Lesson:
    """A piece of a talk of T frames: sound (T, 40, 20) and mouth (T, 5, 2)."""

    sound: Tensor
    mouth: Tensor


def draw_lessons(bank: talks.Bank, seed: int, pieces: int = PIECES_PER_TALK) -> list[Lesson]:
    """Cut pieces of a bank's talks, each said by another drawn presenter."""
    generator = torch.Generator().manual_seed(seed)
    lessons = []
    for row in range(len(bank)):
        for _ in range(pieces):
            lesson = _draw_lesson(bank, row, generator)
            if lesson is not None:
                lessons.append(lesson)
    return lessons


def _draw_lesson(bank: talks.Bank, row: int, generator: torch.Generator) -> Lesson | None:
    """Cut one piece; None where the mouth hardly opens in it."""
    length_share, start_share, frame_share = torch.rand(3, generator=generator).tolist()
    talk = bank.talks[row]
    shortest, longest = PIECE_SECONDS
    seconds = min(shortest + length_share * (longest - shortest), talk.seconds)
    frames = int(seconds * sync_mini.FPS)
    start = int(start_share * (talk.seconds - seconds) * SAMPLE_RATE)
    first = frame_share / sync_mini.FPS  # s from the piece's first sample to its first frame
    times = start / SAMPLE_RATE + first + torch.arange(frames) / sync_mini.FPS
    moments = times[None]
    cast = draw_cast(generator, 1, bank)
    cues = bank.cues(torch.tensor([row]), moments)
    motion = moments + FAR_SECONDS * torch.rand(1, generator=generator)
    opening = _opening(cast, cues, motion)
    if _spread(opening) < LEAST_OPENING:
        return None
    samples = talk.samples[start : start + int(seconds * SAMPLE_RATE)]
    audio = Audio(samples.astype(np.float32) / _INT16, SAMPLE_RATE)
    sound = sync_mini.sound_windows(audio, frames, first)
    return Lesson(sound, sync_mini.mouth_windows(opening, opening))


def _opening(cast: Cast, cues: talks.Cues, motion: Tensor) -> np.ndarray:
    """Return (T,) the opening of the drawn mouth of one presenter, in face heights."""
    dofs = acting.act(cast.moves, cast.manner, cues, motion)
    _, _, face = presenters.points(cast.people, dofs, SIZE)
    return held_out.aperture(face[0], SIZE)


def _spread(opening: np.ndarray) -> float:
    return np.ptp(np.quantile(opening, _SPREAD_QUANTILES))


def fit(lessons: list[Lesson], seed: int, steps: int = STEPS) -> sync_mini.SyncMini:
    """Train a network on the lessons; the same for the same seed and lessons."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = sync_mini.SyncMini()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    clips = min(CLIPS_PER_BATCH, len(lessons))
    for _ in range(steps):
        sound = []
        mouth = []
        for number in rng.choice(len(lessons), clips, replace=False):
            lesson = lessons[number]
            rows = rng.choice(len(lesson.sound), WINDOWS_PER_CLIP, replace=False)
            sound.append(lesson.sound[rows])
            mouth.append(lesson.mouth[rows])
        sound_points, mouth_points = network(torch.cat(sound), torch.cat(mouth))
        loss = _contrastive_loss(sound_points, mouth_points)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
    return network.eval().requires_grad_(False)


def _contrastive_loss(sound: Tensor, mouth: Tensor) -> Tensor:
    """Return InfoNCE in both directions of points (N, 64); row n of one belongs to row n."""
    similarity = sound @ mouth.T / TEMPERATURE
    partners = torch.arange(len(sound))
    from_sound = F.cross_entropy(similarity, partners)
    from_mouth = F.cross_entropy(similarity.T, partners)
    return (from_sound + from_mouth) / 2


def judge_held_out(network: sync_mini.SyncMini) -> dict[str, dict[str, float]]:
    """Judge drawn mouths of the held-out talks, true and spoilt: what can the network tell
    apart?"""
    bank = talks.held_out()
    generator = torch.Generator().manual_seed(HELD_OUT_SEED)
    rng = np.random.default_rng(0)
    verdicts: dict[str, list[sync_mini.Verdict]] = {}
    for row, talk in enumerate(bank.talks):
        frames = int(talk.seconds * sync_mini.FPS)
        moments = (torch.arange(frames) + sync_mini.PHASE)[None] / sync_mini.FPS
        cast = draw_cast(generator, 1, bank)
        cues = bank.cues(torch.tensor([row]), moments)
        opening = _opening(cast, cues, moments + 100)
        audio = Audio(talk.samples.astype(np.float32) / _INT16, SAMPLE_RATE)
        for name, curve in _spoil(opening, rng).items():
            verdict = network.judge(curve, opening, audio)
            verdicts.setdefault(name, []).append(verdict)
    return {name: _mean_verdict(rows) for name, rows in verdicts.items()}


def _spoil(opening: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the true opening (T,) and worse ones, by name."""
    from scipy.ndimage import gaussian_filter1d

    frames = len(opening)
    spread = _spread(opening)
    return {
        "true": opening,
        "2 frames late": np.concatenate([opening[:2], opening[:-2]]),
        "smooth, 2 frames": gaussian_filter1d(opening, 2.0),
        "noise 0.1": opening + 0.1 * spread * rng.standard_normal(frames),
        "exchanged halves": np.roll(opening, frames // 2),
        "still": np.full(frames, opening.mean()),
    }


def _mean_verdict(verdicts: list[sync_mini.Verdict]) -> dict[str, float]:
    """Return the figures of several verdicts."""
    offsets = [verdict.offset for verdict in verdicts]
    return {
        "sync_c_mini": float(np.mean([verdict.confidence for verdict in verdicts])),
        "distance": float(np.mean([verdict.distance for verdict in verdicts])),
        "offset": float(np.median(offsets)),
        "|offset| <= 1": float(np.mean([abs(offset) <= 1 for offset in offsets])),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Make a speech bank, train, write the folder, print the held-out figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train sync", description=__doc__.splitlines()[0]
    )
    out_help = "folder for config.json and the weights"
    parser.add_argument("--out", type=Path, required=True, help=out_help)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(argv)
    if options.steps < 1:
        raise InputError(f"--steps {options.steps} trains nothing; give 1 or more")
    torch.set_num_threads(1)
    bank = talks.make_bank(options.seed, BANK_SCALE)
    lessons = draw_lessons(bank, options.seed)
    network = fit(lessons, options.seed, options.steps)
    network.save_pretrained(options.out)
    print(json.dumps(judge_held_out(network), indent=1))
    return 0
