"""Speech of any length -> wav2vec 2.0 states, 30 rows a second, for AniPortrait's network.

The published code runs a whole clip at once. Here the convolutions run piece by piece and give the
same numbers (the group norm's statistics over the clip are gathered first); the transformer, whose
attention knows no bound, runs in overlapping windows of 20 s that are cross-faded. A clip of up to
20 s is one window.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models import windows
from pipeline.models.audio2pose import SAMPLE_RATE, check_audio
from pipeline.values import Audio, InputError

if TYPE_CHECKING:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

ROWS_PER_SECOND = 30
# wav2vec features (5 s) at a time: 16000 first-layer columns of 512 values are 33 MB
PIECE = 250
STATISTICS_PIECE = 64 * PIECE  # columns of the first layer
# Rows of a window and rows shared by two (20 s, 6 s). The positional convolution sees 64 rows to
# either side: a window's outer 64 rows count for nothing, the 52 between them are faded.
WINDOW = 600
OVERLAP = 180
MARGIN = 64
VARIANCE_FLOOR = 1e-7


def row_count(samples: int) -> int:
    """Return how many rows the published code makes of samples at 16 kHz: ceil(seconds * 30)."""
    return math.ceil(samples / SAMPLE_RATE * ROWS_PER_SECOND)


def normalized_samples(audio: Audio, fps: float, frames: int) -> np.ndarray:
    """Return samples (n,) float32 with mean 0 and variance 1, as wav2vec 2.0 needs them."""
    samples = check_audio(audio, fps, frames).astype(np.float64)
    deviation = np.sqrt(samples.var() + VARIANCE_FLOOR)
    centered = samples - samples.mean()
    return (centered / deviation).astype(np.float32)


def build(settings: dict[str, Any] | None) -> Wav2Vec2Model:
    """Return a wav2vec 2.0 encoder; `settings` as in its config.json, None = wav2vec2-base-960h."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(**(settings or {}))
    if config.feat_extract_norm != "group":
        raise InputError(
            f"wav2vec2 with feat_extract_norm {config.feat_extract_norm!r} is not AniPortrait's; "
            "use the config.json of facebook/wav2vec2-base-960h"
        )
    return Wav2Vec2Model(config)


def encode_at_once(encoder: Wav2Vec2Model, values: Tensor, rows: int) -> Tensor:
    """Return states (B, rows, d) of normalized samples (B, n) as the published code does."""
    features = encoder.feature_extractor(values)
    return _states(encoder, _stretched(features, rows))


def encode(encoder: Wav2Vec2Model, values: Tensor, rows: int) -> Tensor:
    """Return states (rows, d) float32 of a clip's normalized samples (n,), in bounded memory.

    What grows with the clip are the features, about 0.1 MB per second of speech, and the states,
    0.09 MB.
    """
    features = _stretched(_features(encoder, values)[None], rows)
    total: Tensor | None = None
    weight: Tensor | None = None
    for start, stop in plan(rows):
        states = _states(encoder, features[:, :, start:stop])[0]
        if total is None or weight is None:
            total = states.new_zeros(rows, states.shape[1], dtype=torch.float32)
            weight = total.new_zeros(rows, 1)
        share = _window_share(start, stop, rows).to(states.device)
        share = share[:, None]
        total[start:stop] += states.float() * share
        weight[start:stop] += share
    return total / weight


def plan(rows: int) -> list[tuple[int, int]]:
    """Return the transformer's windows (start, stop)."""
    return windows.plan_windows(rows, WINDOW, OVERLAP)


def _window_share(start: int, stop: int, rows: int) -> Tensor:
    """Return (stop - start,) how much each row of a window counts.

    At an end that another window overlaps, the outer `MARGIN` rows count for nothing and the next
    ones rise linearly.
    """
    place = torch.arange(stop - start)
    rise = (place + 0.5 - MARGIN) / (OVERLAP - 2 * MARGIN)
    rise = rise.clamp(0, 1)
    share = torch.ones_like(rise)
    if start != 0:
        share = share * rise
    if stop != rows:
        share = share * rise.flip(0)
    return share


def at_frames(states: Tensor, fps: float, frames: int) -> Tensor:
    """Return states (frames, d) at the middle of every video frame, of states (rows, d).

    Linear in between, held at the ends; at 30 frames per second the rows themselves.
    """
    index = torch.arange(frames, dtype=torch.float64)
    seconds = (index + 0.5) / fps
    middle = seconds * ROWS_PER_SECOND - 0.5
    last = len(states) - 1
    place = middle.clamp(0, last).to(states.device)
    low = place.floor().long()
    high = (low + 1).clamp(max=last)
    share = (place - low).to(states.dtype)
    return torch.lerp(states[low], states[high], share[:, None])


def _stretched(features: Tensor, rows: int) -> Tensor:
    """Return features (B, C, N) stretched to (B, C, rows), first on first and last on last."""
    return F.interpolate(features, size=rows, mode="linear", align_corners=True)


def _states(encoder: Wav2Vec2Model, features: Tensor) -> Tensor:
    """Return (B, rows, d) of features (B, C, rows): projection and transformer."""
    hidden, _ = encoder.feature_projection(features.transpose(1, 2))
    return encoder.encoder(hidden)[0]


def _features(encoder: Wav2Vec2Model, values: Tensor) -> Tensor:
    """Return (C, N) what the feature extractor makes of samples (n,), piece by piece."""
    first, *others = encoder.feature_extractor.conv_layers
    weight = first.layer_norm.weight[:, None]
    bias = first.layer_norm.bias[:, None]
    stride = math.prod(encoder.config.conv_stride)
    reach = _reach_samples(encoder.config)
    count = (len(values) - reach) // stride + 1
    mean, scale = _statistics(first, values)
    pieces = []
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        cut = values[start * stride : (stop - 1) * stride + reach]
        x = first.conv(cut[None, None])
        x = (x - mean) * (scale * weight) + bias
        x = first.activation(x)
        for layer in others:
            x = layer(x)
        pieces.append(x[0])
    return torch.cat(pieces, 1)


def _reach_samples(config: Wav2Vec2Config) -> int:
    """Return the samples that one feature sees: 400 for the published kernels and strides."""
    reach = 1
    layers = zip(config.conv_kernel, config.conv_stride, strict=True)
    for kernel, stride in reversed(list(layers)):
        reach = (reach - 1) * stride + kernel
    return reach


def _statistics(layer: nn.Module, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / deviation (C, 1) of the first convolution, summed in float64."""
    (kernel,) = layer.conv.kernel_size
    (stride,) = layer.conv.stride
    count = (len(values) - kernel) // stride + 1
    total: Tensor | float = 0.0
    square: Tensor | float = 0.0
    for start in range(0, count, STATISTICS_PIECE):
        stop = min(start + STATISTICS_PIECE, count)
        cut = values[start * stride : (stop - 1) * stride + kernel]
        y = layer.conv(cut[None, None])[0]
        total = total + y.sum(1, dtype=torch.float64)
        square = square + (y * y).sum(1, dtype=torch.float64)
    mean = total / count
    variance = (square / count - mean**2).clamp_min(0)
    scale = (variance + layer.layer_norm.eps).rsqrt()
    return mean[:, None].to(values.dtype), scale[:, None].to(values.dtype)
