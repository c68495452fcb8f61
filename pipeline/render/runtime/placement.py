"""Put a loaded pipeline where it runs: device, precision, attention, offload, compilation,
layout."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import nn

from pipeline.render.runtime.device import ATTENTION, DTYPES, Placement, choose_device
from pipeline.values import InputError

log = logging.getLogger(__name__)

# shapes of one kind of block that may be compiled: a UNet has more than PyTorch's own limit of 8
RECOMPILE_LIMIT = 128
# parameters of a UNet from which on half precision and offload are worth it
LARGE_UNET_PARAMETERS = 1e8
# beside the weights, for a window of 24 frames at 576x1024; see `cost.py`
ACTIVATIONS_GB = 6.0


class OnDevice(Protocol):
    """Anything that lies on a device."""

    @property
    def device(self) -> torch.device: ...


class PlaceablePipeline(Protocol):
    """What the functions here read and change of a pipeline."""

    condition: OnDevice
    unet: nn.Module
    controlnext: nn.Module
    vae: nn.Module
    reference_tokens: nn.Module
    interaction: nn.Module | None
    attention_backend: str | None
    placed: Placement | None

    @property
    def components(self) -> dict[str, Any]: ...

    def to(self, device: str) -> Any: ...

    def enable_model_cpu_offload(self, *, device: str) -> None: ...


def place(pipe: PlaceablePipeline, how: Placement) -> None:
    """Put the pipeline where `how` says, and note the choices in `attention_backend` and
    `placed`."""
    device = choose_device(how.device)
    dtype = choose_dtype(pipe, how.dtype, device)
    set_dtype(pipe, dtype)
    if how.layout == "channels-last":
        set_channels_last(pipe)
    offload_mode = choose_offload(pipe, how.offload, device)
    offload(pipe, offload_mode, device)
    pipe.attention_backend = choose_attention(pipe, how.attention, device)
    if how.compiling == "on":
        compile_blocks(pipe.unet)
    pipe.placed = Placement(
        device=device,
        attention=pipe.attention_backend,
        dtype=str(dtype).removeprefix("torch."),
        offload=offload_mode,
        compiling=how.compiling,
        layout=how.layout,
    )


def set_channels_last(pipe: PlaceablePipeline) -> None:
    """Store the weights of convolutions in channels-last layout; convolutions over time have
    none."""
    for part in (pipe.unet, pipe.controlnext, pipe.vae):
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d):
                layer.to(memory_format=torch.channels_last)


def choose_attention(pipe: PlaceablePipeline, attention: str, device: str) -> str:
    """Set the attention backend and return its name.

    For "auto" it is "xformers" where that is installed and the device is CUDA, else "sdpa".
    """
    if attention not in ATTENTION:
        raise InputError(f"attention {attention!r} is unknown; use one of {', '.join(ATTENTION)}")
    on_cuda = device.startswith("cuda")
    if attention == "xformers" or (attention == "auto" and on_cuda):
        try:
            use_xformers(pipe, True)
            return "xformers"
        # diffusers tries it out: a build for another PyTorch or another card fails in its own way
        except (ImportError, ValueError, RuntimeError) as error:
            reason = _first_line(error)
            if attention == "xformers":
                raise InputError(
                    f"xformers attention was asked for but cannot be used here ({reason}); "
                    "use `attention` sdpa"
                ) from error
            log.info("xformers is not usable (%s), PyTorch attention is used", reason)
    use_xformers(pipe, False)  # an earlier placement may have chosen it
    return "sdpa"


def use_xformers(pipe: PlaceablePipeline, on: bool) -> None:
    """Turn xformers on or off where attention is over the places of one frame.

    Attention over time has a few rows for every place and head. xformers' kernels take at most
    65535 of these (its issue 845). SVD's first level has more beyond 13107 latent places, .84
    megapixels.
    """
    for part in (pipe.unet, pipe.vae):
        for name, layer in part.named_modules():
            if isinstance(layer, Attention) and ".temporal_transformer_blocks." not in name:
                layer.set_use_memory_efficient_attention_xformers(on)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def compile_blocks(unet: nn.Module, backend: str = "inductor") -> None:
    """Compile the UNet's blocks in place.

    The UNet is not compiled as a whole: the control's hook changes from call to call, and a
    compiled whole would keep the first one.
    """
    from torch._dynamo import config  # takes 2.4 s to import

    config.recompile_limit = max(RECOMPILE_LIMIT, config.recompile_limit)
    for block in unet.modules():
        if isinstance(block, SpatioTemporalResBlock | TransformerSpatioTemporalModel):
            block.compile(backend=backend)


def count_parameters(module: nn.Module) -> int:
    """Count the values of a network."""
    return sum(p.numel() for p in module.parameters())


def choose_dtype(pipe: PlaceablePipeline, dtype: str, device: str) -> torch.dtype:
    """Return the networks' precision; "auto" is float16 for a large UNet on CUDA, else float32."""
    if dtype != "auto":
        return DTYPES[dtype]
    on_cuda = device.startswith("cuda")
    if on_cuda and count_parameters(pipe.unet) >= LARGE_UNET_PARAMETERS:
        return torch.float16
    return torch.float32


def set_dtype(pipe: PlaceablePipeline, dtype: torch.dtype) -> None:
    """Cast what runs often: the UNet and what acts inside it, the codec's decoder, a large image
    encoder.

    The codec's encoder keeps float32: SVD's overflows in float16, and it runs once.
    """
    is_large = count_parameters(pipe.reference_tokens) >= LARGE_UNET_PARAMETERS
    dtypes = {
        pipe.unet: dtype,
        pipe.controlnext: dtype,
        pipe.reference_tokens: dtype if is_large else torch.float32,
    }
    if pipe.interaction is not None:  # its sites lie inside the UNet
        dtypes[pipe.interaction] = dtype
    for name, part in pipe.vae.named_children():
        dtypes[part] = dtype if name == "decoder" else torch.float32
    for module, kind in dtypes.items():
        nn.Module.to(module, kind)  # the networks' own `to` warns of casts that were asked for


def choose_offload(pipe: PlaceablePipeline, how: str, device: str) -> str:
    """Return how weights are kept off the device.

    For "auto" it is "none" where all weights and ACTIVATIONS_GB fit into the device's free memory,
    "model" where the largest network does, else "group".
    """
    if not device.startswith("cuda"):
        if how in ("model", "group"):
            raise InputError(
                f"offload {how} was asked for, but the device is {device}; leave `offload` out"
            )
        return "none"
    if how != "auto":
        return how
    sizes_gb = [size for size in weights_gb(pipe).values() if size]
    return choose_fitting_offload(sizes_gb, available_gb(pipe, torch.device(device)))


def choose_fitting_offload(
    sizes_gb: list[float], free_gb: float, activations_gb: float | None = None
) -> str:
    """Return the offload with which networks of these sizes and the activations fit into
    `free_gb`."""
    total_gb = sum(sizes_gb)
    if total_gb < LARGE_UNET_PARAMETERS * 4 / 1e9:  # an embedded model in float32
        return "none"
    if activations_gb is None:
        activations_gb = ACTIVATIONS_GB
    available = free_gb - activations_gb
    if total_gb <= available:
        return "none"
    return "model" if max(sizes_gb) <= available else "group"


def networks(pipe: PlaceablePipeline) -> Iterator[tuple[str, nn.Module]]:
    """Yield the names and networks among the pipeline's components."""
    for name, part in pipe.components.items():
        if isinstance(part, nn.Module):
            yield name, part


def weights_gb(pipe: PlaceablePipeline) -> dict[str, float]:
    """Measure the GB of every network's weights as they are stored now."""
    sizes = {}
    for name, part in networks(pipe):
        size_bytes = sum(p.numel() * p.element_size() for p in part.parameters())
        sizes[name] = size_bytes / 1e9
    return sizes


def available_gb(pipe: PlaceablePipeline, device: torch.device) -> float:
    """Measure the GB that a pipeline may use: what is free, and what its own weights hold
    already."""
    return free_gb(device) + loaded_gb(pipe, device)


def free_gb(device: torch.device) -> float:
    """Measure the GB that are free on a CUDA device, or in main memory where the system tells."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free, _ = torch.cuda.mem_get_info(device)
        return (free + cached) / 1e9
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        rows = dict(line.split(":", 1) for line in text.splitlines())
        kilobytes, *_ = rows["MemAvailable"].split()
        return int(kilobytes) * 1024 / 1e9
    except (OSError, KeyError):
        return math.inf


def loaded_gb(pipe: PlaceablePipeline, device: torch.device) -> float:
    """Measure the GB of weights that lie on the device already."""
    device = torch.empty(0, device=device).device  # with its number, as parameters name it
    size_bytes = 0
    for _, part in networks(pipe):
        for parameter in part.parameters():
            if parameter.device == device:
                size_bytes += parameter.numel() * parameter.element_size()
    return size_bytes / 1e9


def may_offload(pipe: PlaceablePipeline) -> bool:
    """Return whether the weights lie on a CUDA device and could leave it."""
    placed = pipe.placed
    return placed is not None and placed.device.startswith("cuda") and placed.offload == "none"


def offload(pipe: PlaceablePipeline, how: str, device: str) -> None:
    """Move the pipeline to `device`.

    It moves as a whole ("none"), network by network as they run ("model"), or layer by layer
    ("group").
    """
    if how == "none":
        pipe.to(device)
        return
    if how == "model":
        pipe.enable_model_cpu_offload(device=device)
        return
    target = torch.device(device)
    for name, part in networks(pipe):
        if name != "unet":
            part.to(target)
    pipe.unet.enable_group_offload(
        onload_device=target, offload_type="leaf_level", use_stream=target.type == "cuda"
    )
