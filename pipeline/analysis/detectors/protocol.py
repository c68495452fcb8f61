"""What every detector offers."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import numpy as np

from pipeline.values import Detection, Video


class PictureDetector(Protocol):
    """What finds people in a picture. Caches know by `version` when its results changed."""

    name: str
    version: str

    def image(self, image: np.ndarray) -> Detection:
        """Detect all people of a picture (H,W,3) uint8, largest first.

        Each is a pose of one frame with a mask.
        """


class Detector(PictureDetector, Protocol):
    """A network that finds people in pictures and clips."""

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yield the number of frames done.

        Return all people, largest first, each as long as the clip.
        """
