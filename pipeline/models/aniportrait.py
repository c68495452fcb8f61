"""AniPortrait's Audio2Mesh: speech -> offsets of the face mesh.

The class loads the published file by its published names; the code is our own. Speech may have any
length (see `wav2vec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from pipeline.models import wav2vec
from pipeline.models.state_dict import fill, read_settings, read_state
from pipeline.values import Audio

VERTICES = 468
BLOCK_FRAMES = 2000  # video frames whose offsets are computed at a time: 11 MB


@dataclass(frozen=True)
class MeshMotion:
    """What a face mesh does while its owner speaks, one row per video frame.

    Attributes:
        offsets: (T, 468, 3) float32 cm from the reference's own vertices in the canonical head
            frame (x to the image's right, y up, z towards the viewer).
        tokens: (T, 1, d) float32 speech features.
    """

    offsets: np.ndarray
    tokens: np.ndarray


class Audio2Mesh(ModelMixin, ConfigMixin):
    """wav2vec 2.0 and two linear layers: speech -> offsets of 468 face vertices."""

    @register_to_config
    def __init__(self, wav2vec2: dict[str, Any] | None = None, latent_dim: int = 512) -> None:
        super().__init__()
        self.audio_encoder = wav2vec.build(wav2vec2)
        self.in_fn = nn.Linear(self.audio_encoder.config.hidden_size, latent_dim)
        self.out_fn = nn.Linear(latent_dim, 3 * VERTICES)

    @classmethod
    def from_published(cls, paths: Mapping[str, Path]) -> Audio2Mesh:
        """Return the network of the files `audio2mesh` and `wav2vec2_config` in `paths`."""
        state = read_state(paths["audio2mesh"])
        settings = read_settings(paths["wav2vec2_config"])
        sizes = {}
        if "in_fn.weight" in state:
            sizes["latent_dim"] = len(state["in_fn.weight"])
        with torch.device("meta"):
            model = cls(settings, **sizes)
        return fill(model, state, paths["audio2mesh"])

    def forward(self, values: Tensor, rows: int) -> Tensor:
        """Return offsets (B, rows, 1404) of normalized samples (B, n), the whole clip at once."""
        states = wav2vec.encode_at_once(self.audio_encoder, values, rows)
        return self._offsets(states)

    @torch.no_grad()
    def predict(self, audio: Audio, fps: float, frames: int) -> MeshMotion:
        """Return the face motion of `frames` video frames, each at its middle.

        Where the speech has ended, the last row is held.
        """
        samples = wav2vec.normalized_samples(audio, fps, frames)
        values = torch.from_numpy(samples).to(self.device, self.dtype)
        count = wav2vec.row_count(len(samples))
        rows = wav2vec.encode(self.audio_encoder, values, count)
        states = wav2vec.at_frames(rows, fps, frames)
        offsets = np.empty((frames, VERTICES, 3), np.float32)
        for start in range(0, frames, BLOCK_FRAMES):
            block = slice(start, start + BLOCK_FRAMES)
            part = states[block].to(self.dtype)
            moved = self._offsets(part).float().cpu()
            offsets[block] = moved.numpy().reshape(-1, VERTICES, 3)
        tokens = states[:, None].cpu().numpy()
        return MeshMotion(offsets, tokens)

    def _offsets(self, states: Tensor) -> Tensor:
        """Return offsets (..., 1404) of speech states (..., d)."""
        hidden = self.in_fn(states)
        return self.out_fn(hidden)
