"""How much memory and time a run will take, before it starts, from the networks' configurations.

memory = weights on the device + the larger of ROW_VALUES per row, latent place and channel of the UNet's
first block, and PIXEL_VALUES per decoded frame, pixel and channel of the decoder's last. time = operations /
(measured rate x EFFICIENCY): two per weight of a layer and place where it is applied, and four per channel
and pair of places in spatial attention; control network and encoders are left out, a tenth at most.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from pipeline.render.runtime import placement
from pipeline.render.svd.conditions import adjusted
from pipeline.render.svd.denoising import SCHEDULES

# applied once per row at most
ONCE = ("time_emb", "add_embedding", "time_pos_embed", "attn2.to_k", "attn2.to_v")
EFFICIENCY = 0.5  # of the rate of large matrix products that whole networks reach
# values held at the peak, counted in runs of SVD's UNet and decoder at full size on the meta device
ROW_VALUES = 27
PIXEL_VALUES = 8


@dataclass(frozen=True)
class Estimate:
    """GB that the networks need on the device, GB that it has for them, seconds of denoising and decoding."""

    gigabytes: float
    free: float
    seconds: float

    def sentence(self) -> str:
        """The estimate in words, with a remedy where it does not fit."""
        room = f"{self.gigabytes:.1f} GB of {self.free:.1f} GB free"
        text = f"the networks need about {room} and {self.seconds:.0f} s"
        if self.gigabytes > self.free:
            text += "; it may not fit: give a smaller --height and --width, --window, or --offload group"
        return text

    def to_dict(self) -> dict[str, float]:
        """As `--json` prints it."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


def operations(unet: nn.Module, height: int, width: int) -> float:
    """Operations of the UNet for one row of latents (height, width); convolutions, products, attention."""
    top = len(unet.config.block_out_channels) - 1
    total = 0.0
    for name, layer in unet.named_modules():
        if "." not in name:
            continue  # conv_in and conv_out are below a thousandth
        level = _level(name, top)
        places = math.ceil(height / 2**level) * math.ceil(width / 2**level)
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d) and not any(
            part in name for part in ONCE
        ):
            total += 2 * layer.weight.numel() * places
        if name.endswith("attn1") and ".temporal_" not in name:
            total += 4 * layer.inner_dim * places**2
    return total


def _level(name: str, top: int) -> int:
    """How often the latents were halved where a layer of that name is applied."""
    pieces = name.split(".")
    if pieces[0] == "mid_block":
        return top
    if pieces[0] == "down_blocks":
        return int(pieces[1]) + ("downsamplers" in pieces)
    if pieces[0] == "up_blocks":
        return max(0, top - int(pieces[1]) - ("upsamplers" in pieces))
    return 0


def decoding(vae: nn.Module, height: int, width: int) -> float:
    """Operations of a codec's decoder for one frame of latents (height, width); 0 for one without weights."""
    total = 0.0
    blocks = getattr(getattr(vae, "config", None), "block_out_channels", ())
    for name, layer in getattr(vae, "decoder", nn.Module()).named_modules():
        pieces = name.split(".") + ["0"]
        doubled = int(pieces[1]) + ("upsamplers" in pieces) if pieces[0] == "up_blocks" else 0
        doubled = len(blocks) - 1 if pieces[0] in ("conv_out", "time_conv_out") else doubled
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d):
            total += 2 * layer.weight.numel() * height * width * 4 ** min(doubled, len(blocks) - 1)
    return total


def rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.1) -> float:
    """Operations per second of matrix products on the device, measured for a moment."""
    side = 4096 if device.type == "cuda" else 512
    a = torch.ones(side, side, device=device, dtype=dtype)

    def product() -> float:
        began = time.perf_counter()
        a.matmul(a)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    product()
    times: list[float] = []
    while sum(times) < seconds:
        times.append(product())
    return 2 * side**3 / min(times)


def estimate(
    pipe: Any,
    size: tuple[int, int],
    frames: int,
    *,
    steps: int | None = None,
    window: int | None = None,
    overlap: int | None = None,
    schedule: str = "joint",
    conditioning: Mapping[str, float] | None = None,
    speed: float | None = None,
) -> Estimate:
    """The estimate for `frames` frames of `size` (H, W); speed: operations/s instead of a measurement."""
    condition = adjusted(pipe.condition, conditioning or {})
    room = pipe.room(window, overlap, condition.lead)
    steps = pipe.config.default_steps if steps is None else steps
    latents = condition.latent_size(size)
    rows = SCHEDULES[schedule].rows(frames, room)
    work = rows * steps * condition.evaluations * operations(pipe.unet, *latents)
    work += frames * decoding(pipe.vae, *latents) * condition.decodings
    device = condition.device
    speed = rate(device, pipe.unet.dtype) if speed is None else speed
    need = gigabytes(pipe, latents, min(room.window, frames + room.lead), condition.config)
    return Estimate(need, placement.room_gb(pipe, device), work / (speed * EFFICIENCY))


def gigabytes(pipe: Any, latents: tuple[int, int], rows: int, config: Mapping[str, Any]) -> float:
    """Peak GB on the device: weights that lie there, and the larger of a window's and a decoding's values."""
    sizes = placement.weights_gb(pipe)
    held = {"none": sum(sizes.values()), "model": max(sizes.values())}
    weights = held.get(pipe.placed.offload, sum(sizes.values()) - sizes["unet"])
    places = latents[0] * latents[1]
    channels = pipe.unet.config.block_out_channels[0]
    window = ROW_VALUES * rows * places * channels * pipe.unet.dtype.itemsize
    decoder = getattr(pipe.vae, "decoder", None)
    if decoder is None:
        return weights + window / 1e9
    widths = pipe.vae.config.block_out_channels
    pixels = places * 4 ** (len(widths) - 1)
    kind = next(decoder.parameters()).dtype.itemsize
    decoded = PIXEL_VALUES * min(config["decode_chunk"], rows) * pixels * widths[0] * kind
    return weights + max(window, decoded) / 1e9
