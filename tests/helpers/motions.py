"""Motions for the tests of refocus: a pose with a planted excitation."""

from __future__ import annotations

import numpy as np

from pipeline.values import Motion, Pose
from tests.helpers.stick_person import FPS


def beat(frames=250) -> np.ndarray:
    """Excitation with accents every 1.6 s and a pause of 2 s in the middle."""
    t = np.arange(frames) / FPS
    e = 0.9 * np.sin(2 * np.pi * t / 1.6) ** 3
    middle = frames / FPS / 2
    return np.where(np.abs(t - middle) < 1, -1.0, np.clip(e, -1, 1))


def as_motion(pose: Pose, excitation: np.ndarray | None = None) -> Motion:
    e = beat(len(pose)) if excitation is None else excitation
    return Motion(
        pose,
        pose[:1],
        None,
        None,
        (e + 1) / 2,
        e,
        np.ones(len(e)),
        np.zeros((len(e), 2, 4), np.float32),
    )
