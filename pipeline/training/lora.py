"""LoRA of the UNet by peft: adapters beside the attention's layers are trained, the rest is not.

A saved model has the adapters added to its weights, so that it runs without peft. The adapters
alone are kept beside them in `lora.safetensors`, by the names that diffusers reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.values import InputError

NAME = "lora.safetensors"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
ADAPTER = "default"  # peft's name of the only one
BASE = ".base_layer."
DOWN = f".lora_A.{ADAPTER}.weight"
UP = f".lora_B.{ADAPTER}.weight"


def add_lora(unet: nn.Module, rank: int, seed: int) -> None:
    """Put adapters of a rank into the UNet; only they keep gradients. They begin at zero."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(
            "`lora_rank` needs peft; run `pip install -r requirements-train.txt`"
        ) from error
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, unet, ADAPTER)


def merged(states: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return plain tensors by plain names: weights with their adapters added.

    Without adapters they are the tensors that came.
    """
    plain = {}
    for name, value in states.items():
        if name.endswith((DOWN, UP)):
            continue
        if BASE not in name:
            plain[name] = value
            continue
        layer, _, field = name.partition(BASE)
        down = states.get(layer + DOWN)
        if field == "weight" and down is not None:
            change = states[layer + UP] @ down
            value = value + change.to(value.dtype)
        plain[f"{layer}.{field}"] = value
    return plain


def save_lora(states: Mapping[str, Tensor], folder: Path) -> bool:
    """Write the adapters alone; return whether there are any."""
    adapters = {}
    for name, value in states.items():
        if name.endswith((DOWN, UP)):
            short = name.replace(f".{ADAPTER}.", ".")
            value = value.detach()
            adapters[short] = value.cpu().contiguous()
    if adapters:
        save_file(adapters, folder / NAME, {"format": "pt"})
    return bool(adapters)


@torch.no_grad()
def load_lora(networks: nn.Module, path: Path) -> None:
    """Give the adapters of `networks` the tensors of a file that `save_lora` wrote.

    Raises InputError where the file has other adapters.
    """
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as LoRA weights ({error})") from error
    wanted = {}
    for name, parameter in networks.named_parameters():
        if name.endswith((DOWN, UP)):
            short = name.replace(f".{ADAPTER}.", ".")
            wanted[short] = parameter
    if wanted.keys() != stored.keys():
        example = min(wanted.keys() ^ stored.keys())
        raise InputError(
            f"{path} holds the adapters of another network (such as {example}); "
            "give the `model` that it was trained from"
        )
    for name, parameter in wanted.items():
        if parameter.shape != stored[name].shape:
            rank = min(stored[name].shape)
            raise InputError(f"{path} has the rank {rank}; give that as `lora_rank`")
        parameter.copy_(stored[name])
