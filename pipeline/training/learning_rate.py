"""The learning rate of APV-Gen's trainer over a run."""

from __future__ import annotations

import math

from pipeline.training.config import TrainConfig

LAST_SHARE = 0.1  # of the learning rate is left at the end where it falls


def learning_rate_at(iteration: int, stop: int, config: TrainConfig) -> float:
    """Return the learning rate of an iteration: a linear warm-up, then constant or a cosine.

    Args:
        iteration: counted from 0.
        stop: at which the run ends.
        config: of the run.
    """
    warm_up = (iteration + 1) / max(config.warm_up, 1)
    warm_up = min(warm_up, 1.0)
    rate = config.learning_rate * warm_up
    if not config.decay:
        return rate
    share = iteration / max(stop, 1)
    cosine = math.cos(math.pi * share)
    height = (1 + cosine) / 2
    fall = 1 - LAST_SHARE
    left = LAST_SHARE + fall * height
    return rate * left
