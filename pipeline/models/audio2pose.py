"""Audio2Pose, the embedded network: speech -> mouth parameters at any frame rate, fast on a CPU.

A small residual convolution net over log-mel features, trained only on synthetic speech with rule
labels (`pipeline.training.train_audio2pose`). It sees 0.6 s of sound on either side of a frame. The
order of the parameters is `motion.face_animation.PARAMETERS`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.values import Audio, InputError

SAMPLE_RATE = 16000
# 100 feature frames a second
HOP_SAMPLES = 160
WINDOW_SAMPLES = 400
FFT_SAMPLES = 512
OUTPUT_HZ = 50
PARAMETER_COUNT = 10
VISEME_COUNT = 16  # viseme 0 is silence
POWER_FLOOR = 1e-10
PRE_EMPHASIS = 0.95
NYQUIST_MARGIN = (
    0.98  # of half the sample rate: where the lowest edge may end that a warp pushes up
)
MIN_EDGE_HZ = 1  # keeps narrow filters from dividing by zero
MIN_FILTER_SUM = 1e-3
# Feature frames: 30 s at a time with 1.5 s around, so that memory is bounded
CHUNK = 3000
CONTEXT = 150
# Speech-like frames lie within 22 dB of the loud ones; log10 power: 2.2
ACTIVE_QUANTILE = 0.95
ACTIVE_RANGE = 2.2
MEL_SPREAD = 0.6  # usual deviation of a band over speech, in log10 power
MEL_LIMIT = 4.0
TOKEN_OFFSETS_SECONDS = (-0.08, -0.04, 0.0, 0.04, 0.08)  # around a frame's time: its tokens
# Level of the loudest part that sounds like speech: below the first nobody speaks, above the second
# somebody does
CLOSED_DBFS = -78.0
OPEN_DBFS = -70.0
SILENCE_DBFS = -120.0
LEVEL_FLOOR = 1e-12
LOUDEST_PERCENTILE = 95
# How long the mouth may move before detected speech, for the breath, and after it
INHALE_SECONDS = 0.40
RELEASE_SECONDS = 0.24
# The gate on the mouth: means over 5 rows (0.1 s) leave out blips, a 9-row Hann window rounds it
BLIP_ROWS = 5
HANN_ROWS = 9
GATE_LOW = 0.25
GATE_WIDTH = 0.35
# Row t answers for (t + PHASE) / fps: of -0.25 to 0.75 the best on real clips; 0.5 loses 0.01 in r
PHASE = 0.25


@dataclass(frozen=True)
class FaceMotion:
    """What a face does while it speaks, one row per video frame.

    Attributes:
        params: (T, 10) mouth parameters in [0, 1].
        tokens: (T, n, d) float32 network features around each frame.
        speech: (T,) in [0, 1], how surely somebody speaks.
    """

    params: np.ndarray
    tokens: np.ndarray
    speech: np.ndarray


@dataclass(frozen=True)
class _Output:
    """What the network gives for a whole clip, float32 on the CPU, M rows at 50 Hz.

    Attributes:
        params: (10, M) in [0, 1].
        visemes: (16, M) logits.
        features: (d, M).
    """

    params: Tensor
    visemes: Tensor
    features: Tensor


def mel_bank(mels: int = 64, low: float = 60.0, high: float = 7600.0, warp: float = 1.0) -> Tensor:
    """Return (FFT / 2 + 1, mels) triangular filters on the mel scale 2595 log10(1 + f / 700).

    Args:
        mels: number of filters.
        low: lowest edge in Hz.
        high: highest edge in Hz.
        warp: stretches the frequencies, as vocal tract length perturbation does.
    """

    def mel(frequency: float) -> float:
        ratio = np.asarray(frequency) / 700
        return 2595 * np.log10(1 + ratio)

    low_mel = mel(low)
    high_mel = mel(high)
    points = np.linspace(low_mel, high_mel, mels + 2)
    edges = 700 * (10 ** (points / 2595) - 1)
    ceiling = SAMPLE_RATE / 2 * np.linspace(NYQUIST_MARGIN, 1.0, mels + 2)
    edges = np.minimum(edges * warp, ceiling)
    bins = np.arange(FFT_SAMPLES // 2 + 1) * SAMPLE_RATE / FFT_SAMPLES
    left = edges[:-2]
    center = edges[1:-1]
    right = edges[2:]
    hertz = bins[:, None]
    rise_width = np.maximum(center - left, MIN_EDGE_HZ)
    fall_width = np.maximum(right - center, MIN_EDGE_HZ)
    rise = (hertz - left) / rise_width
    fall = (right - hertz) / fall_width
    bank = np.maximum(0, np.minimum(rise, fall))
    total = np.maximum(bank.sum(0), MIN_FILTER_SUM)
    return torch.tensor(bank / total, dtype=torch.float32)


def log_mel(samples: Tensor, bank: Tensor) -> Tensor:
    """Return log10 mel power (B, mels, N) of samples (B, n); frame k is around sample 160 k."""
    frames = samples.shape[-1] // HOP_SAMPLES + 1
    first = samples[:, :1] * (1 - PRE_EMPHASIS)
    others = samples[:, 1:] - PRE_EMPHASIS * samples[:, :-1]
    emphasized = torch.cat([first, others], 1)
    half = WINDOW_SAMPLES // 2
    padded = F.pad(emphasized, (half, half + HOP_SAMPLES))
    cut = padded.unfold(1, WINDOW_SAMPLES, HOP_SAMPLES)[:, :frames]
    window = torch.hann_window(WINDOW_SAMPLES, device=samples.device)
    spectrum = torch.fft.rfft(cut * window, FFT_SAMPLES)
    power = spectrum.real.square().add_(spectrum.imag.square())
    mel = torch.log10(power @ bank + POWER_FLOOR)
    return mel.transpose(1, 2)


def normalize(mel: Tensor) -> Tensor:
    """Return (B, mels, N) with every band's mean over the active frames taken off.

    Microphone and level cancel. Active frames lie within 22 dB of the 95th percentile of the frame
    level, each clip by itself.
    """
    level = mel.mean(1)
    loud = torch.quantile(level, ACTIVE_QUANTILE, dim=1, keepdim=True)
    active = (level > loud - ACTIVE_RANGE).to(mel.dtype)[:, None]
    count = active.sum(2, keepdim=True).clamp_min(1)
    mean = (mel * active).sum(2, keepdim=True) / count
    return ((mel - mean) / MEL_SPREAD).clamp(-MEL_LIMIT, MEL_LIMIT)


class Block(nn.Module):
    """A residual block: group norm, dilated convolution, SiLU, dropout, pointwise convolution."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv(self.norm(x))
        hidden = self.drop(F.silu(hidden))
        return x + self.out(hidden)


class Audio2Pose(ModelMixin, ConfigMixin):
    """Log-mel (B, 64, N) at 100 Hz -> mouth parameters, viseme logits and features at 50 Hz."""

    @register_to_config
    def __init__(
        self,
        mels: int = 64,
        channels: int = 160,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv1d(mels, channels, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Block(channels, d, dropout) for d in dilations)
        self.norm = nn.GroupNorm(8, channels)
        self.params = nn.Conv1d(channels, PARAMETER_COUNT, 1)
        self.visemes = nn.Conv1d(channels, VISEME_COUNT, 1)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mouth parameters in [0, 1], viseme logits and features.

        Their shapes are (B, 10, M), (B, 16, M) and (B, channels, M) with M = ceil(N / 2).
        """
        x = self.stem(mel)
        for block in self.blocks:
            x = block(x)
        features = self.norm(x)
        params = torch.sigmoid(self.params(features))
        return params, self.visemes(features), features

    @torch.no_grad()
    def predict(self, audio: Audio, fps: float, frames: int) -> FaceMotion:
        """Return the face motion of `frames` video frames; row t answers for (t + 0.25) / fps."""
        samples = check_audio(audio, fps, frames)
        was_training = self.training
        self.eval()
        try:
            output = self._output(samples)
        finally:
            self.train(was_training)
        silence = torch.softmax(output.visemes, 0)[0]
        voiced = 1 - silence.numpy()
        speech = voiced * _speech_level(samples, voiced)
        gate = _mouth_gate(speech)
        params = output.params.numpy().T * gate[:, None]
        rows = np.arange(frames)
        times = (rows + PHASE) / fps
        tokens = tokens_at(output.features.numpy().T, times)
        return FaceMotion(_rows_at(params, times), tokens, _rows_at(speech[:, None], times)[:, 0])

    @torch.no_grad()
    def features(self, audio: Audio) -> np.ndarray:
        """Return float32 features (M, channels) of the whole sound at 50 Hz, for `tokens_at`."""
        samples = check_audio(audio, OUTPUT_HZ, 1)
        return self._output(samples).features.numpy().T

    def _output(self, samples: np.ndarray) -> _Output:
        """Return the network's output for a clip of any length, chunk by chunk."""
        mel = _clip_mel(samples, self.config.mels)
        params = []
        visemes = []
        features = []
        for start in range(0, mel.shape[2], CHUNK):
            left = min(start, CONTEXT)
            part = mel[..., start - left : start + CHUNK + CONTEXT]
            part = part.to(self.device, self.dtype)
            first = left // 2
            stop = (left + CHUNK) // 2
            outputs = [output[0, :, first:stop].float().cpu() for output in self(part)]
            part_params, part_visemes, part_features = outputs
            params.append(part_params)
            visemes.append(part_visemes)
            features.append(part_features)
        return _Output(
            params=torch.cat(params, 1),
            visemes=torch.cat(visemes, 1),
            features=torch.cat(features, 1),
        )


def _clip_mel(samples: np.ndarray, mels: int) -> Tensor:
    """Return (1, mels, N) normalized features of samples (n,), computed chunk by chunk."""
    bank = mel_bank(mels)
    step = CHUNK * HOP_SAMPLES
    reach = 2 * HOP_SAMPLES  # the window of a chunk's first and last frames reaches that far
    pieces = []
    for start in range(0, len(samples), step):
        stop = start + step
        left = min(start, reach)
        cut = torch.from_numpy(samples[start - left : stop + reach])
        mel = log_mel(cut[None], bank)
        mel = mel[..., left // HOP_SAMPLES :]
        if stop < len(samples):
            mel = mel[..., :CHUNK]
        pieces.append(mel)
    return normalize(torch.cat(pieces, 2))


def tokens_at(features: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return (T, n, d) float32 tokens: features (M, d) around each of `times` (T,) seconds."""
    around = [_rows_at(features, times + offset) for offset in TOKEN_OFFSETS_SECONDS]
    return np.stack(around, axis=1).astype(np.float32)


def check_audio(audio: Audio, fps: float, frames: int) -> np.ndarray:
    """Return the samples at 16 kHz float32; raise InputError when the request makes no sense."""
    if audio.rate != SAMPLE_RATE:
        raise InputError(
            f"audio is at {audio.rate} Hz but audio2pose hears {SAMPLE_RATE} Hz; "
            "read it with media.read_audio"
        )
    samples = audio.samples
    is_long_mono = samples.ndim == 1 and len(samples) >= WINDOW_SAMPLES
    if not is_long_mono or not np.isfinite(samples).all():
        raise InputError(
            f"audio of shape {samples.shape} must be mono, finite and "
            f"at least {WINDOW_SAMPLES} samples long"
        )
    if not (fps > 0 and frames >= 1):
        raise ValueError(f"fps {fps} and frames {frames} must be positive")
    return np.ascontiguousarray(samples, np.float32)


def _speech_level(samples: np.ndarray, voiced: np.ndarray) -> float:
    """Return a factor in [0, 1] for the clip: 0 when all that sounds like speech is too quiet.

    Args:
        samples: (n,) of the clip.
        voiced: (M,) in [0, 1] at 50 Hz.
    """
    size = SAMPLE_RATE // OUTPUT_HZ
    count = len(voiced) * size
    padded = np.pad(samples, (0, max(0, count - len(samples))))[:count]
    blocks = padded.reshape(-1, size).astype(np.float64)
    power = np.mean(blocks**2, axis=1)
    level = np.log10(power + LEVEL_FLOOR)
    level = 10 * level  # dB
    speech_level = level[voiced > 0.5]
    loudest = SILENCE_DBFS
    if len(speech_level):
        loudest = float(np.percentile(speech_level, LOUDEST_PERCENTILE))
    share = (loudest - CLOSED_DBFS) / (OPEN_DBFS - CLOSED_DBFS)
    return float(np.clip(share, 0, 1))


def _mouth_gate(speech: np.ndarray) -> np.ndarray:
    """Return (M,) in [0, 1]: 1 from 0.4 s before speech to 0.24 s after it, 0 elsewhere, smooth."""
    before = round(INHALE_SECONDS * OUTPUT_HZ)
    after = round(RELEASE_SECONDS * OUTPUT_HZ)
    core = _same_length_convolution(speech, np.full(BLIP_ROWS, 1 / BLIP_ROWS))
    padded = np.pad(core, (after, before))
    around = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1)
    near = around.max(1)
    kernel = np.hanning(HANN_ROWS)[1:-1]
    kernel = kernel / kernel.sum()
    smooth = _same_length_convolution(near, kernel)
    x = np.clip((smooth - GATE_LOW) / GATE_WIDTH, 0, 1)
    return x * x * (3 - 2 * x)


def _same_length_convolution(curve: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the curve (M,) convolved with an odd kernel, its ends held."""
    padded = np.pad(curve, len(kernel) // 2, mode="edge")
    return np.convolve(padded, kernel, mode="valid")


def _rows_at(curves: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return curves (M, k) at 50 Hz at `times` seconds, linear between, held at the ends."""
    last = len(curves) - 1
    place = np.clip(times * OUTPUT_HZ, 0, last)
    low = np.floor(place).astype(int)
    low = np.minimum(low, max(last - 1, 0))
    high = np.minimum(low + 1, last)
    share = (place - low)[:, None]
    before = curves[low]
    after = curves[high]
    return before * (1 - share) + after * share
