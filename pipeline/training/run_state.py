"""A training run that can be continued: networks, moving average, optimiser, progress; no pickles."""

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

RATE, WARM_UP, LAST = 1.0e-3, 40, 0.03  # learning rate, its first iterations, its last share
NEW_RATE = (
    4.0  # times as fast: an interaction that begins at zero beside networks that know their task
)
EMA = 0.995
CLIP_NORM = 1.0
MEET_SECONDS = 60.0


class Run:
    """Networks, moving average, optimiser and progress of a training that can be continued."""

    def __init__(self, mini: mini_model.Mini, folder: Path) -> None:
        self.mini, self.folder = mini, folder
        self.networks = mini.networks
        self.average = {k: v.clone() for k, v in self.networks.state_dict().items()}
        self.step, self.seconds = 0, 0.0
        self.parameters = dict(self.networks.named_parameters())
        fast = [p for k, p in self.parameters.items() if k.startswith("interaction.")]
        rest = [p for k, p in self.parameters.items() if not k.startswith("interaction.")]
        groups = [{"params": rest, "pace": 1.0}, {"params": fast, "pace": NEW_RATE}]
        self.optimiser = torch.optim.AdamW(
            groups, RATE, betas=(0.9, 0.98), weight_decay=1e-3, fused=True
        )

    def update(self, loss: Tensor, share: float, rate: float = RATE) -> None:
        """One optimiser step at `share` of the run, whose learning rate begins at `rate`."""
        rate *= min(1.0, (self.step + 1) / WARM_UP) * max(LAST, 1 - share)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["pace"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), CLIP_NORM)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        state = self.networks.state_dict()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.values()), [state[k] for k in self.average], 1 - keep
            )

    def save(self) -> None:
        """Networks, average and optimiser state as safetensors, progress as JSON; no pickles."""
        tensors = {f"net.{k}": v.contiguous() for k, v in self.networks.state_dict().items()}
        tensors |= {f"ema.{k}": v.contiguous() for k, v in self.average.items()}
        for name, parameter in self.parameters.items():
            for field, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"opt.{field}.{name}"] = value.contiguous()
        draft = self.folder / "state.tmp"
        save_file(tensors, draft, {"step": str(self.step), "seconds": str(self.seconds)})
        os.replace(draft, self.folder / "state.safetensors")
        progress = {"step": self.step, "seconds": self.seconds}
        (self.folder / "progress.json").write_text(json.dumps(progress), encoding="utf-8")

    def resume(self) -> None:
        """Continues where `save` left off; nothing happens where there is no saved state."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return
        tensors = load_file(path, device=str(self.mini.unet.device))
        self.networks.load_state_dict(
            {k[4:]: v for k, v in tensors.items() if k.startswith("net.")}
        )
        self.average = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
        for name, parameter in self.parameters.items():
            state = {f: tensors.get(f"opt.{f}.{name}") for f in ("step", "exp_avg", "exp_avg_sq")}
            if all(v is not None for v in state.values()):
                self.optimiser.state[parameter] = state
        progress = json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))
        self.step, self.seconds = progress["step"], progress["seconds"]

    def meet(self, worker: int, workers: int) -> None:
        """Averages the weights with what the other workers wrote last (local SGD)."""
        state = self.networks.state_dict()
        draft = self.folder / f"worker{worker}.tmp"
        save_file({k: v.contiguous() for k, v in state.items()}, draft)
        others = [self.folder / f"worker{i}.safetensors" for i in range(workers) if i != worker]
        fresh = [
            p for p in others if p.exists() and time.time() - p.stat().st_mtime < 3 * MEET_SECONDS
        ]
        for number, path in enumerate(fresh, 2):
            for name, value in load_file(path).items():
                state[name].lerp_(value, 1 / number)
        os.replace(draft, self.folder / f"worker{worker}.safetensors")

    @contextmanager
    def averaged(self) -> Iterator[mini_model.Mini]:
        """A context in which the networks hold the moving average."""
        kept = {k: v.clone() for k, v in self.networks.state_dict().items()}
        self.networks.load_state_dict(self.average)
        try:
            yield self.mini
        finally:
            self.networks.load_state_dict(kept)
