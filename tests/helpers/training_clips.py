"""Training clips of a drawn stick person, which need neither speech nor a detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.training.data.fda_sampling import Placement
from pipeline.training.data.training_clips import Kind, Outpainted, TrainingClip
from tests.helpers.stick_person import figure
from tests.helpers.tiny import portrait

# where the outpainted picture has the frame
OUTPAINTED = Placement(np.array([0.5, 0.35]), np.array([0.25, 0.1]))


@dataclass(frozen=True)
class StickClips:
    """A source of clips whose pictures differ in color, (H, W) each."""

    kind: Kind
    count: int = 3
    frames: int = 4
    size: tuple[int, int] = (64, 64)

    def __len__(self) -> int:
        return self.count

    def clip(self, index: int) -> TrainingClip:
        picture = portrait(self.size)
        shades = [np.roll(picture, index + 1, 2) // (1 + frame % 2) for frame in range(self.frames)]
        outpainted = None
        if self.kind == "face":
            outpainted = Outpainted(picture, OUTPAINTED, 1, "invented")
        return TrainingClip(
            kind=self.kind,
            frames=np.stack(shades),
            pose=figure(self.frames, 25.0),
            samples=np.linspace(-1, 1, 16000, dtype=np.float32) if self.kind == "body" else None,
            outpainted=outpainted,
            source=f"{self.kind} {index}",
        )
