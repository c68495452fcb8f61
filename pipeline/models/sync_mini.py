"""`sync_c_mini`: does the opening of a mouth fit the sound? A small network's own measure.

Two encoders, one for 200 ms of sound and one for five frames of a mouth's opening, map to the unit
sphere, as in SyncNet (Chung and Zisserman 2016, "Out of time"). Confidence is theirs: the median
over offsets of the mean distance, less its minimum. The scale is not: figures of this network
compare with its own alone, and it sees an opening, not pixels. It learned from drawn ground truth
(`training.train_sync`), never from a model's output. Defined in `evaluation/METRICS.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import ROOT
from pipeline.models.audio2pose import (
    HOP_SAMPLES,
    PHASE,
    SAMPLE_RATE,
    log_mel,
    mel_bank,
    normalize,
)
from pipeline.values import Audio, InputError

FOLDER = ROOT / "checkpoints" / "sync_mini"
FPS = 25
MELS = 40
SOUND_ROWS = 20  # feature frames of 10 ms around a frame's moment
MOUTH_FRAMES = 5
MAX_OFFSET = 10  # frames, to both sides
# Of an opening that counts, where 0 and 1 are the truth's 2nd and 98th percentile
RANGE = (-1.0, 2.0)
TRUTH_QUANTILES = (0.02, 0.98)
MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class Verdict:
    """How well a mouth fits its sound.

    Attributes:
        confidence: median over offsets of the mean distance, less the least.
        distance: the least mean distance.
        offset: how many frames the mouth is late.
    """

    confidence: float
    distance: float
    offset: int


class SyncMini(ModelMixin, ConfigMixin):
    """Sound (N, 40, 20) and mouth (N, 5, 2) -> points (N, 64) on the unit sphere."""

    @register_to_config
    def __init__(self, channels: int = 96, hidden: int = 128, size: int = 64) -> None:
        super().__init__()
        self.sound = nn.Sequential(
            nn.Conv1d(MELS, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(channels * SOUND_ROWS // 4, hidden),
            nn.ReLU(),
            nn.Linear(hidden, size),
        )
        self.mouth = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2 * MOUTH_FRAMES, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, size),
        )

    def forward(self, sound: Tensor, mouth: Tensor) -> tuple[Tensor, Tensor]:
        sound_points = F.normalize(self.sound(sound), dim=1)
        mouth_points = F.normalize(self.mouth(mouth), dim=1)
        return sound_points, mouth_points

    @torch.no_grad()
    def judge(self, opening: np.ndarray, truth: np.ndarray, audio: Audio) -> Verdict:
        """Return the verdict on a curve of openings (T,) at 25 fps with its sound.

        `truth` (T,) gives the range of openings. InputError for a curve of ten frames or less, or a
        sound that ends before it.
        """
        if len(opening) <= MAX_OFFSET:
            raise InputError(
                f"a mouth of {len(opening)} frames is too short to judge; give over {MAX_OFFSET}"
            )
        sound = sound_windows(audio, len(opening))
        mouth = mouth_windows(opening, truth)
        sound_points, mouth_points = self(sound, mouth)
        # Rows are the sound's frames. By products, as by default, small distances are lost.
        distances = torch.cdist(
            sound_points, mouth_points, compute_mode="donot_use_mm_for_euclid_dist"
        )
        offsets = range(-MAX_OFFSET, MAX_OFFSET + 1)
        means = np.array([float(distances.diagonal(offset).mean()) for offset in offsets])
        best = int(means.argmin())
        least = means[best]
        confidence = float(np.median(means) - least)
        return Verdict(confidence, float(least), best - MAX_OFFSET)


def sound_windows(audio: Audio, frames: int, first: float = PHASE / FPS) -> Tensor:
    """Return (T, 40, 20) log-mel around the moments first + t / 25 s.

    Every band's mean over the speech is 0.
    """
    if audio.rate != SAMPLE_RATE or audio.seconds < (frames - 1) / FPS:
        raise InputError(
            f"a sound of {audio.seconds:.2f} s at {audio.rate} Hz cannot be judged with "
            f"{frames} frames; give it at {SAMPLE_RATE} Hz and as long as the frames"
        )
    samples = torch.from_numpy(audio.samples).float()
    bank = mel_bank(MELS)
    mel = normalize(log_mel(samples[None], bank))
    padded = F.pad(mel, (SOUND_ROWS // 2, SOUND_ROWS), mode="replicate")[0]
    moments = first + torch.arange(frames) / FPS
    centers = (moments * SAMPLE_RATE / HOP_SAMPLES).round().long()
    windows = padded.unfold(1, SOUND_ROWS, 1)
    chosen = windows[:, centers]
    return chosen.transpose(0, 1).contiguous()


def mouth_windows(opening: np.ndarray, truth: np.ndarray) -> Tensor:
    """Return (T, 5, 2) opening and its change per frame around each frame of a curve (T,).

    Openings are brought to the range of `truth` (T,).
    """
    low, high = np.quantile(truth, TRUTH_QUANTILES)
    spread = max(high - low, MIN_SPREAD)
    even = (opening - low) / spread
    even = even.clip(*RANGE)
    pair = np.stack([even, np.gradient(even)])
    half = MOUTH_FRAMES // 2
    rows = torch.from_numpy(pair).float()
    padded = F.pad(rows[None], (half, half), mode="replicate")[0]
    return padded.unfold(1, MOUTH_FRAMES, 1).permute(1, 2, 0)


def shipped() -> SyncMini:
    """Return the frozen network of `checkpoints/sync_mini`."""
    return SyncMini.from_pretrained(FOLDER).eval().requires_grad_(False)
