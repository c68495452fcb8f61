"""Audio2Pose, the embedded network: speech -> mouth parameters at any frame rate, on a CPU in milliseconds.

A small residual convolution net over log-mel features, trained only on synthetic speech with rule labels
(`pipeline.training.train_audio2pose`). Field of view +-0.6 s. The parameter order is that of `motion.face`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.values import Audio, InputError

SAMPLE_RATE = 16000
HOP, WINDOW, FFT = 160, 400, 512  # 100 feature frames per second
OUTPUT_RATE = 50
PARAMETERS, VISEMES = 10, 16  # viseme 0 is silence
FLOOR = 1e-10
CHUNK, CONTEXT = (
    3000,
    150,
)  # feature frames: 30 s at a time with 1.5 s around, so that memory is bounded
TOKEN_OFFSETS = (-0.08, -0.04, 0.0, 0.04, 0.08)  # s around a frame's time, the tokens of that frame
LEVEL_CLOSED, LEVEL_OPEN = (
    -78.0,
    -70.0,
)  # dBFS of the loudest speech-like part: under it nobody speaks
INHALE, RELEASE = 0.40, 0.24  # s for which the mouth may move before and after detected speech
# Row t answers for (t + PHASE) / fps: of -0.25 to 0.75 the best on real clips, by 0.01 in r over 0.5
PHASE = 0.25


@dataclass(frozen=True)
class FaceMotion:
    """What a face does while it speaks, one row per video frame.

    params: (T, 10) in [0, 1]. tokens: (T, n, d) float32 network features around each frame.
    speech: (T,) in [0, 1].
    """

    params: np.ndarray
    tokens: np.ndarray
    speech: np.ndarray


def mel_bank(mels: int = 64, low: float = 60.0, high: float = 7600.0, warp: float = 1.0) -> Tensor:
    """(FFT / 2 + 1, mels) triangular filters on the mel scale 2595 log10(1 + f / 700).

    `warp` stretches the frequencies, as vocal tract length perturbation does.
    """

    def mel(f: np.ndarray | float) -> np.ndarray:
        return 2595 * np.log10(1 + np.asarray(f) / 700)

    edges = 700 * (10 ** (np.linspace(mel(low), mel(high), mels + 2) / 2595) - 1)
    edges = np.minimum(edges * warp, SAMPLE_RATE / 2 * np.linspace(0.98, 1.0, mels + 2))
    bins = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    rise = (bins[:, None] - edges[:-2]) / np.maximum(edges[1:-1] - edges[:-2], 1)
    fall = (edges[2:] - bins[:, None]) / np.maximum(edges[2:] - edges[1:-1], 1)
    bank = np.maximum(0, np.minimum(rise, fall))
    return torch.tensor(bank / np.maximum(bank.sum(0), 1e-3), dtype=torch.float32)


def log_mel(samples: Tensor, bank: Tensor) -> Tensor:
    """(B, mels, N) log10 mel power of (B, n) samples; feature frame k is centred on sample 160 k."""
    frames = samples.shape[-1] // HOP + 1
    emphasised = torch.cat([samples[:, :1] * 0.05, samples[:, 1:] - 0.95 * samples[:, :-1]], 1)
    padded = F.pad(emphasised, (WINDOW // 2, WINDOW // 2 + HOP))
    cut = padded.unfold(1, WINDOW, HOP)[:, :frames]
    spectrum = torch.fft.rfft(cut * torch.hann_window(WINDOW, device=samples.device), FFT)
    return torch.log10(
        spectrum.real.square().add_(spectrum.imag.square()) @ bank + FLOOR
    ).transpose(1, 2)


def normalize(mel: Tensor) -> Tensor:
    """(B, mels, N) with every band's mean over the active frames taken off: microphone and level cancel.

    Active frames lie within 22 dB of the 95th percentile of the frame level, each clip by itself.
    """
    level = mel.mean(1)
    active = (level > torch.quantile(level, 0.95, dim=1, keepdim=True) - 2.2).to(mel.dtype)[:, None]
    mean = (mel * active).sum(2, keepdim=True) / active.sum(2, keepdim=True).clamp_min(1)
    return ((mel - mean) / 0.6).clamp(-4, 4)


class Block(nn.Module):
    """Pre-norm residual block: group norm, dilated convolution, SiLU, dropout, pointwise convolution."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.drop(F.silu(self.conv(self.norm(x)))))


class Audio2Pose(ModelMixin, ConfigMixin):
    """Log-mel features (B, 64, N) at 100 Hz -> mouth parameters, viseme logits and features at 50 Hz."""

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
        self.params = nn.Conv1d(channels, PARAMETERS, 1)
        self.visemes = nn.Conv1d(channels, VISEMES, 1)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Parameters (B, 10, M) in [0, 1], viseme logits (B, 16, M), features (B, channels, M).

        M = ceil(N / 2).
        """
        x = self.stem(mel)
        for block in self.blocks:
            x = block(x)
        features = self.norm(x)
        return torch.sigmoid(self.params(features)), self.visemes(features), features

    @torch.no_grad()
    def predict(self, audio: Audio, fps: float, frames: int) -> FaceMotion:
        """The face motion of `frames` video frames; row t answers for the time (t + 0.25) / fps."""
        samples = check_audio(audio, fps, frames)
        was_training = self.training
        self.eval()
        try:
            params, visemes, features = self._whole(samples)
        finally:
            self.train(was_training)
        voiced = 1 - torch.softmax(visemes, 0)[0].numpy()
        speech = voiced * _loud_enough(samples, voiced)
        params = params.numpy().T * _mouth_gate(speech)[:, None]
        times = (np.arange(frames) + PHASE) / fps
        tokens = tokens_at(features.numpy().T, times)
        return FaceMotion(_at(params, times), tokens, _at(speech[:, None], times)[:, 0])

    @torch.no_grad()
    def features(self, audio: Audio) -> np.ndarray:
        """(M, channels) float32 network features of the whole sound at 50 Hz, for `tokens_at`."""
        return self._whole(check_audio(audio, OUTPUT_RATE, 1))[2].numpy().T

    def _whole(self, samples: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Network output (k, M) float32 on the CPU for a clip of any length, chunk by chunk."""
        bank = mel_bank(self.config.mels)
        step = CHUNK * HOP
        pieces = []
        for start in range(0, len(samples), step):
            left = min(start, 2 * HOP)  # the window of a chunk's first frames reaches back
            cut = samples[start - left : start + step + 2 * HOP]
            mel = log_mel(torch.from_numpy(cut)[None], bank)[..., left // HOP :]
            pieces.append(mel[..., :CHUNK] if start + step < len(samples) else mel)
        mel = normalize(torch.cat(pieces, 2))
        out: list[tuple[Tensor, ...]] = []
        for start in range(0, mel.shape[2], CHUNK):
            left = min(start, CONTEXT)
            part = mel[..., start - left : start + CHUNK + CONTEXT].to(self.device, self.dtype)
            keep = slice(left // 2, (left + CHUNK) // 2)
            out.append(tuple(y[0, :, keep].float().cpu() for y in self(part)))
        params, visemes, features = (torch.cat(list(kind), 1) for kind in zip(*out, strict=True))
        return params, visemes, features


def tokens_at(features: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, n, d) float32 tokens: features (M, d) around each of `times` (T,) seconds."""
    return np.stack([_at(features, times + d) for d in TOKEN_OFFSETS], axis=1).astype(np.float32)


def check_audio(audio: Audio, fps: float, frames: int) -> np.ndarray:
    """The samples at 16 kHz float32; ValueError when the request makes no sense."""
    if audio.rate != SAMPLE_RATE:
        raise InputError(
            f"audio is at {audio.rate} Hz but audio2pose hears {SAMPLE_RATE} Hz; read it with media.read_audio"
        )
    if (
        audio.samples.ndim != 1
        or len(audio.samples) < WINDOW
        or not np.isfinite(audio.samples).all()
    ):
        raise InputError(
            f"audio of shape {audio.samples.shape} must be mono, finite and at least {WINDOW} samples long"
        )
    if not (fps > 0 and frames >= 1):
        raise InputError(f"fps {fps} and frames {frames} must be positive")
    return np.ascontiguousarray(audio.samples, np.float32)


def _loud_enough(samples: np.ndarray, voiced: np.ndarray) -> float:
    """A factor in [0, 1] for the clip: 0 when what sounds like speech stays under the absolute level."""
    size = SAMPLE_RATE // OUTPUT_RATE
    padded = np.pad(samples, (0, max(0, len(voiced) * size - len(samples))))[: len(voiced) * size]
    level = 10 * np.log10(np.mean(padded.reshape(-1, size).astype(np.float64) ** 2, axis=1) + 1e-12)
    spoken = level[voiced > 0.5]
    loudest = float(np.percentile(spoken, 95)) if len(spoken) else -120.0
    return float(np.clip((loudest - LEVEL_CLOSED) / (LEVEL_OPEN - LEVEL_CLOSED), 0, 1))


def _mouth_gate(speech: np.ndarray) -> np.ndarray:
    """(M,) in [0, 1]: 1 from 0.4 s before speech, for the breath, to 0.24 s after it, 0 elsewhere, smooth."""
    before, after = (int(round(s * OUTPUT_RATE)) for s in (INHALE, RELEASE))
    core = np.convolve(
        np.pad(speech, 2, mode="edge"), np.full(5, 0.2), mode="valid"
    )  # 0.1 s: no blips
    padded = np.pad(core, (after, before))
    near = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1).max(1)
    kernel = np.hanning(9)[1:-1]
    smooth = np.convolve(np.pad(near, 3, mode="edge"), kernel / kernel.sum(), mode="valid")
    x = np.clip((smooth - 0.25) / 0.35, 0, 1)
    return x * x * (3 - 2 * x)


def _at(curves: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Rows of (M, k) curves at 50 Hz, interpolated linearly at `times` seconds and held at the ends."""
    place = np.clip(times * OUTPUT_RATE, 0, len(curves) - 1)
    low = np.minimum(np.floor(place).astype(int), max(len(curves) - 2, 0))
    high = np.minimum(low + 1, len(curves) - 1)
    share = (place - low)[:, None]
    return curves[low] * (1 - share) + curves[high] * share


def receptive_field(dilations: tuple[int, ...]) -> float:
    """Seconds of sound on either side that one output frame sees (window edges included)."""
    return math.fsum(dilations) / OUTPUT_RATE + (2 * HOP + WINDOW / 2) / SAMPLE_RATE
