"""Poses for tests: people of the parity records."""

import numpy as np

from pipeline.values import HANDS, Keypoints, Pose


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
