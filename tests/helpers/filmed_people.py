"""Videos of a drawn person, and a detector that knows where that person is: no networks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.media import VideoWriter
from pipeline.training.data.cut_clips import CutSettings
from pipeline.training.data.training_clips import TrainingClip
from pipeline.values import Audio, Detection, Keypoints, Pose, Video
from tests.helpers.stick_person import figure

FPS = 25.0
SIZE = (272, 256)  # (H, W)
MARKED_NOBODY = (10, 200, 10)  # a frame whose first pixel has this color shows nobody
MARKED_TWO = (10, 10, 200)  # one with this color shows two people


def pictures(frames: int, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(T,H,W,3) a sharp pattern that moves a little; every seed has another one."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (size[0] // 8 + 1, size[1] // 8 + 1, 3), np.uint8)
    pattern = coarse.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
    return np.stack([np.roll(pattern, t // 4, 1) for t in range(frames)])


def marked(frames: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """The frames with a corner of a color that the detector understands."""
    result = frames.copy()
    result[:, :16, :16] = color
    return result


def film(path: Path, parts: Sequence[np.ndarray], sound: bool = False) -> Path:
    """Write a video of parts (t,H,W,3), one after the other: cuts lie between them."""
    frames = np.concatenate(parts)
    samples = np.sin(np.arange(round(len(frames) / FPS * 16000)) / 8).astype(np.float32) / 2
    audio = Audio(samples, 16000) if sound else None
    with VideoWriter(path, FPS, frames.shape[1:3], audio, preset="ultrafast") as writer:
        writer.write(frames)
    return path


class KnownPerson:
    """Sees the figure of `stick_person` in every frame that is not marked."""

    name = "known"
    version = "1"

    def image(self, image: np.ndarray) -> Detection:
        """The figure, and a mask around it."""
        mask = np.zeros(image.shape[:2], np.float32)
        mask[mask.shape[0] // 6 :, mask.shape[1] // 3 : -mask.shape[1] // 3] = 1
        return Detection((figure(size=image.shape[:2]),), (mask,))

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """The figure; twice where frames are marked so, and nobody where they are marked so."""
        frames = np.concatenate(list(video.chunks()))
        yield len(frames)
        corners = frames[:, 4, 4].astype(int)
        pose = figure(len(frames), video.fps, frames.shape[1:3])
        is_nobody = np.abs(corners - MARKED_NOBODY).max(1) < 60
        if is_nobody.all():
            return Detection((), (), ("no person found in the clip",))
        shown = _hidden(pose, is_nobody)
        if (np.abs(corners - MARKED_TWO).max(1) < 60).any():
            return Detection((shown, shown))
        return Detection((shown,))


def _hidden(pose: Pose, rows: np.ndarray) -> Pose:
    """The pose without points in some frames."""
    parts = []
    for points in (pose.body, pose.hands, pose.face):
        score = np.where(rows[:, None], 0.0, points.score)
        parts.append(Keypoints(points.xy, score))
    return replace(pose, body=parts[0], hands=parts[1], face=parts[2])


def clip(kind: str = "face", frames: int = 8, seed: int = 0, sound: bool = False) -> TrainingClip:
    """A training clip of the figure."""
    samples = None
    if sound:
        samples = np.sin(np.arange(round(frames / FPS * 16000)) / 8).astype(np.float32) / 2
    pose = figure(frames, FPS, SIZE)
    return TrainingClip(kind, pictures(frames, seed), pose, samples, None, f"{seed}.mp4")


def cut_settings(kind: str = "body") -> CutSettings:
    """Settings for short test films."""
    return CutSettings(kind, most_seconds=2.0)
