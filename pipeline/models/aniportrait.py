"""AniPortrait's two audio networks: speech -> face mesh offsets, and speech -> head pose.

Both load the published files by their published names; the code is our own. Any speech length: see `wav2vec`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models import wav2vec, windows
from pipeline.models.state_dict import fill, read_settings, read_state
from pipeline.values import Audio, InputError

VERTICES = 468
POSE = 6  # three Euler angles, three shifts
LINES = 2000  # video frames whose offsets are computed at a time: 11 MB
MAX_ROWS = 600  # positions that Audio2HeadPose knows
# Head pose: rows of a window and rows shared by two (10 s, 2 s; the published driver takes 5 to 10 s);
# windows decoded side by side, each with 25 MB of keys and values at the published size
POSE_WINDOW, POSE_OVERLAP, POSE_BATCH = 300, 60, 8


@dataclass(frozen=True)
class MeshMotion:
    """What a face mesh does while its owner speaks, one row per video frame.

    offsets: (T, 468, 3) float32 cm from the reference's own vertices in the canonical head frame (x to the
    image's right, y up, z towards the viewer). tokens: (T, 1, d) float32 speech features.
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
        """The network with the weights of `audio2mesh` and the settings of `wav2vec2_config` in `paths`."""
        state = read_state(paths["audio2mesh"])
        sizes = {"latent_dim": len(state["in_fn.weight"])} if "in_fn.weight" in state else {}
        with torch.device("meta"):
            model = cls(read_settings(paths["wav2vec2_config"]), **sizes)
        return fill(model, state, paths["audio2mesh"])

    def forward(self, values: Tensor, rows: int) -> Tensor:
        """Offsets (B, rows, 1404) of normalised samples (B, n), the whole clip at once."""
        return self.out_fn(self.in_fn(wav2vec.whole(self.audio_encoder, values, rows)))

    @torch.no_grad()
    def predict(self, audio: Audio, fps: float, frames: int) -> MeshMotion:
        """The face motion of `frames` video frames, each at its middle; held where the speech has ended."""
        states = wav2vec.at_frames(_listen(self, audio, fps, frames), fps, frames)
        offsets = np.empty((frames, VERTICES, 3), np.float32)
        for start in range(0, frames, LINES):
            made = self.out_fn(self.in_fn(states[start : start + LINES].to(self.dtype)))
            offsets[start : start + LINES] = made.float().cpu().numpy().reshape(-1, VERTICES, 3)
        return MeshMotion(offsets, states[:, None].cpu().numpy())


class Audio2HeadPose(ModelMixin, ConfigMixin):
    """AniPortrait's Audio2Pose: wav2vec 2.0 and an autoregressive decoder, speech -> head turn and place.

    Its rows are Euler angles xyz in degrees and a translation in cm, relative to the reference head.
    """

    @register_to_config
    def __init__(
        self,
        wav2vec2: dict[str, Any] | None = None,
        latent_dim: int = 512,
        layers: int = 8,
        heads: int = 8,
        feedforward: int = 1024,
        identities: int = 100,
    ) -> None:
        super().__init__()
        self.audio_encoder = wav2vec.build(wav2vec2)
        self.pose_map = nn.Linear(POSE, latent_dim)
        self.in_fn = nn.Linear(self.audio_encoder.config.hidden_size, latent_dim)
        self.PPE = Positions(latent_dim)
        self.pose_map_r = nn.Linear(latent_dim, POSE)
        self.id_embed = nn.Embedding(identities, latent_dim)
        layer = nn.TransformerDecoderLayer(latent_dim, heads, feedforward, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, layers)

    @classmethod
    def from_published(cls, paths: Mapping[str, Path]) -> Audio2HeadPose:
        """The network with the weights of `audio2pose` and the settings of `wav2vec2_config` in `paths`."""
        state = read_state(paths["audio2pose"])
        sizes, first = {}, "transformer_decoder.layers.0.linear1.weight"
        if {"pose_map.weight", "id_embed.weight", first} <= set(state):
            sizes = {"latent_dim": len(state["pose_map.weight"]), "feedforward": len(state[first])}
            sizes["identities"] = len(state["id_embed.weight"])
            sizes["layers"] = sum(key.endswith(".linear1.weight") for key in state)
            state.setdefault(
                "PPE.pe", sinusoids(sizes["latent_dim"])
            )  # some copies do not store it
        with torch.device("meta"):
            model = cls(read_settings(paths["wav2vec2_config"]), **sizes)
        return fill(model, state, paths["audio2pose"])

    def forward(self, values: Tensor, rows: int, identity: int = 0) -> Tensor:
        """Poses (B, rows, 6) of normalised samples (B, n), the whole clip (at most 600 rows) at once."""
        return self.decode(self.in_fn(wav2vec.whole(self.audio_encoder, values, rows)), identity)

    def decode(self, memory: Tensor, identity: int = 0) -> Tensor:
        """Poses (B, L, 6) for speech features (B, L, d), row by row, each row seeing those before it.

        The published loop passes all rows through all layers again for every new row. The mask is causal, so
        keys and values of finished rows never change: they are kept, and the result is the same.
        """
        batch, length, width = memory.shape
        if length > self.PPE.pe.shape[1]:
            raise InputError(
                f"{length} rows are decoded at once; the network knows {self.PPE.pe.shape[1]}"
            )
        if not 0 <= identity < self.id_embed.num_embeddings:
            raise InputError(
                f"identity is {identity}; give a number from 0 to {self.id_embed.num_embeddings - 1}"
            )
        layers = [_CachedLayer(layer, memory) for layer in self.transformer_decoder.layers]
        place = self.PPE.pe[0, :length] + self.id_embed.weight[identity]
        pose = memory.new_zeros(batch, self.pose_map.in_features)
        out = []
        for row in range(length):
            x = self.pose_map(pose) + place[row]
            for layer in layers:
                x = layer(x, row)
            pose = self.pose_map_r(x)
            out.append(pose)
        return torch.stack(out, 1)

    @torch.no_grad()
    def predict(self, audio: Audio, fps: float, frames: int, identity: int = 0) -> np.ndarray:
        """(frames, 6) degrees and cm relative to the reference head; long speech in cross-faded windows."""
        states = _listen(self, audio, fps, frames)
        parts = self._windows(self.in_fn(states.to(self.dtype)), identity)
        poses = wav2vec.crossfade(parts, len(states), POSE_OVERLAP, 0)
        return wav2vec.at_frames(poses, fps, frames).cpu().numpy()

    def _windows(self, memory: Tensor, identity: int) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Decoded windows of features (rows, d), some side by side; each starts at the reference's pose."""
        spans = windows.plan(len(memory), POSE_WINDOW, POSE_OVERLAP)
        for first in range(0, len(spans), POSE_BATCH):
            some = spans[first : first + POSE_BATCH]
            decoded = self.decode(torch.stack([memory[slice(*span)] for span in some]), identity)
            yield from zip(some, decoded, strict=True)


class Positions(nn.Module):
    """Holds `pe` (1, 600, d), the sinusoids that are added to the decoder's rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(width))


def sinusoids(width: int) -> Tensor:
    """(1, 600, width): sine in even and cosine in odd columns, wave lengths from 2 pi to 20000 pi rows."""
    rows = torch.arange(MAX_ROWS, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    return torch.stack([torch.sin(rows * rate), torch.cos(rows * rate)], -1).flatten(1)[None]


def slopes(heads: int) -> Tensor:
    """(heads,) how much each head's attention drops per row of distance: 2^-1 to 2^-8 for eight."""
    return 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1))


class _CachedLayer:
    """One decoder layer that is fed one row at a time and keeps the keys and values of the rows before."""

    def __init__(self, layer: nn.TransformerDecoderLayer, memory: Tensor) -> None:
        """A row sees only its own row of the speech, so its attention there is the value itself."""
        self.layer, self.heads = layer, layer.self_attn.num_heads
        batch, length, width = memory.shape
        over = layer.multihead_attn
        value = F.linear(memory, over.in_proj_weight[2 * width :], over.in_proj_bias[2 * width :])
        self.speech = over.out_proj(value)
        shape = (batch, self.heads, length, width // self.heads)
        self.keys, self.values = memory.new_empty(shape), memory.new_empty(shape)
        back = torch.arange(length - 1, -1, -1, device=memory.device, dtype=memory.dtype)
        self.bias = (
            -slopes(self.heads).to(memory)[:, None] * back
        )  # the last column is the newest row

    def __call__(self, x: Tensor, row: int) -> Tensor:
        layer = self.layer
        own = layer.self_attn
        query, key, value = (
            part.view(len(x), self.heads, -1)
            for part in F.linear(x, own.in_proj_weight, own.in_proj_bias).chunk(3, -1)
        )
        self.keys[:, :, row], self.values[:, :, row] = key, value
        match = (self.keys[:, :, : row + 1] @ query[..., None])[..., 0] / math.sqrt(query.shape[-1])
        share = torch.softmax(match + self.bias[:, -row - 1 :], -1)
        seen = (share[:, :, None] @ self.values[:, :, : row + 1]).flatten(1)
        x = layer.norm1(x + own.out_proj(seen))
        x = layer.norm2(x + self.speech[:, row])
        return layer.norm3(x + layer.linear2(F.relu(layer.linear1(x))))


def _listen(model: Audio2Mesh | Audio2HeadPose, audio: Audio, fps: float, frames: int) -> Tensor:
    """States (rows, d) float32 of the speech, 30 rows per second."""
    values = wav2vec.heard(audio, fps, frames)
    given = torch.from_numpy(values).to(model.device, model.dtype)
    return wav2vec.encode(model.audio_encoder, given, wav2vec.rows_of(len(values)))
