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
RENAMED = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Every key of the model's published file and its shape."""
    found = {}
    for key, value in model.state_dict().items():
        for new, old in RENAMED.items():
            key = key.replace(new, old)
        found[key] = tuple(value.shape)
    return found


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a pickle that may hold nothing else."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is damaged ({error}); download it again") from error
    try:
        tensors = _unpickled(path)
    except UnpicklingError as error:
        raise InputError(
            f"{path} is damaged or holds more than tensors, which could run code; it is not opened: download "
            "it again, or take the safetensors file"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); download it again") from error
    if not isinstance(tensors, dict) or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise InputError(f"{path} is no table of tensors; take the published file as it is")
    return dict(tensors)


def _unpickled(path: Path) -> Any:
    """Mapped into memory where the file is an archive, as since PyTorch 1.6; else read."""
    with path.open("rb") as opened:
        archive = opened.read(2) == b"PK"
    return torch.load(path, map_location="cpu", weights_only=True, mmap=archive or None)


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a wav2vec2 config.json, as plain values; what it leaves out is as in base-960h."""
    from transformers import Wav2Vec2Config

    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8"))
        known = Wav2Vec2Config.from_dict(settings).to_diff_dict()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no wav2vec2 config.json ({error}); download it again"
        ) from error
    return {
        key: value
        for key, value in known.items()
        if key not in ("transformers_version", "model_type")
    }


def fill(model: Module, state: dict[str, Tensor], path: Path) -> Module:
    """The model, made on the meta device, with exactly the published tensors; ready for inference."""
    wanted, given = shapes(model), {key: tuple(value.shape) for key, value in state.items()}
    for said, keys in (
        ("lacks", wanted.keys() - given.keys()),
        ("has unknown", given.keys() - wanted.keys()),
    ):
        if keys:
            raise InputError(
                f"{path} {said} {min(keys)} ({len(keys)} keys in all): it is another model's file; "
                f"download the one for {type(model).__name__}"
            )
    for key in wanted:
        if wanted[key] != given[key]:
            raise InputError(
                f"{path} has {key} of shape {given[key]}, expected {wanted[key]}: it belongs to another "
                f"model or another config.json than {type(model).__name__}'s"
            )
    model.load_state_dict(state, strict=True, assign=True)
    return model.requires_grad_(False).float().eval()
