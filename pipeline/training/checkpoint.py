"""One checkpoint file of a run: networks, average, optimizer and position, without pickles.

The file is hidden until it is whole. So a crash, a kill or a full disk leaves the last good one.
Where DeepSpeed or FSDP shards the parameters, Accelerate writes a folder of its own instead; a note
says which folder is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.media.safe_files import HiddenPart, write_durably
from pipeline.training.weight_average import WeightAverage
from pipeline.values import InputError

NAME = "checkpoint.safetensors"
SHARDS = "shards"  # folder of Accelerate's checkpoints
NOTE = "shards.json"  # which of them is whole
ADAM_FIELDS = ("step", "exp_avg", "exp_avg_sq")


class CheckpointError(Exception):
    """A checkpoint could not be written; the last one is still there."""


@dataclass(frozen=True)
class Position:
    """How far a run is: what its samples, noise and learning rate follow from."""

    iteration: int
    seed: int


def write_checkpoint(
    folder: Path,
    position: Position,
    parameters: Mapping[str, Tensor],
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace the run's checkpoint; raise CheckpointError where the disk is full."""
    tensors = {}
    for name, value in parameters.items():
        tensors[f"net.{name}"] = value.detach().contiguous()
        for field, state in optimizer.state.get(value, {}).items():
            tensors[f"{field}.{name}"] = state.detach().contiguous()
    for name, value in average.values.items():
        tensors[f"average.{name}"] = value.contiguous()
    facts = asdict(position) | {"average_steps": average.steps}
    place = folder / NAME
    try:
        with HiddenPart(place) as part:
            save_file(tensors, part.path, {"position": json.dumps(facts)})
            part.publish(place, is_durable=True)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(str(error)) from error


def read_checkpoint(
    folder: Path,
    parameters: Mapping[str, Tensor],
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
) -> Position | None:
    """Take a run up where its checkpoint is; None where it has none.

    Raises InputError where the checkpoint belongs to other networks or another optimizer.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["position"])
            _check_names(path, set(file.keys()), parameters)
            _read_networks(file, parameters, average)
            _read_optimizer(file, parameters, optimizer)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no checkpoint of this trainer ({error}); delete it") from error
    average.steps = facts["average_steps"]
    return Position(facts["iteration"], facts["seed"])


def _check_names(path: Path, names: set[str], parameters: Mapping[str, Tensor]) -> None:
    """Refuse the checkpoint of other networks."""
    wanted = {f"net.{name}" for name in parameters}
    found = {name for name in names if name.startswith("net.")}
    if wanted != found:
        example = min(wanted ^ found).removeprefix("net.")
        raise InputError(
            f"{path} holds other trained networks than this run (such as {example}); "
            "give the same `model`, `interaction` and `lora_rank`, or another folder `run`"
        )


@torch.no_grad()
def _read_networks(
    file: safe_open, parameters: Mapping[str, Tensor], average: WeightAverage
) -> None:
    for name, parameter in parameters.items():
        value = file.get_tensor(f"net.{name}")
        if value.shape != parameter.shape:
            raise ValueError(f"{name} has the shape {tuple(value.shape)}")
        parameter.copy_(value)
    names = set(file.keys())
    for name, value in average.values.items():
        key = f"average.{name}"
        # a run that had no average so far begins with what the networks are
        stored = file.get_tensor(key) if key in names else parameters[name].detach()
        value.copy_(stored)


def _read_optimizer(
    file: safe_open, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    names = set(file.keys())
    for name, parameter in parameters.items():
        state = {}
        for field in ADAM_FIELDS:
            key = f"{field}.{name}"
            if key in names:
                stored = file.get_tensor(key)
                # the count of steps stays where AdamW keeps it, on the CPU
                state[field] = stored if field == "step" else stored.to(parameter.device)
        if state:
            optimizer.state[parameter] = state


def write_shards(folder: Path, position: Position, accelerator: Accelerator) -> None:
    """Let all processes write their parts; then note that they are whole and drop older ones."""
    place = folder / SHARDS / str(position.iteration)
    try:
        accelerator.save_state(str(place))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            note = json.dumps(asdict(position))
            write_durably(folder / NOTE, note.encode(), folder / NOTE)
    except OSError as error:
        raise CheckpointError(str(error)) from error
    if accelerator.is_main_process:
        for other in (folder / SHARDS).iterdir():
            if other != place:
                shutil.rmtree(other)


def read_shards(folder: Path, accelerator: Accelerator) -> Position | None:
    """Take a sharded run up where its last whole checkpoint is; None where it has none."""
    note = folder / NOTE
    if not note.is_file():
        return None
    position = Position(**json.loads(note.read_text(encoding="utf-8")))
    accelerator.load_state(str(folder / SHARDS / str(position.iteration)))
    return position
