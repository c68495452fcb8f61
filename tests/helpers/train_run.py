"""A training of a few iterations on tiny networks; also a program of several processes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from pipeline.models.haar import HaarLatent
from pipeline.training.apv_gen_networks import Networks, new_networks
from pipeline.training.config import TrainConfig
from pipeline.training.engine import Sources, Trainer, make_accelerator
from pipeline.training.train_apv_gen import make_shape, step_options
from tests.helpers.training_clips import StickClips

CONFIG = TrainConfig(
    model="new", frames=2, height=64, width=64, iterations=4, learning_rate=1e-3, warm_up=2,
    sigma_data=1.0, ema=0.9, dropout=0.0,
)  # fmt: skip


def make_trainer(folder: Path, networks: Networks | None = None, **changes: object) -> Trainer:
    """A trainer of new tiny networks, always the same ones."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=False)
    config = replace(CONFIG, run=str(folder), **changes)
    folder.mkdir(parents=True, exist_ok=True)
    networks = networks or new_networks(HaarLatent(), 0, (32, 32))
    return Trainer(
        config,
        networks,
        make_accelerator(config),
        make_shape(config, networks),
        step_options(config, networks),
    )


SOURCES = Sources(StickClips("face"), StickClips("body"))


def losses_of(trainer: Trainer, stop: int) -> list[dict[str, float]]:
    """The losses of the iterations up to `stop`, of 4 in all."""
    rows = []
    for losses in trainer.iterations(SOURCES, CONFIG.iterations):
        rows.append(losses)
        if trainer.iteration == stop:
            break
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer = make_trainer(Path(sys.argv[1]))
    rows = losses_of(trainer, CONFIG.iterations)
    assert trainer.share.processes == 2
    if trainer.accelerator.is_main_process:
        Path(sys.argv[1], "losses.json").write_text(json.dumps(rows))
    trainer.accelerator.end_training()
