"""ApoAvatar on the loop of APV-Gen: the denoiser hears the speech.                  [ApoAvatar]

- Every frame gets its speech tokens from Audio2Pose, for the audio-video interaction.
- Audio-pose prior refocusing: the loudness w_t of a frame decides how much of its pose is kept,
  E'_t = (w0 + (1 - w0) w_t) E_t. As at inference it acts on the normalized control and on the pose
  tokens.
- A share of the clips trains without pose, a share without sound, so that one model runs with and
  without a pose. The paper gives no shares; these are ours.

The reference row of eq. 19 is a picture of its own: it keeps its pose and has no sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline.models.audio2pose import PHASE, SAMPLE_RATE, Audio2Pose, tokens_at
from pipeline.motion import prosody
from pipeline.training.apv_gen_networks import Networks
from pipeline.training.apv_gen_step import Conditions, StepOptions, make_conditions
from pipeline.training.clip_batches import ClipBatch
from pipeline.values import Audio, InputError

GATE_FLOOR = 0.2  # w0: what is kept of the pose in silence
POSE_DROPOUT = 0.3
AUDIO_DROPOUT = 0.1


@dataclass(frozen=True)
class ApoAvatarConditions:
    """Makes the conditions of a batch: those of APV-Gen, the speech, the gate, the dropout.

    gate_floor: w0. pose_dropout, audio_dropout: shares of clips without pose and without sound.
    """

    gate_floor: float = GATE_FLOOR
    pose_dropout: float = POSE_DROPOUT
    audio_dropout: float = AUDIO_DROPOUT

    def __call__(
        self,
        networks: Networks,
        batch: ClipBatch,
        options: StepOptions,
        generator: torch.Generator,
    ) -> Conditions:
        """Make the conditions.

        What is dropped comes from a generator of its own, so that noise and levels are those of
        APV-Gen's step.
        """
        # 1. APV-Gen's conditions
        conditions = make_conditions(networks, batch, options, generator)
        device = conditions.scale.device

        # 2. what is dropped
        own_generator = torch.Generator().manual_seed(generator.initial_seed() + 1)
        pose_chance, audio_chance = torch.rand(2, len(batch), generator=own_generator)
        has_pose = (pose_chance >= self.pose_dropout).float()
        has_sound = (batch.sample_counts > 0).cpu()
        has_audio = (audio_chance >= self.audio_dropout) & has_sound

        # 3. one value for each row
        gates = torch.stack([self._gate(batch, clip) for clip in range(len(batch))])
        gates = torch.where(has_pose[:, None] > 0, gates, torch.ones_like(gates))
        pose_mask = has_pose[:, None].expand(-1, batch.frames)
        audio_mask = has_audio.float()[:, None].expand(-1, batch.frames)
        scale = _with_reference_row(gates, batch, 1.0)
        return replace(
            conditions,
            scale=scale.to(device).view(-1, 1, 1, 1),
            audio=speech_tokens(batch, networks.pipe.audio2pose).to(device),
            audio_mask=_with_reference_row(audio_mask, batch, 0.0).flatten().to(device),
            pose_mask=_with_reference_row(pose_mask, batch, 1.0).flatten().to(device),
        )

    def _gate(self, batch: ClipBatch, clip: int) -> Tensor:
        """Return the gate (F,) of a clip: w0 + (1 - w0) w_t; 1 where it has no sound."""
        samples = _sound(batch, clip)
        if not len(samples):
            return torch.ones(batch.frames)
        fps = float(batch.fps[clip])
        audio = Audio(samples, SAMPLE_RATE)
        loudness = prosody.analyse(audio, fps, prosody.LOUDNESS).intensity
        rows = float(batch.starts_seconds[clip]) * fps + np.arange(batch.frames)
        weight = np.interp(rows, np.arange(len(loudness)), loudness)
        gate = self.gate_floor + (1 - self.gate_floor) * weight
        return torch.from_numpy(gate).float()


def speech_tokens(batch: ClipBatch, network: Audio2Pose) -> Tensor:
    """Return the speech tokens (B R,n,d) of all rows; 0 for those without sound."""
    if not isinstance(network, Audio2Pose):
        raise InputError(
            "the interaction is trained on the tokens of our Audio2Pose, which this model lacks; "
            "leave `interaction` out"
        )
    clips = []
    for clip in range(len(batch)):
        samples = _sound(batch, clip)
        fps = float(batch.fps[clip])
        times = float(batch.starts_seconds[clip]) + (np.arange(batch.frames) + PHASE) / fps
        heard = samples if len(samples) else np.zeros(SAMPLE_RATE, np.float32)
        features = network.features(Audio(heard, SAMPLE_RATE))
        tokens = torch.from_numpy(tokens_at(features, times))
        clips.append(tokens if len(samples) else torch.zeros_like(tokens))
    tokens = torch.stack(clips)
    return _with_reference_row(tokens, batch, 0.0).flatten(0, 1)


def _sound(batch: ClipBatch, clip: int) -> np.ndarray:
    """Return the samples (n,) of a clip."""
    count = int(batch.sample_counts[clip])
    return batch.samples[clip, :count].cpu().numpy()


def _with_reference_row(values: Tensor, batch: ClipBatch, fill: float) -> Tensor:
    """Append `fill` for the reference row to values (B,F,...), where the batch has that row."""
    if not batch.has_reference_row:
        return values
    row = torch.full_like(values[:, :1], fill)
    return torch.cat([values, row], 1)
