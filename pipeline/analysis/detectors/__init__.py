"""Detectors turn pictures and clips into poses.

`load` returns one and imports its library only then.
"""

from __future__ import annotations

from importlib import import_module

from pipeline.analysis.detectors.protocol import Detector
from pipeline.values import InputError

__all__ = ["CLASSES", "DEFAULT", "Detector", "load"]

DEFAULT = "holistic"
CLASSES = {  # name -> module of this package, class
    "holistic": ("holistic", "Holistic"),
    "dwpose": ("dwpose", "DWPose"),
    "openpose": ("openpose", "OpenPose"),
}


def load(name: str = DEFAULT) -> Detector:
    """Load the detector of that name; import its library and check it."""
    if name not in CLASSES:
        raise InputError(
            f"detector {name!r} is not one of {', '.join(CLASSES)}; choose one of these"
        )
    module_name, class_name = CLASSES[name]
    module = import_module(f"{__name__}.{module_name}")
    detector_class = getattr(module, class_name)
    return detector_class()
