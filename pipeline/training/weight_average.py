"""The moving average of trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightAverage:
    """The moving average of parameters by name; with decay 0 it is what they are now."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.parameters = parameters
        self.decay = decay
        self.steps = 0
        self.values: dict[str, Tensor] = {}
        if decay > 0:
            self.values = {name: value.detach().clone() for name, value in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the parameters; it follows faster in the first steps."""
        self.steps += 1
        if not self.values:
            return
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        averages = list(self.values.values())
        weights = [self.parameters[name].detach() for name in self.values]
        torch._foreach_lerp_(averages, weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the parameters hold their average within a `with` block."""
        kept = {name: self.parameters[name].detach().clone() for name in self.values}
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.parameters[name].copy_(value)
