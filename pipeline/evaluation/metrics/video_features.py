"""Cut videos into the clips that FVD looks at, and collect features of videos and pictures.

FVD depends on how clips are cut: a figure is told with its `ClipRule` and the number of clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import cv2
import numpy as np

from pipeline.evaluation.metrics.frechet import RunningStatistics
from pipeline.models import i3d, inception
from pipeline.values import InputError

WHITE = 255.0
PICTURES_AT_ONCE = 8


@dataclass(frozen=True)
class ClipRule:
    """How a video becomes clips of 224 x 224 in [-1, 1].

    The shorter side is brought to 224 bilinearly, the middle is cut out.

    Attributes:
        frames: in a clip, at least 9.
        stride: frames from the start of a clip to that of the next.
    """

    frames: int = 16
    stride: int = 16

    def __post_init__(self) -> None:
        if self.frames < i3d.LEAST_FRAMES or self.stride < 1:
            raise InputError(
                f"clips of {self.frames} frames every {self.stride} cannot be measured; FVD needs "
                f"at least {i3d.LEAST_FRAMES} frames and a stride of 1 or more"
            )

    @property
    def words(self) -> str:
        """The rule for a report."""
        return (
            f"clips of {self.frames} frames every {self.stride}, shorter side to {i3d.SIDE_PX}, "
            "middle cut out, [-1, 1]"
        )


class ClipNetwork(Protocol):
    """What gives features of clips: `I3D` or `TorchScriptI3D`."""

    def features(self, clips: np.ndarray) -> np.ndarray:
        """Return (N, d) of clips (N, T, 224, 224, 3) float32 in [-1, 1]."""


class PictureNetwork(Protocol):
    """What gives features of pictures: `Inception`."""

    def features(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Return (N, d) of RGB pictures (H, W, 3) uint8."""


def square(frame: np.ndarray) -> np.ndarray:
    """Return the middle (224, 224, 3) float32 in [-1, 1] of a frame (H, W, 3) uint8."""
    height, width = frame.shape[:2]
    scale = i3d.SIDE_PX / min(height, width)
    new_height = round(height * scale)
    new_width = round(width * scale)
    values = frame.astype(np.float32)
    scaled = cv2.resize(values, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    top = (new_height - i3d.SIDE_PX) // 2
    left = (new_width - i3d.SIDE_PX) // 2
    middle = scaled[top : top + i3d.SIDE_PX, left : left + i3d.SIDE_PX]
    return middle / WHITE * 2 - 1


def clips(frames: Iterable[np.ndarray], rule: ClipRule) -> Iterator[np.ndarray]:
    """Yield the clips (T, 224, 224, 3) of a video; a rest that is too short is left out."""
    held: list[np.ndarray] = []
    skip = 0
    for frame in frames:
        if skip:
            skip -= 1
            continue
        held.append(square(frame))
        if len(held) == rule.frames:
            yield np.stack(held)
            skip = max(0, rule.stride - rule.frames)
            held = held[rule.stride :]


def add_clips(
    statistics: RunningStatistics,
    network: ClipNetwork,
    frames: Iterable[np.ndarray],
    rule: ClipRule,
) -> int:
    """Take the clips of one video into the statistics; return how many there were."""
    count = 0
    for clip in clips(frames, rule):
        statistics.add(network.features(clip[None]))
        count += 1
    return count


def add_pictures(
    statistics: RunningStatistics, network: PictureNetwork, pictures: Iterable[np.ndarray]
) -> int:
    """Take pictures into the statistics, some at a time; return how many there were."""
    waiting = iter(pictures)
    count = 0
    while batch := list(islice(waiting, PICTURES_AT_ONCE)):
        statistics.add(network.features(batch))
        count += len(batch)
    return count


def fid_statistics() -> RunningStatistics:
    """Return empty statistics for FID."""
    return RunningStatistics(inception.SIZE)


def fvd_statistics() -> RunningStatistics:
    """Return empty statistics for FVD."""
    return RunningStatistics(i3d.SIZE)
