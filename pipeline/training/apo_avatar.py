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
        seed = generator.initial_seed() + 1
        own_generator = torch.Generator().manual_seed(seed)
        pose_chance, audio_chance = torch.rand(2, len(batch), generator=own_generator)
        has_pose = pose_chance >= self.pose_dropout
        has_sound = batch.sample_counts.cpu() > 0
        has_audio = has_sound & (audio_chance >= self.audio_dropout)

        # 3. one value for each row
        scale = self._gates(batch, has_pose)
        scale = _with_reference_row(scale, batch, 1.0)
        pose_mask = _for_all_rows(has_pose, batch, 1.0)
        audio_mask = _for_all_rows(has_audio, batch, 0.0)
        tokens = speech_tokens(batch, networks.pipe.audio2pose)
        return replace(
            conditions,
            scale=scale.view(-1, 1, 1, 1).to(device),
            audio=tokens.to(device),
            audio_mask=audio_mask.to(device),
            pose_mask=pose_mask.to(device),
        )

    def _gates(self, batch: ClipBatch, has_pose: Tensor) -> Tensor:
        """Return the gates (B,F) of the clips; 1 where there is no pose to be gated."""
        gates = torch.ones(len(batch), batch.frames)
        for clip in range(len(batch)):
            if has_pose[clip]:
                gates[clip] = self._gate(batch, clip)
        return gates

    def _gate(self, batch: ClipBatch, clip: int) -> Tensor:
        """Return the gate (F,) of a clip: w0 + (1 - w0) w_t; 1 where it has no sound."""
        samples = _sound(batch, clip)
        if not len(samples):
            return torch.ones(batch.frames)
        fps = float(batch.fps[clip])
        audio = Audio(samples, SAMPLE_RATE)
        speech = prosody.analyse(audio, fps, prosody.LOUDNESS)
        loudness = speech.intensity
        first_row = float(batch.starts_seconds[clip]) * fps
        rows = first_row + np.arange(batch.frames)
        known_rows = np.arange(len(loudness))
        weight = np.interp(rows, known_rows, loudness)
        gate = self.gate_floor + (1 - self.gate_floor) * weight
        return torch.from_numpy(gate).float()


def speech_tokens(batch: ClipBatch, network: Audio2Pose) -> Tensor:
    """Return the speech tokens (B R,n,d) of all rows; 0 for those without sound."""
    if not isinstance(network, Audio2Pose):
        raise InputError(
            "the interaction is trained on the tokens of our Audio2Pose, which this model lacks; "
            "leave `interaction` out"
        )
    clips = [_clip_tokens(batch, clip, network) for clip in range(len(batch))]
    tokens = torch.stack(clips)
    tokens = _with_reference_row(tokens, batch, 0.0)
    return tokens.flatten(0, 1)


def _clip_tokens(batch: ClipBatch, clip: int, network: Audio2Pose) -> Tensor:
    """Return the speech tokens (F,n,d) of a clip's frames."""
    samples = _sound(batch, clip)
    if not len(samples):
        silence = np.zeros(SAMPLE_RATE, np.float32)
        features = network.features(Audio(silence, SAMPLE_RATE))
        features = np.zeros_like(features)
    else:
        features = network.features(Audio(samples, SAMPLE_RATE))
    fps = float(batch.fps[clip])
    start = float(batch.starts_seconds[clip])
    rows = np.arange(batch.frames)
    times = start + (rows + PHASE) / fps
    return torch.from_numpy(tokens_at(features, times))


def _sound(batch: ClipBatch, clip: int) -> np.ndarray:
    """Return the samples (n,) of a clip."""
    count = int(batch.sample_counts[clip])
    return batch.samples[clip, :count].cpu().numpy()


def _for_all_rows(has_input: Tensor, batch: ClipBatch, fill: float) -> Tensor:
    """Return the mask (B R,) of clips (B,) that have an input; `fill` for the reference rows."""
    clips = has_input.float().unsqueeze(1)
    frames = clips.expand(-1, batch.frames)
    rows = _with_reference_row(frames, batch, fill)
    return rows.flatten()


def _with_reference_row(values: Tensor, batch: ClipBatch, fill: float) -> Tensor:
    """Append `fill` for the reference row to values (B,F,...), where the batch has that row."""
    if not batch.has_reference_row:
        return values
    row = torch.full_like(values[:, :1], fill)
    return torch.cat([values, row], 1)
