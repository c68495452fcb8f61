"""The clips that APV-Gen's trainer reads: real or drawn video with poses, before FDA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from pipeline.training.data.fda_sampling import Placement
from pipeline.values import Pose

SAMPLE_RATE_HZ = 16_000  # what every speech network of this project reads

Kind = Literal["face", "body"]
KINDS: tuple[Kind, ...] = ("face", "body")


@dataclass(frozen=True)
class Outpainted:
    """The reference frame of a face clip, placed and painted out to the whole picture.

    picture: (H,W,3) uint8. placement: where the frame lies in it; the clip's FDA draw is another.
    frame: which frame of the clip. method: name of the outpainting model, or "texture fill".
    """

    picture: np.ndarray
    placement: Placement
    frame: int
    method: str

    def __post_init__(self) -> None:
        _check_pictures(self.picture[None], "an outpainted picture")


@dataclass(frozen=True)
class TrainingClip:
    """One clip of video, before FDA.

    kind: "face" for D_f, close-ups; "body" for D_b, full bodies.
    frames: (T,H,W,3) uint8.
    pose: T frames; a frame without a pose has scores of 0 and keeps its black pose picture.
    samples: (n,) float32 mono at 16 kHz, or None.
    outpainted: of face clips, or None.
    source: where the clip came from, for messages.
    """

    kind: Kind
    frames: np.ndarray
    pose: Pose
    samples: np.ndarray | None
    outpainted: Outpainted | None
    source: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a training clip is one of {', '.join(KINDS)}, not {self.kind!r}")
        _check_pictures(self.frames, "a training clip")
        if len(self.pose) != len(self.frames):
            raise ValueError(f"{len(self.frames)} frames beside a pose of {len(self.pose)}")
        if self.samples is not None and self.samples.ndim != 1:
            raise ValueError(f"sound needs the shape (n,), got {self.samples.shape}")
        if self.outpainted is None:
            return
        if self.kind != "face":
            raise ValueError("only face clips have an outpainted reference")
        if not 0 <= self.outpainted.frame < len(self.frames):
            raise ValueError(f"frame {self.outpainted.frame} of a clip of {len(self.frames)}")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.frames.shape[1:3]
        return height, width


class ClipSource(Protocol):
    """Clips by number: a folder of shards, or drawn presenters."""

    def __len__(self) -> int:
        """Count the clips."""

    def clip(self, index: int) -> TrainingClip:
        """Read or draw one clip, 0 <= index < len."""


def _check_pictures(pictures: np.ndarray, name: str) -> None:
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8:
        shape = f"{pictures.shape} {pictures.dtype}"
        raise ValueError(f"{name} needs frames (T,H,W,3) uint8, got {shape}")
    if not pictures.size:
        raise ValueError(f"{name} has no pixels")
