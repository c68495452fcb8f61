"""Which clips a step of APV-Gen's training takes, and the processes that make their batches.

Every sample has a number: its iteration, its batch among those of all processes, its row. The clip,
the crop, the noise and everything else that chance decides follow from the seed and that number.
So a run that goes on, and a run on another number of processes with as many batches in a step, take
the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.training.clip_batches import ClipBatch, ClipShape, join, make_batch
from pipeline.training.data.fda_sampling import draw_placement
from pipeline.training.data.training_clips import (
    KINDS,
    ClipSource,
    Kind,
    Outpainted,
    TrainingClip,
)
from pipeline.values import Pose

NOISE_FPS = 25.0


@dataclass(frozen=True)
class Share:
    """Which part of a step this process does.

    process, processes: its number and how many there are. accumulation: batches of a process in
    one step. batch: clips of a batch.
    """

    process: int = 0
    processes: int = 1
    accumulation: int = 1
    batch: int = 1

    @property
    def batches(self) -> int:
        """Batches of all processes in one step."""
        return self.processes * self.accumulation

    def numbers(self, iteration: int) -> list[int]:
        """Return the numbers of this process's batches of a step."""
        first = iteration * self.batches + self.process
        return [first + turn * self.processes for turn in range(self.accumulation)]


def step_generator(seed: int, kind: Kind, batch_number: int) -> torch.Generator:
    """Make the generator of the noise of one batch."""
    entropy = (seed, 1, KINDS.index(kind), batch_number)
    words = np.random.SeedSequence(entropy).generate_state(1)
    return torch.Generator().manual_seed(int(words[0]))


class SampleSet(Dataset):
    """Samples of one kind by number."""

    def __init__(self, source: ClipSource, kind: Kind, shape: ClipShape, seed: int) -> None:
        self.source = source
        self.kind = kind
        self.shape = shape
        self.seed = seed
        self._order: np.ndarray | None = None
        self._epoch = -1

    def __getitem__(self, number: int) -> ClipBatch:
        """Make one sample, a batch of one clip."""
        clip = self.source.clip(self.clip_index(number))
        generator = np.random.default_rng((self.seed, 0, KINDS.index(self.kind), number))
        return make_batch(clip, self.shape, generator)

    def clip_index(self, number: int) -> int:
        """Return which clip a sample takes: every clip once in an epoch, in random order."""
        epoch, place = divmod(number, len(self.source))
        if epoch != self._epoch:
            entropy = (self.seed, 2, KINDS.index(self.kind), epoch)
            self._order = np.random.default_rng(entropy).permutation(len(self.source))
            self._epoch = epoch
        return int(self._order[place])


class _StepSampler(Sampler[list[int]]):
    """The sample numbers of this process's batches, from one iteration on."""

    def __init__(self, share: Share, start: int, stop: int) -> None:
        self.share = share
        self.start = start
        self.stop = stop

    def __iter__(self) -> Iterator[list[int]]:
        size = self.share.batch
        for iteration in range(self.start, self.stop):
            for number in self.share.numbers(iteration):
                yield list(range(number * size, (number + 1) * size))

    def __len__(self) -> int:
        return (self.stop - self.start) * self.share.accumulation


def batches(
    samples: SampleSet, share: Share, start: int, stop: int, workers: int
) -> Iterator[ClipBatch]:
    """Yield this process's batches from iteration `start` to `stop`, made by `workers`
    processes."""
    loader = DataLoader(
        samples,
        batch_sampler=_StepSampler(share, start, stop),
        num_workers=workers,
        collate_fn=join,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


@dataclass(frozen=True)
class PartOfSource:
    """The clips `first` to `stop` of a source."""

    source: ClipSource
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first

    def clip(self, index: int) -> TrainingClip:
        """Read or draw one clip."""
        return self.source.clip(self.first + index)


class RememberedClips:
    """A source that keeps every clip it has drawn: drawing takes longer than training on it."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source
        self._clips: dict[int, TrainingClip] = {}

    def __len__(self) -> int:
        return len(self.source)

    def clip(self, index: int) -> TrainingClip:
        """Draw one clip, or remember it."""
        if index not in self._clips:
            self._clips[index] = self.source.clip(index)
        return self._clips[index]


@dataclass(frozen=True)
class NoiseClips:
    """One clip of gray noise and an empty pose: what only the clock looks at."""

    kind: Kind
    frames: int
    size: tuple[int, int]

    def __len__(self) -> int:
        return 2  # one to train on, one left out

    def clip(self, index: int) -> TrainingClip:
        """Make the clip."""
        height, width = self.size
        generator = np.random.default_rng(index)
        pictures = generator.integers(0, 256, (self.frames, height, width, 3), np.uint8)
        outpainted = None
        if self.kind == "face":
            outpainted = Outpainted(pictures[0], draw_placement(generator), 0, "noise")
        return TrainingClip(
            kind=self.kind,
            frames=pictures,
            pose=Pose.empty(self.frames, NOISE_FPS, self.size),
            samples=None,
            outpainted=outpainted,
            source="noise",
        )
