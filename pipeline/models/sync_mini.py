"""`sync_c_mini`: does the opening of a mouth fit the sound? A small network's own measure (metrics 5.1).

Two encoders, one for 200 ms of sound and one for five frames of a mouth's opening, meet on the unit sphere,
as in SyncNet (Chung and Zisserman 2016, "Out of time"). Confidence is theirs: the median over offsets of the
mean distance, less its minimum. The scale is not: figures of this network compare with its own alone, and it
sees an opening, not pixels. It learnt from drawn ground truth (`training.sync`), never from a model's output.
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
from pipeline.models.audio2pose import HOP, PHASE, SAMPLE_RATE, log_mel, mel_bank, normalize
from pipeline.values import Audio, InputError

FOLDER = ROOT / "checkpoints" / "sync_mini"
FPS = 25
MELS, HEARD = 40, 20  # bands; feature frames of 10 ms around a frame's moment
SEEN = 5  # frames
OFFSETS = 10  # frames, to both sides
RANGE = (
    -1.0,
    2.0,
)  # of an opening that counts, where 0 and 1 are the truth's 2nd and 98th percentile


@dataclass(frozen=True)
class Verdict:
    """confidence: median over offsets of the mean distance, less the least; offset: how many frames late."""

    confidence: float
    distance: float
    offset: int


class SyncMini(ModelMixin, ConfigMixin):
    """Sound (N, 40, 20) and mouth (N, 5, 2) -> points (N, 64) on the unit sphere."""

    @register_to_config
    def __init__(self, channels: int = 96, hidden: int = 128, size: int = 64) -> None:
        super().__init__()
        self.sound = nn.Sequential(
            nn.Conv1d(MELS, channels, 3, padding=1), nn.ReLU(),
            nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(channels * HEARD // 4, hidden), nn.ReLU(), nn.Linear(hidden, size),
        )  # fmt: skip
        self.mouth = nn.Sequential(
            nn.Flatten(), nn.Linear(2 * SEEN, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, size),
        )  # fmt: skip

    def forward(self, sound: Tensor, mouth: Tensor) -> tuple[Tensor, Tensor]:
        return F.normalize(self.sound(sound), dim=1), F.normalize(self.mouth(mouth), dim=1)

    @torch.no_grad()
    def judge(self, opening: np.ndarray, truth: np.ndarray, audio: Audio) -> Verdict:
        """The verdict on a curve of openings (T,) at 25 fps with its sound; `truth` (T,) gives the range.

        ValueError for a curve of ten frames or less, or a sound that ends before it.
        """
        if len(opening) <= OFFSETS:
            raise InputError(
                f"a mouth of {len(opening)} frames is too short to judge; give over {OFFSETS}"
            )
        sound, mouth = self(heard(audio, len(opening)), seen(opening, truth))
        apart = torch.cdist(sound, mouth)  # rows: the sound's frames
        means = np.array([float(apart.diagonal(k).mean()) for k in range(-OFFSETS, OFFSETS + 1)])
        best = int(means.argmin())
        return Verdict(float(np.median(means) - means[best]), float(means[best]), best - OFFSETS)


def heard(audio: Audio, frames: int, first: float = PHASE / FPS) -> Tensor:
    """(T, 40, 20) log-mel around the moments first + t / 25 s; every band's mean over the speech is 0."""
    if audio.rate != SAMPLE_RATE or audio.seconds < (frames - 1) / FPS:
        raise InputError(
            f"a sound of {audio.seconds:.2f} s at {audio.rate} Hz cannot be judged with {frames} frames; "
            f"give it at {SAMPLE_RATE} Hz and as long as the frames"
        )
    mel = normalize(log_mel(torch.from_numpy(audio.samples).float()[None], mel_bank(MELS)))
    padded = F.pad(mel, (HEARD // 2, HEARD), mode="replicate")[0]
    centre = ((first + torch.arange(frames) / FPS) * SAMPLE_RATE / HOP).round().long()
    return padded.unfold(1, HEARD, 1)[:, centre].transpose(0, 1).contiguous()


def seen(opening: np.ndarray, truth: np.ndarray) -> Tensor:
    """(T, 5, 2) opening and its change per frame around each frame of a curve (T,), in the truth's range."""
    low, high = np.quantile(truth, (0.02, 0.98))
    even = ((opening - low) / max(high - low, 1e-6)).clip(*RANGE)
    pair = torch.from_numpy(np.stack([even, np.gradient(even)])).float()
    return (
        F.pad(pair[None], (SEEN // 2, SEEN // 2), mode="replicate")[0]
        .unfold(1, SEEN, 1)
        .permute(1, 2, 0)
    )


def shipped() -> SyncMini:
    """The frozen network of `checkpoints/sync_mini`."""
    return SyncMini.from_pretrained(FOLDER).eval().requires_grad_(False)
