"""A training run that can be continued: networks, moving average, optimizer, progress; no
pickles."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.training import mini_model

LEARNING_RATE = 1.0e-3
WARM_UP_STEPS = 40
LAST_RATE_SHARE = 0.03  # of the learning rate is left at the end
# the interaction learns so many times as fast: it begins at zero beside networks that know their
# task
INTERACTION_PACE = 4.0
AVERAGE_DECAY = 0.995  # of the moving average of the weights
GRADIENT_NORM = 1.0
EXCHANGE_SECONDS = 60.0  # between two averages over the workers
_ADAM_FIELDS = ("step", "exp_avg", "exp_avg_sq")


class Run:
    """Networks, moving average, optimizer and progress of a training that can be continued."""

    def __init__(self, mini: mini_model.Mini, folder: Path) -> None:
        self.mini = mini
        self.folder = folder
        self.networks = mini.networks
        self.average = {name: value.clone() for name, value in self.networks.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self.parameters = dict(self.networks.named_parameters())
        interaction = []
        others = []
        for name, parameter in self.parameters.items():
            group = interaction if name.startswith("interaction.") else others
            group.append(parameter)
        groups = [
            {"params": others, "pace": 1.0},
            {"params": interaction, "pace": INTERACTION_PACE},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, LEARNING_RATE, betas=(0.9, 0.98), weight_decay=1e-3, fused=True
        )

    def update(self, loss: Tensor, share: float, learning_rate: float = LEARNING_RATE) -> None:
        """Take one optimizer step at `share` of the run; `learning_rate` is that of the start."""
        warm_up = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        learning_rate *= warm_up * max(LAST_RATE_SHARE, 1 - share)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["pace"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), GRADIENT_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._update_average()

    def _update_average(self) -> None:
        """Move the average towards the networks; it follows faster in the first steps."""
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        state = self.networks.state_dict()
        averages = list(self.average.values())
        weights = [state[name] for name in self.average]
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - decay)

    def save(self) -> None:
        """Write networks, average and optimizer state as safetensors, progress as JSON."""
        tensors = {}
        for name, value in self.networks.state_dict().items():
            tensors[f"net.{name}"] = value.contiguous()
        for name, value in self.average.items():
            tensors[f"ema.{name}"] = value.contiguous()
        for name, parameter in self.parameters.items():
            state = self.optimizer.state.get(parameter, {})
            for field, value in state.items():
                tensors[f"opt.{field}.{name}"] = value.contiguous()
        draft = self.folder / "state.tmp"
        save_file(tensors, draft, {"step": str(self.step), "seconds": str(self.seconds)})
        os.replace(draft, self.folder / "state.safetensors")
        progress = {"step": self.step, "seconds": self.seconds}
        (self.folder / "progress.json").write_text(json.dumps(progress), encoding="utf-8")

    def resume(self) -> None:
        """Continue where `save` left off; do nothing where there is no saved state."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return
        tensors = load_file(path, device=str(self.mini.unet.device))
        self.networks.load_state_dict(_with_prefix(tensors, "net."))
        self.average = _with_prefix(tensors, "ema.")
        for name, parameter in self.parameters.items():
            state = {field: tensors.get(f"opt.{field}.{name}") for field in _ADAM_FIELDS}
            if all(value is not None for value in state.values()):
                self.optimizer.state[parameter] = state
        progress = json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))
        self.step = progress["step"]
        self.seconds = progress["seconds"]

    def average_with_workers(self, worker: int, workers: int) -> None:
        """Average the weights with what the other workers wrote last (local SGD)."""
        state = self.networks.state_dict()
        draft = self.folder / f"worker{worker}.tmp"
        save_file({name: value.contiguous() for name, value in state.items()}, draft)
        latest = time.time() - 3 * EXCHANGE_SECONDS
        count = 1
        for other in range(workers):
            path = self.folder / f"worker{other}.safetensors"
            if other == worker or not path.exists() or path.stat().st_mtime <= latest:
                continue
            count += 1
            for name, value in load_file(path).items():
                state[name].lerp_(value, 1 / count)
        os.replace(draft, self.folder / f"worker{worker}.safetensors")

    @contextmanager
    def averaged(self) -> Iterator[mini_model.Mini]:
        """Let the networks hold the moving average within a `with` block."""
        weights = {name: value.clone() for name, value in self.networks.state_dict().items()}
        self.networks.load_state_dict(self.average)
        try:
            yield self.mini
        finally:
            self.networks.load_state_dict(weights)


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors whose name begins with a prefix, and cut it off."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
