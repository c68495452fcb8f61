"""Poses for tests: people of the parity records and a made-up one."""

import numpy as np

from pipeline.values import BODY, FACE, HANDS, Keypoints, Pose


def person(file: np.lib.npyio.NpzFile, name: str, size: tuple[int, int], k: int = 0) -> Pose:
    """Person k of a parity record as a pose of one frame."""
    people = len(file[f"{name}_faces"])
    body = Keypoints(
        file[f"{name}_candidate"][None, 18 * k : 18 * k + 18], file[f"{name}_score"][None, k]
    )
    sides = [k, people + k]
    hands = Keypoints(
        file[f"{name}_hands"][sides].reshape(1, HANDS, 2),
        file[f"{name}_hands_score"][sides].reshape(1, HANDS),
    )
    face = Keypoints(file[f"{name}_faces"][None, k], file[f"{name}_faces_score"][None, k])
    return Pose(body, hands, face, 25, size)


def still_person(frames: int = 1) -> Pose:
    """A made-up person in the middle of a portrait picture."""
    places = "50 20 50 32 40 32 36 45 38 56 60 32 64 45 62 56 44 58 44 75 44 92 56 58 56 75 56 92 48 18 52 18"
    body = np.array((places + " 46 19 54 19").split(), float).reshape(BODY, 2) / 100
    angle = np.linspace(0, 2 * np.pi, FACE, endpoint=False)
    face = np.stack([0.5 + 0.05 * np.cos(angle), 0.2 + 0.06 * np.sin(angle)], 1)
    lips = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    face[48:60] = np.stack([0.5 + 0.02 * np.cos(lips), 0.23 + 0.012 * np.sin(lips)], 1)
    face[60:68] = 0.5 + 0.006 * np.stack([np.cos(lips[:8]), np.sin(lips[:8])], 1) - (0, 0.27)
    hands = np.concatenate([np.linspace(body[k], body[k] + (0.03, 0.05), 21) for k in (7, 4)])
    parts = [
        Keypoints(np.repeat(p[None], frames, 0), np.ones((frames, len(p))))
        for p in (body, hands, face)
    ]
    return Pose(*parts, 25, (384, 256))
