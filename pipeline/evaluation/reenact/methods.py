"""The ways to make a case's frames: a copy of the reference, the warp alone, the whole model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from pipeline.evaluation.reenact.cases import FPS, Case, resized
from pipeline.render import draft
from pipeline.render.base import AudioPosePipeline
from pipeline.values import Audio

SILENCE_RATE = 16000

Method = Callable[[AudioPosePipeline, Case], np.ndarray]


def copy(pipe: AudioPosePipeline, case: Case) -> np.ndarray:
    """Repeat the reference frame (T, h, w, 3)."""
    still = resized(case.image, case.size)
    return np.broadcast_to(still, case.truth.shape)


def warp(pipe: AudioPosePipeline, case: Case) -> np.ndarray:
    """Warp the reference frame without any network, (T, h, w, 3)."""
    chunks = draft.draft(case.image, case.motion, case.size)
    return np.concatenate(list(chunks))


def network(pipe: AudioPosePipeline, case: Case) -> np.ndarray:
    """Render by the whole model (T, h, w, 3), with the tokens of silence for speech."""
    frames = len(case)
    samples = np.zeros(round(frames / FPS * SILENCE_RATE), np.float32)
    tokens = pipe.audio2pose.predict(Audio(samples, SILENCE_RATE), FPS, frames).tokens
    motion = replace(case.motion, audio_tokens=tokens)
    height, width = case.size
    noise = torch.Generator().manual_seed(0)
    steps = pipe.render(case.image, motion, height=height, width=width, generator=noise)
    return np.concatenate([step.frames for step in steps if step.frames is not None])


METHODS: dict[str, Method] = {
    "copy": copy,
    "warp": warp,
    "network": network,
}
