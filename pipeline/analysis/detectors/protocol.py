"""What every detector offers."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import numpy as np

from pipeline.values import Detection, Video


class Detector(Protocol):
    """A network that finds people. `version` changes whenever its results change, so that caches know."""

    name: str
    version: str

    def image(self, image: np.ndarray) -> Detection:
        """Detect all people of a picture (H,W,3) uint8, largest first: poses of one frame, and masks."""

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yield the number of frames done; return all people, largest first, each as long as the clip."""
