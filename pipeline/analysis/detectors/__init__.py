"""Detectors turn pictures and clips into poses; `load` returns one and imports its library only then."""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import Protocol

import numpy as np

from pipeline.values import Detection, InputError, Video

DEFAULT = "holistic"
CLASSES = {
    "holistic": ("holistic", "Holistic"),
    "dwpose": ("dwpose", "DWPose"),
    "openpose": ("openpose", "OpenPose"),
}


class Detector(Protocol):
    """What every detector offers. `version` changes whenever its results change, so that caches know."""

    name: str
    version: str

    def image(self, image: np.ndarray) -> Detection:
        """All people of a picture (H, W, 3) uint8, largest first, each a pose of one frame with a mask."""

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yields the number of frames done; returns all people, largest first, each as long as the clip."""


def load(name: str = DEFAULT) -> Detector:
    """The detector of that name, its library imported and checked."""
    if name not in CLASSES:
        raise InputError(
            f"detector {name!r} is not one of {', '.join(CLASSES)}; choose one of these"
        )
    module, cls = CLASSES[name]
    return getattr(import_module(f".{module}", __name__), cls)()
