"""Published state dicts -> our modules: names as published, keys and shapes exactly as expected."""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.values import InputError

Module = TypeVar("Module", bound=nn.Module)

# torch's weight norm today: what the published files call weight_g and weight_v
PUBLISHED_NAMES = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}
# Batches that a normalization has seen: older files lack it, and inference does not read it
COUNTER = "num_batches_tracked"
NOT_SETTINGS = ("transformers_version", "model_type")


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return every key of the model's published file and its shape."""
    table = {}
    for key, value in model.state_dict().items():
        for today, published in PUBLISHED_NAMES.items():
            key = key.replace(today, published)
        table[key] = tuple(value.shape)
    return table


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of a pickle that may hold nothing else."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is damaged ({error}); download it again") from error
    try:
        tensors = _unpickled(path)
    except UnpicklingError as error:
        raise InputError(
            f"{path} is damaged or holds more than tensors, which could run code; "
            "it is not opened: download it again, or take the safetensors file"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); download it again") from error
    if not isinstance(tensors, dict) or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise InputError(f"{path} is no table of tensors; take the published file as it is")
    return dict(tensors)


def _unpickled(path: Path) -> Any:
    """Return what a pickle holds; an archive (PyTorch 1.6 on) is mapped into memory, not read."""
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive or None)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a wav2vec2 config.json that differ from base-960h, as plain values."""
    from transformers import Wav2Vec2Config

    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        settings = Wav2Vec2Config.from_dict(content).to_diff_dict()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no wav2vec2 config.json ({error}); download it again"
        ) from error
    return {key: value for key, value in settings.items() if key not in NOT_SETTINGS}


def fill(model: Module, state: dict[str, Tensor], path: Path) -> Module:
    """Return the model, made on the meta device, with exactly the published tensors.

    It is ready for inference. InputError names the first key that does not fit; `path` is the file.
    """
    wanted = shapes(model)
    _check_keys(wanted.keys() - state.keys(), "lacks", model, path)
    _check_keys(state.keys() - wanted.keys(), "has unknown", model, path)
    for key, shape in wanted.items():
        received = tuple(state[key].shape)
        if received != shape:
            raise InputError(
                f"{path} has {key} of shape {received}, expected {shape}: it belongs to another "
                f"model or another config.json than {type(model).__name__}'s"
            )
    model.load_state_dict(state, strict=True, assign=True)
    return model.requires_grad_(False).float().eval()


def with_counters(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a table of tensors with the model's counters of batches, 0 where it lacks them."""
    names = [key for key in model.state_dict() if key.endswith(COUNTER)]
    counters = {name: torch.tensor(0) for name in names}
    return counters | state


def _check_keys(keys: set[str], fault: str, model: nn.Module, path: Path) -> None:
    """Raise InputError if there is a key that a file lacks or has too many."""
    if keys:
        raise InputError(
            f"{path} {fault} {min(keys)} ({len(keys)} keys in all): it is another model's file; "
            f"download the one for {type(model).__name__}"
        )
