"""A training clip refuses what does not fit together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.data.fda_sampling import Placement
from pipeline.training.data.training_clips import Outpainted, TrainingClip
from pipeline.values import Pose

FRAMES = np.zeros((3, 16, 12, 3), np.uint8)
OUTPAINTED = Outpainted(FRAMES[0], Placement(np.full(2, 0.5), np.full(2, 0.25)), 1, "texture fill")
CLIP = TrainingClip("face", FRAMES, Pose.empty(3, 25, (16, 12)), None, OUTPAINTED, "a.mp4")


def test_a_clip_knows_its_length_and_size() -> None:
    assert len(CLIP) == 3 and CLIP.size == (16, 12)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"kind": "hand"}, "face, body"),
        ({"kind": "body"}, "only face clips"),
        ({"frames": FRAMES.astype(np.float32)}, "uint8"),
        ({"frames": FRAMES[:2]}, "pose of 3"),
        ({"samples": np.zeros((2, 5), np.float32)}, "sound"),
        ({"outpainted": replace(OUTPAINTED, frame=3)}, "frame 3"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(CLIP, **change)
