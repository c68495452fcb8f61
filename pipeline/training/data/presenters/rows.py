"""Dataclasses with one row per person, and the random numbers that fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Self

import torch
from torch import Tensor

FULL_TURN_RAD = 6.2832
_COLOR_PHASES = (0.0, 1 / 3, 2 / 3)  # of a turn, between red, green and blue


class Rows:
    """Row indexing and device moves for dataclasses of tensors, or of other such dataclasses."""

    def __getitem__(self, rows: int | slice | list[int] | Tensor) -> Self:
        columns = [getattr(self, field.name)[rows] for field in fields(self)]
        return type(self)(*columns)

    def to(self, device: torch.device | str) -> Self:
        """Copy all columns to a device."""
        columns = [getattr(self, field.name).to(device) for field in fields(self)]
        return type(self)(*columns)


class Draws:
    """Random numbers of one generator for `count` people; the first axis of all results is B."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator = generator
        self.count = count

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        """Draw numbers (B, *shape) between `low` and `high`."""
        share = torch.rand((self.count, *shape), generator=self.generator)
        return low + (high - low) * share

    def chance(self, share: float) -> Tensor:
        """Draw (B,) 1 with probability `share`, else 0."""
        return (self.uniform() < share).float()

    def pick(self, table: Sequence, shares: Sequence[float] | None = None) -> Tensor:
        """Draw (B, ...) rows of a table with probabilities `shares`; None means equal ones."""
        weights = torch.ones(len(table)) if shares is None else torch.tensor(shares)
        rows = torch.multinomial(weights, self.count, replacement=True, generator=self.generator)
        return torch.tensor(table)[rows]

    def color(self, saturation: float = 0.7) -> Tensor:
        """Draw colors (B, 3) from gray to `saturation`; hues by cosines, so none is preferred."""
        turns = self.uniform()[:, None] + torch.tensor(_COLOR_PHASES)
        hue = FULL_TURN_RAD * turns
        strength = self.uniform(0, saturation)[:, None]
        brightness = self.uniform(0.12, 0.95)[:, None]
        absorbed = strength * (0.5 + 0.5 * torch.cos(hue))
        return (brightness * (1 - absorbed)).clamp(0, 1)


def per_picture(values: Tensor) -> Tensor:
    """Reshape (N,) to (N, 1, 1, 1), to broadcast over channels and pixels."""
    return values[:, None, None, None]
