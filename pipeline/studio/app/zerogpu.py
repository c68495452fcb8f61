"""The model and its denoising; the one place that knows `spaces`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipeline.analysis.talking_face import SpeechNetwork
from pipeline.models.model_settings import ModelSettings
from pipeline.render import load
from pipeline.render.base import AudioPosePipeline
from pipeline.render.runtime.device import choose_device
from pipeline.values import Motion, Progress

try:  # only on a ZeroGPU Space, where it has to come before torch; elsewhere it would change nothing
    import spaces
except ImportError:
    spaces = None
# asked of ZeroGPU; a longer request waits longer and may exceed a visitor's quota
GPU_SECONDS_PER_FRAME = 0.1


def model_name() -> str:
    return os.environ.get("APV_MODEL", "mini")


@functools.lru_cache(maxsize=2)
def model(name: str) -> AudioPosePipeline:
    """The pipeline, loaded once."""
    return load.load(name)


@functools.lru_cache(maxsize=2)
def model_settings(name: str) -> ModelSettings:
    """What the analysis and the slider need to know of the model, read once."""
    return load.load_settings(name)


@functools.lru_cache(maxsize=2)
def speech_network(name: str) -> SpeechNetwork:
    """The network that moves the mouth, loaded once; on ZeroGPU the analysis has no GPU."""
    device = choose_device("auto") if spaces is None else "cpu"
    return load.load_speech_network(name, device=device)


def prepare(name: str) -> None:
    """Load what the first click needs: the analysis, and on ZeroGPU the pipeline that its processes copy."""
    model_settings(name)
    speech_network(name)
    if spaces is not None:
        model(name)


def gpu_seconds(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> int:
    return int(30 + GPU_SECONDS_PER_FRAME * len(motion) * options.get("num_inference_steps", 1))


def on_gpu(handler: Callable) -> Callable:
    """Decorates the denoising for ZeroGPU; reading, tuning and writing stay on the CPU."""
    return handler if spaces is None else spaces.GPU(duration=gpu_seconds)(handler)


@on_gpu
def render(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> Iterator[Progress]:
    """The denoising; all arguments can be pickled, for it may run in another process."""
    yield from model(name).render(picture, motion, **options)
