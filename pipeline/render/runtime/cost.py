"""How much memory and time a run will take, before it starts, from the networks' configurations.

memory = weights on the device + the larger of two figures: UNET_PEAK_VALUES per row, latent place
and channel of the UNet's first block, and DECODER_PEAK_VALUES per decoded frame, pixel and channel
of the decoder's last block.
time = operations / (measured rate x EFFICIENCY). Operations are two per weight of a layer and place
where it is applied, and four per channel and pair of places in spatial attention. The control
network and the encoders are left out, a tenth at most.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import nn

from pipeline.render.runtime import placement
from pipeline.render.runtime.placement import PlaceablePipeline

# layers that are applied once per row at most
ONCE_PER_ROW = ("time_emb", "add_embedding", "time_pos_embed", "attn2.to_k", "attn2.to_v")
# share of the rate of large matrix products that whole networks reach
EFFICIENCY = 0.5
# values held at the peak, counted in runs of SVD's UNet and decoder at full size on the meta device
UNET_PEAK_VALUES = 27
DECODER_PEAK_VALUES = 8
RATE_SECONDS = 0.1  # of measuring the rate of matrix products


@dataclass(frozen=True)
class Workload:
    """What a run asks of the networks, as its options say.

    latent_size: (h, w) of the latents. rows_per_step: rows that one step evaluates, over all
    windows.
    window_rows: rows of the largest window. evaluations: of the denoiser per window and step.
    decodings:
    how often a frame is decoded on average. decode_chunk: frames that are decoded together.
    """

    latent_size: tuple[int, int]
    frames: int
    steps: int
    rows_per_step: int
    window_rows: int
    evaluations: int
    decodings: float
    decode_chunk: int


class EstimablePipeline(PlaceablePipeline, Protocol):
    """A pipeline that can say what a run will ask of its networks."""

    def workload(
        self,
        size: tuple[int, int],
        frames: int,
        *,
        steps: int | None = None,
        window: int | None = None,
        overlap: int | None = None,
        window_mode: str = "joint",
        conditioning: Mapping[str, float | str] | None = None,
    ) -> Workload: ...


@dataclass(frozen=True)
class Estimate:
    """GB that the networks need on the device, GB that it has for them, seconds of denoising and
    decoding."""

    gigabytes: float
    free: float
    seconds: float

    def sentence(self) -> str:
        """Say the estimate in words, with a remedy where it does not fit."""
        memory = f"{self.gigabytes:.1f} GB of {self.free:.1f} GB free"
        text = f"the networks need about {memory} and {self.seconds:.0f} s"
        if self.gigabytes > self.free:
            text += "; it may not fit: give a smaller `height` and `width`, `window`, "
            text += "or `offload` group"
        return text

    def to_dict(self) -> dict[str, float]:
        """Return the figures as `--json` prints them."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


def count_unet_operations(unet: nn.Module, height: int, width: int) -> float:
    """Count the UNet's operations for one row of latents (height, width)."""
    deepest = len(unet.config.block_out_channels) - 1
    total = 0.0
    for name, layer in unet.named_modules():
        if "." not in name:
            continue  # conv_in and conv_out are below a thousandth
        shrink = 2 ** _level_of(name, deepest)
        places = math.ceil(height / shrink) * math.ceil(width / shrink)
        once = any(part in name for part in ONCE_PER_ROW)
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d) and not once:
            total += 2 * layer.weight.numel() * places
        if name.endswith("attn1") and ".temporal_" not in name:
            total += 4 * layer.inner_dim * places**2
    return total


def _level_of(name: str, deepest: int) -> int:
    """Return how often the latents were halved where the layer of that name is applied."""
    block, *rest = name.split(".")
    if block == "mid_block":
        return deepest
    if block == "down_blocks":
        return int(rest[0]) + ("downsamplers" in rest)
    if block == "up_blocks":
        level = deepest - int(rest[0]) - ("upsamplers" in rest)
        return max(0, level)
    return 0


def count_decoder_operations(vae: nn.Module, height: int, width: int) -> float:
    """Count the operations of a codec's decoder for one frame of latents (height, width).

    A codec without weights counts as 0.
    """
    decoder = getattr(vae, "decoder", None)
    if decoder is None:
        return 0.0
    highest = len(vae.config.block_out_channels) - 1
    total = 0.0
    for name, layer in decoder.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d):
            doublings = min(_doublings_of(name, highest), highest)
            places = height * width * 4**doublings
            total += 2 * layer.weight.numel() * places
    return total


def _doublings_of(name: str, highest: int) -> int:
    """Return how often the latents were doubled where the decoder's layer of that name is
    applied."""
    block, *rest = name.split(".")
    if block in ("conv_out", "time_conv_out"):
        return highest
    if block == "up_blocks":
        return int(rest[0]) + ("upsamplers" in rest)
    return 0


def measure_rate(device: torch.device, dtype: torch.dtype, seconds: float = RATE_SECONDS) -> float:
    """Measure the device's operations per second in matrix products, for a moment."""
    side = 4096 if device.type == "cuda" else 512
    matrix = torch.ones(side, side, device=device, dtype=dtype)

    def time_product() -> float:
        began = time.perf_counter()
        matrix.matmul(matrix)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    time_product()
    times: list[float] = []
    while sum(times) < seconds:
        times.append(time_product())
    return 2 * side**3 / min(times)


def estimate(
    pipe: EstimablePipeline,
    size: tuple[int, int],
    frames: int,
    *,
    steps: int | None = None,
    window: int | None = None,
    overlap: int | None = None,
    window_mode: str = "joint",
    conditioning: Mapping[str, float | str] | None = None,
    speed: float | None = None,
) -> Estimate:
    """Estimate the memory and time of a run of `frames` frames of `size` (H, W).

    The other options are those of `render`. `speed` stands for a measured rate, in operations per
    second.
    """
    workload = pipe.workload(
        size,
        frames,
        steps=steps,
        window=window,
        overlap=overlap,
        window_mode=window_mode,
        conditioning=conditioning,
    )
    device = pipe.condition.device
    if speed is None:
        speed = measure_rate(device, pipe.unet.dtype)
    operations = count_operations(pipe, workload)
    return Estimate(
        gigabytes=peak_gb(pipe, workload),
        free=placement.available_gb(pipe, device),
        seconds=operations / (speed * EFFICIENCY),
    )


def count_operations(pipe: EstimablePipeline, workload: Workload) -> float:
    """Count the operations of denoising and decoding a whole run."""
    rows = workload.rows_per_step * workload.steps * workload.evaluations
    denoising = rows * count_unet_operations(pipe.unet, *workload.latent_size)
    per_frame = count_decoder_operations(pipe.vae, *workload.latent_size)
    return denoising + workload.frames * per_frame * workload.decodings


def peak_gb(pipe: EstimablePipeline, workload: Workload) -> float:
    """Estimate the peak GB on the device: the weights there, and a window's or a decoding's
    values."""
    height, width = workload.latent_size
    places = height * width
    channels = pipe.unet.config.block_out_channels[0]
    window_values = UNET_PEAK_VALUES * workload.window_rows * places * channels
    window_bytes = window_values * pipe.unet.dtype.itemsize
    weights_gb = resident_weights_gb(pipe)
    decoder = getattr(pipe.vae, "decoder", None)
    if decoder is None:
        return weights_gb + window_bytes / 1e9
    widths = pipe.vae.config.block_out_channels
    pixels = places * 4 ** (len(widths) - 1)
    frames = min(workload.decode_chunk, workload.window_rows)
    decoder_values = DECODER_PEAK_VALUES * frames * pixels * widths[0]
    decoder_bytes = decoder_values * next(decoder.parameters()).dtype.itemsize
    return weights_gb + max(window_bytes, decoder_bytes) / 1e9


def resident_weights_gb(pipe: EstimablePipeline) -> float:
    """Return the GB of weights that lie on the device at once, with the pipeline's kind of
    offload."""
    sizes = placement.weights_gb(pipe)
    offload = "none" if pipe.placed is None else pipe.placed.offload
    if offload == "none":
        return sum(sizes.values())
    if offload == "model":
        return max(sizes.values())
    return sum(sizes.values()) - sizes["unet"]
