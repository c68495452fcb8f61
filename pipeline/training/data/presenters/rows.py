"""Dataclasses with one row per person."""

from __future__ import annotations

from dataclasses import fields

import torch


class Rows:
    """Row indexing and device moves for dataclasses whose fields are tensors (or such dataclasses)."""

    def __getitem__(self, rows):
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def to(self, device: torch.device | str):
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))
