"""Speech of any length -> wav2vec 2.0 states, 30 rows per second, as AniPortrait's two networks hear it.

The published code runs a whole clip at once. Here the convolutions run piece by piece and give the same
numbers (the group norm's statistics over the clip are gathered first); the transformer, whose attention knows
no bound, runs in overlapping windows of 20 s that are cross-faded. A clip of up to 20 s is one window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models import windows
from pipeline.models.audio2pose import SAMPLE_RATE, check_audio
from pipeline.values import Audio, InputError

if TYPE_CHECKING:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

ROW_RATE = 30  # rows per second
PIECE = 250  # wav2vec features (5 s): 16000 first-layer columns of 512 values are 33 MB
# Rows of a window and rows shared by two (20 s, 6 s). The positional convolution sees 64 rows to either side:
# a window's outer 64 rows count for nothing, the 52 between them are faded.
WINDOW, OVERLAP, MARGIN = 600, 180, 64
VARIANCE_FLOOR = 1e-7


def rows_of(samples: int) -> int:
    """How many rows the published code makes of that many samples at 16 kHz: ceil(seconds * 30)."""
    return math.ceil(samples / SAMPLE_RATE * ROW_RATE)


def heard(audio: Audio, fps: float, frames: int) -> np.ndarray:
    """The samples (n,) float32 with mean 0 and variance 1 over the clip, as wav2vec 2.0 expects them."""
    samples = check_audio(audio, fps, frames).astype(np.float64)
    return ((samples - samples.mean()) / np.sqrt(samples.var() + VARIANCE_FLOOR)).astype(np.float32)


def build(settings: dict | None) -> Wav2Vec2Model:
    """A wav2vec 2.0 encoder; `settings` are those of its config.json, None = wav2vec2-base-960h."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(**(settings or {}))
    if config.feat_extract_norm != "group":
        raise InputError(
            f"wav2vec2 with feat_extract_norm {config.feat_extract_norm!r} is not AniPortrait's; "
            "use the config.json of facebook/wav2vec2-base-960h"
        )
    return Wav2Vec2Model(config)


def whole(encoder: Wav2Vec2Model, values: Tensor, rows: int) -> Tensor:
    """States (B, rows, d) of normalised samples (B, n), all at once, as the published code computes them."""
    return _states(encoder, _to_rows(encoder.feature_extractor(values), rows))


def encode(encoder: Wav2Vec2Model, values: Tensor, rows: int) -> Tensor:
    """States (rows, d) float32 of a clip's normalised samples (n,), in bounded memory.

    What grows with the clip are the features, about 0.1 MB per second of speech, and the states, 0.09 MB.
    """
    features = _to_rows(_features(encoder, values)[None], rows)
    parts = ((span, _states(encoder, features[:, :, slice(*span)])[0]) for span in plan(rows))
    return crossfade(parts, rows, OVERLAP, MARGIN)


def plan(rows: int) -> list[tuple[int, int]]:
    """The transformer's windows (start, stop)."""
    return windows.plan(rows, WINDOW, OVERLAP)


def crossfade(
    parts: Iterable[tuple[tuple[int, int], Tensor]], rows: int, overlap: int, margin: int
) -> Tensor:
    """Rows (rows, d) float32 of overlapping parts ((start, stop), (stop - start, d)), faded linearly.

    At an end that another part overlaps, a part's outer `margin` rows count for nothing.
    """
    total = weight = None
    for (start, stop), values in parts:
        if total is None:
            total = values.new_zeros(rows, values.shape[1], dtype=torch.float32)
            weight = total.new_zeros(rows, 1)
        place = torch.arange(stop - start, device=values.device)
        rise = ((place + 0.5 - margin) / (overlap - 2 * margin)).clamp(0, 1)
        share = torch.ones_like(rise)
        share = share if start == 0 else share * rise
        share = share if stop == rows else share * rise.flip(0)
        total[start:stop] += values.float() * share[:, None]
        weight[start:stop] += share[:, None]
    return total / weight


def at_frames(states: Tensor, fps: float, frames: int) -> Tensor:
    """Rows (frames, d): `states` (rows, d) at 30 per second taken at the middle of every video frame.

    Linear in between, held at the ends; at 30 frames per second the rows themselves.
    """
    middle = (torch.arange(frames, dtype=torch.float64) + 0.5) / fps * ROW_RATE - 0.5
    place = middle.clamp(0, len(states) - 1).to(states.device)
    low = place.floor().long()
    high = (low + 1).clamp(max=len(states) - 1)
    return torch.lerp(states[low], states[high], (place - low).to(states.dtype)[:, None])


def _to_rows(features: Tensor, rows: int) -> Tensor:
    """Features (B, C, N) stretched to (B, C, rows), first on first and last on last."""
    return F.interpolate(features, size=rows, mode="linear", align_corners=True)


def _states(encoder: Wav2Vec2Model, features: Tensor) -> Tensor:
    """(B, C, rows) -> (B, rows, d): projection and transformer."""
    hidden, _ = encoder.feature_projection(features.transpose(1, 2))
    return encoder.encoder(hidden)[0]


def _features(encoder: Wav2Vec2Model, values: Tensor) -> Tensor:
    """(C, N) what the feature extractor makes of samples (n,), piece by piece."""
    layers = encoder.feature_extractor.conv_layers
    stride = math.prod(encoder.config.conv_stride)
    reach = _reach(encoder.config)
    count = (len(values) - reach) // stride + 1
    mean, scale = _statistics(layers[0], values)
    pieces = []
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        x = layers[0].conv(values[None, None, start * stride : (stop - 1) * stride + reach])
        norm = layers[0].layer_norm
        x = (x - mean) * (scale * norm.weight[:, None]) + norm.bias[:, None]
        x = layers[0].activation(x)
        for layer in layers[1:]:
            x = layer(x)
        pieces.append(x[0])
    return torch.cat(pieces, 1)


def _reach(config: Wav2Vec2Config) -> int:
    """Samples that one feature sees: 400 for the published kernels and strides."""
    reach = 1
    for kernel, stride in zip(
        reversed(config.conv_kernel), reversed(config.conv_stride), strict=True
    ):
        reach = (reach - 1) * stride + kernel
    return reach


def _statistics(layer: nn.Module, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / deviation (C, 1) of the first convolution over the whole clip, summed in float64."""
    (kernel,), (stride,) = layer.conv.kernel_size, layer.conv.stride
    count = (len(values) - kernel) // stride + 1
    total = square = 0.0
    for start in range(0, count, PIECE * 64):
        stop = min(start + PIECE * 64, count)
        y = layer.conv(values[None, None, start * stride : (stop - 1) * stride + kernel])[0]
        total = total + y.sum(1, dtype=torch.float64)
        square = square + (y * y).sum(1, dtype=torch.float64)
    mean = total / count
    spread = (square / count - mean**2).clamp_min(0) + layer.layer_norm.eps
    return mean[:, None].to(values.dtype), spread.rsqrt()[:, None].to(values.dtype)
