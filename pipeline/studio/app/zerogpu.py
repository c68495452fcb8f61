"""The model and its denoising; the one place that knows `spaces`."""

from __future__ import annotations

import functools
import os
from collections.abc import Generator
from typing import Any

try:  # only on a ZeroGPU Space, where it has to come before torch
    import spaces
except ImportError:
    spaces = None

import numpy as np

from pipeline.analysis.talking_face import SpeechNetwork
from pipeline.models.model_settings import ModelSettings
from pipeline.render import load
from pipeline.render.base import AudioPosePipeline
from pipeline.render.runtime.device import choose_device
from pipeline.studio.steps import Renderer
from pipeline.values import Motion, Progress

# asked of ZeroGPU; a longer request waits longer and may exceed a visitor's quota
GPU_SECONDS_PER_FRAME = 0.1
GPU_SECONDS_TO_START = 30


def model_name() -> str:
    """Return the model that the page works with."""
    return os.environ.get("APV_MODEL", "mini")


@functools.lru_cache(maxsize=2)
def model(name: str) -> AudioPosePipeline:
    """Load the pipeline, once."""
    return load.load(name)


@functools.lru_cache(maxsize=2)
def model_settings(name: str) -> ModelSettings:
    """Read what the analysis and the slider need to know of the model, once."""
    return load.load_settings(name)


@functools.lru_cache(maxsize=2)
def speech_network(name: str) -> SpeechNetwork:
    """Load the network that moves the mouth, once; on ZeroGPU the analysis has no GPU."""
    device = choose_device("auto") if spaces is None else "cpu"
    return load.load_speech_network(name, device=device)


def prepare(name: str) -> None:
    """Load what the first click needs.

    That is the analysis, and on ZeroGPU the pipeline, which its processes copy.
    """
    model_settings(name)
    speech_network(name)
    if spaces is not None:
        model(name)


def gpu_seconds(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> int:
    """Return the seconds to ask of ZeroGPU for a run."""
    steps = options.get("num_inference_steps", 1)
    return int(GPU_SECONDS_TO_START + GPU_SECONDS_PER_FRAME * len(motion) * steps)


def on_gpu(work: Renderer) -> Renderer:
    """Decorate the denoising for ZeroGPU; reading, tuning and writing stay on the CPU."""
    return work if spaces is None else spaces.GPU(duration=gpu_seconds)(work)


@on_gpu
def render(
    name: str, picture: np.ndarray, motion: Motion, **options: Any
) -> Generator[Progress, None, None]:
    """Denoise; all arguments can be pickled, for it may run in another process."""
    yield from model(name).render(picture, motion, **options)
