"""A drawn person who reenacts himself: a clip, a detector that knows him, a case."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from pipeline.evaluation.reenact import regions
from pipeline.evaluation.reenact.cases import FPS, Case
from pipeline.render.draft import draft
from pipeline.values import Detection, InputError, Motion, Video
from tests.helpers import tiny
from tests.helpers.media_files import save_clip
from tests.helpers.stick_person import figure

SIZE = (128, 96)


def mask() -> np.ndarray:
    """Where `tiny.portrait` draws its person: head and chest."""
    drawn = np.zeros(SIZE, np.float32)
    drawn[12:40, 38:58] = 1
    drawn[48:, 33:63] = 1
    return drawn


class StickDetector:
    """Finds `figure` in every picture that is not black, and his swing in every clip."""

    name = "stick"
    version = "1"

    def image(self, image: np.ndarray) -> Detection:
        if not image.any():
            raise InputError("nobody")
        return Detection((figure(1, 1.0, SIZE),), (mask(),))

    def video(self, video: Video) -> Generator[int, None, Detection]:
        frames = sum(len(chunk) for chunk in video.chunks())
        yield frames
        return Detection((figure(frames, video.fps, SIZE),))


def clip(path: Path, frames: int = 20) -> Path:
    """Write a clip of the drawn person at 25 frames/s who swings his arm."""
    save_clip(path, moved(tiny.motion(frames)))
    return path


def moved(motion: Motion) -> np.ndarray:
    """The frames (T, h, w, 3) of the drawn person moved by a motion."""
    return np.concatenate(list(draft(tiny.portrait(SIZE), motion, SIZE)))


def case(frames: int = 6) -> Case:
    """A case whose truth is the warp itself, over a background that never changes."""
    motion = tiny.motion(frames, FPS)
    truth = moved(motion)
    masks = np.repeat(mask()[None] > 0.5, frames, 0)
    return Case(
        name="drawn",
        image=tiny.portrait(SIZE),
        motion=motion,
        truth=truth,
        seen=motion.pose,
        regions=regions.places(masks, motion.pose, SIZE),
        still=regions.still_background(truth, masks, 0),
    )
