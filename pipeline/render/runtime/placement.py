"""Where and how a loaded pipeline runs: device, precision, attention, offload, compilation, memory layout."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import nn

from pipeline.render.runtime.device import ATTENTION, DTYPES, Placement, choose_device
from pipeline.values import InputError

log = logging.getLogger(__name__)

RECOMPILE = 128  # shapes of one kind of block to compile; a UNet has more than PyTorch's own 8
HEAVY = 1e8  # parameters of a UNet from which on half precision and offload are worth it
ACTIVATIONS_GB = 6.0  # beside the weights, for a window of 24 frames at 576x1024; see `estimate.py`


def place(pipe: Any, how: Placement) -> None:
    """Puts the pipeline where `how` says and notes what was chosen in `attention_backend` and `placed`."""
    device = choose_device(how.device)
    dtype = choose_dtype(pipe, how.dtype, device)
    set_dtype(pipe, dtype)
    if how.layout == "channels-last":
        for part in (pipe.unet, pipe.controlnext, pipe.vae):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d):  # convolutions over time have no such layout
                    layer.to(memory_format=torch.channels_last)
    chosen = choose_offload(pipe, how.offload, device)
    offload(pipe, chosen, device)
    pipe.attention_backend = choose_attention(pipe, how.attention, device)
    if how.compiling == "on":
        compile_blocks(pipe.unet)
    pipe.placed = Placement(
        device,
        pipe.attention_backend,
        str(dtype).removeprefix("torch."),
        chosen,
        how.compiling,
        how.layout,
    )


def choose_attention(pipe: Any, attention: str, device: str) -> str:
    """The backend in use: "xformers" where it is installed and the device is CUDA, else "sdpa"."""
    if attention not in ATTENTION:
        raise InputError(f"attention {attention!r} is unknown; use one of {', '.join(ATTENTION)}")
    if attention == "xformers" or (attention == "auto" and device.startswith("cuda")):
        try:
            use_xformers(pipe, True)
            return "xformers"
        # diffusers tries it out: a build for another PyTorch or another card fails there in its own way
        except (ImportError, ValueError, RuntimeError) as error:
            if attention == "xformers":
                raise InputError(
                    f"xformers attention was asked for but cannot be used here ({_first_line(error)}); "
                    "use --attention sdpa"
                ) from error
            log.info("xformers is not usable (%s), PyTorch attention is used", _first_line(error))
    use_xformers(pipe, False)  # which an earlier placement may have chosen
    return "sdpa"


def use_xformers(pipe: Any, on: bool) -> None:
    """Turns xformers on or off where attention is over places of a frame.

    Over time there are a few rows for every place and head, and xformers' kernels take 65535 of these at most
    (its issue 845), which SVD's first level passes beyond 13107 latent places, .84 megapixels.
    """
    for part in (pipe.unet, pipe.vae):
        for name, layer in part.named_modules():
            if isinstance(layer, Attention) and ".temporal_transformer_blocks." not in name:
                layer.set_use_memory_efficient_attention_xformers(on)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def compile_blocks(unet: nn.Module, backend: str = "inductor") -> None:
    """Compiles the UNet's blocks in place, not the whole: the control's hook changes from call to call, and a
    compiled whole would keep the first one.
    """
    from torch._dynamo import config  # 2.4 s to import

    config.recompile_limit = max(RECOMPILE, config.recompile_limit)
    for block in unet.modules():
        if isinstance(block, SpatioTemporalResBlock | TransformerSpatioTemporalModel):
            block.compile(backend=backend)


def parameters(module: nn.Module) -> int:
    """How many values a network has."""
    return sum(p.numel() for p in module.parameters())


def choose_dtype(pipe: Any, dtype: str, device: str) -> torch.dtype:
    """The precision of the networks: for "auto", float16 for a large UNet on CUDA and float32 otherwise."""
    if dtype != "auto":
        return DTYPES[dtype]
    half = device.startswith("cuda") and parameters(pipe.unet) >= HEAVY
    return torch.float16 if half else torch.float32


def set_dtype(pipe: Any, dtype: torch.dtype) -> None:
    """Casts what runs often: UNet and what acts inside, the codec's decoder, and a large image encoder.

    A codec's encoder keeps float32: SVD's overflows in float16, and it runs once.
    """
    large = parameters(pipe.reference_tokens) >= HEAVY
    kinds = {pipe.unet: dtype, pipe.controlnext: dtype,
             pipe.reference_tokens: dtype if large else torch.float32}  # fmt: skip
    if pipe.interaction is not None:  # its sites lie inside the UNet
        kinds[pipe.interaction] = dtype
    for name, part in pipe.vae.named_children():
        kinds[part] = dtype if name == "decoder" else torch.float32
    for module, kind in kinds.items():
        nn.Module.to(module, kind)  # the networks' own `to` warns of casts that were asked for


def choose_offload(pipe: Any, how: str, device: str) -> str:
    """How weights are kept off the device: for "auto" what its room for this pipeline asks for.

    "none" where all weights and ACTIVATIONS_GB fit, "model" where the largest network does, else "group".
    """
    if not device.startswith("cuda"):
        if how in ("model", "group"):
            raise InputError(
                f"offload {how} was asked for, but the device is {device}; leave --offload out"
            )
        return "none"
    if how != "auto":
        return how
    sizes = [size for size in weights_gb(pipe).values() if size]
    return fitting(sizes, room_gb(pipe, torch.device(device)))


def fitting(sizes: list[float], free: float, activations: float | None = None) -> str:
    """The offload that fits networks of `sizes` GB and the activations into `free` GB."""
    if sum(sizes) < HEAVY * 4 / 1e9:  # an embedded model
        return "none"
    room = free - (ACTIVATIONS_GB if activations is None else activations)
    if sum(sizes) <= room:
        return "none"
    return "model" if max(sizes) <= room else "group"


def weights_gb(pipe: Any) -> dict[str, float]:
    """GB of every network's weights as they are stored now."""
    return {
        name: sum(p.numel() * p.element_size() for p in part.parameters()) / 1e9
        for name, part in pipe.components.items()
        if isinstance(part, nn.Module)
    }


def room_gb(pipe: Any, device: torch.device) -> float:
    """GB that a pipeline may use of a device: what is free, and what its own weights hold there already."""
    return free_gb(device) + loaded_gb(pipe, device)


def free_gb(device: torch.device) -> float:
    """Memory in GB that is free on a CUDA device, or on this machine where the system tells."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + idle) / 1e9
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            rows = dict(line.split(":", 1) for line in file)
        return int(rows["MemAvailable"].split()[0]) * 1024 / 1e9
    except (OSError, KeyError):
        return math.inf


def loaded_gb(pipe: Any, device: torch.device) -> float:
    """GB of weights that lie on the device already."""
    device = torch.empty(0, device=device).device  # with its number, as tensors say it
    networks = (part for part in pipe.components.values() if isinstance(part, nn.Module))
    there = (p for part in networks for p in part.parameters() if p.device == device)
    return sum(p.numel() * p.element_size() for p in there) / 1e9


def may_offload(pipe: Any) -> bool:
    """Whether the weights lie on a CUDA device and could leave it."""
    placed = getattr(pipe, "placed", None)
    return placed is not None and placed.device.startswith("cuda") and placed.offload == "none"


def offload(pipe: Any, how: str, device: str) -> None:
    """Moves the pipeline to `device`: whole, network by network as they run ("model"), or layer by layer."""
    if how == "none":
        pipe.to(device)
    elif how == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        target = torch.device(device)
        for name, part in pipe.components.items():
            if isinstance(part, nn.Module) and name != "unet":
                part.to(target)
        pipe.unet.enable_group_offload(
            onload_device=target, offload_type="leaf_level", use_stream=target.type == "cuda"
        )
