"""The clips of the training pool, kept as uint8 shards.

A clip is one reference picture and a few target frames, drawn and warped by the shipped warp.
`filming` draws clips, `filling` fills a folder with shards of them.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.values import InputError

FRAMES = 4
SHARD_FORMAT = 4  # shards of older drawings have other numbers and are not mixed in
TOKENS = (5, 160)  # per frame: offsets of `audio2pose.TOKEN_OFFSETS_SECONDS`, channels
WITHHELD = [*range(3, 14), *range(48, 68)]  # face points that speech moves: jaw and lips
PER_CLIP = ("reference", "lips")  # fields without a frame axis
HELD_OUT_SEED = 9_000_000  # seeds from here on are never trained on


@dataclass
class Clips:
    """N clips of F frames, uint8 but for the points.

    Key points are inexact points of the truth, as a detector gives them.
    """

    reference: Tensor  # (N, 3, H, W)
    truth: Tensor  # (N, F, 3, H, W)
    warped: Tensor  # (N, F, 3, H, W)
    validity: Tensor  # (N, F, 1, H, W)
    body: Tensor  # (N, F, 18, 3)
    hands: Tensor  # (N, F, 42, 3)
    face: Tensor  # (N, F, 68, 3)
    audio: Tensor  # (N, F, 5, 160) float16, Audio2Pose's tokens around each frame
    loudness: Tensor  # (N, F) in [0, 1], RMS between its 10th and 95th percentile of the speech
    # (N,) 1, or 0 where the lips were withheld: the warp moved the reference's own mouth and jaw
    # rigidly with the head and the skeleton shows neither, so that sound alone tells the mouth
    lips: Tensor

    def __len__(self) -> int:
        return len(self.reference)

    def __getitem__(self, rows: slice | list[int] | Tensor) -> Clips:
        columns = [getattr(self, field.name)[rows] for field in fields(self)]
        return Clips(*columns)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return tuple(self.reference.shape[-2:])

    def frame(self, number: int) -> Clips:
        """Select one frame of all clips, F = 1."""
        part = slice(number, number + 1)
        columns = {}
        for field in fields(self):
            if field.name not in PER_CLIP:
                columns[field.name] = getattr(self, field.name)[:, part]
        return replace(self, **columns)

    @staticmethod
    def join(parts: list[Clips]) -> Clips:
        """Concatenate clips of one size."""
        columns = []
        for field in fields(Clips):
            columns.append(torch.cat([getattr(part, field.name) for part in parts]))
        return Clips(*columns)

    def save(self, path: Path) -> None:
        """Write a `.npz` through a temporary file, so that readers never see half a shard."""
        arrays = {field.name: getattr(self, field.name).numpy() for field in fields(self)}
        draft = path.with_suffix(".tmp")
        with open(draft, "wb") as file:
            np.savez(file, format=SHARD_FORMAT, **arrays)
        os.replace(draft, path)

    @staticmethod
    def load(path: Path) -> Clips:
        """Read a shard."""
        if not is_current(path):
            raise InputError(
                f"{path.name} holds clips of an older drawing; delete it to have it drawn anew"
            )
        with np.load(path, allow_pickle=False) as file:
            columns = [torch.from_numpy(file[field.name]) for field in fields(Clips)]
        return Clips(*columns)


def shards(folder: Path) -> list[Path]:
    """List the current shards of a folder, by name."""
    paths = sorted(folder.glob("*.npz"))
    return [path for path in paths if _is_current(path, path.stat().st_mtime_ns)]


def is_current(path: Path) -> bool:
    """Say whether a shard holds clips of the present drawing."""
    with np.load(path, allow_pickle=False) as file:
        return "format" in file.files and int(file["format"]) == SHARD_FORMAT


@functools.cache
def _is_current(path: Path, changed_ns: int) -> bool:
    """Remember the answer until the file changes."""
    return is_current(path)
