"""The model and its denoising; the one place that knows `spaces`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipeline.render import load
from pipeline.render.base import AudioPosePipeline
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


def gpu_seconds(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> int:
    return int(30 + GPU_SECONDS_PER_FRAME * len(motion) * options.get("num_inference_steps", 1))


def on_gpu(handler: Callable) -> Callable:
    """Decorates the denoising for ZeroGPU; reading, tuning and writing stay on the CPU."""
    return handler if spaces is None else spaces.GPU(duration=gpu_seconds)(handler)


@on_gpu
def render(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> Iterator[Progress]:
    """The denoising; all arguments can be pickled, for it may run in another process."""
    yield from model(name).render(picture, motion, **options)
