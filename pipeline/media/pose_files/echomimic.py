"""EchoMimicV2's DWPose arrays packed in one `.npz`: candidate, hands, faces and their scores."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from pipeline.values import (
    BODY,
    DAMAGED,
    FACE,
    HANDS,
    MAX_POSE_FRAMES,
    InputError,
    Keypoints,
    Pose,
    array_damage,
    check_places,
    numbers_from,
)

NUMBERS_PER_POINT = 3
BYTES_PER_NUMBER = 8
MAX_BYTES = MAX_POSE_FRAMES * (BODY + HANDS + FACE) * NUMBERS_PER_POINT * BYTES_PER_NUMBER
# The files tell neither rate nor size; EchoMimicV2 runs at these
FPS = 25.0
SIZE = (768, 768)


def is_one(path: Path) -> bool:
    """Say whether an `.npz` holds these arrays; False also for a file that is no archive."""
    try:
        with zipfile.ZipFile(path) as file:
            return "candidate.npy" in file.namelist()
    except DAMAGED:
        return False


def read(path: Path) -> Pose:
    """Return the pose of such a file.

    Coordinates are fractions of the picture; points that were not seen keep their low scores.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            total = sum(info.file_size for info in file.zip.infolist())
            if total > MAX_BYTES:
                raise InputError("it is larger than an hour of poses")
            frames = len(np.atleast_1d(numbers_from(file, "candidate")))
            body = _part(file, frames, "candidate", "body_score", BODY)
            hands = _part(file, frames, "hands", "hands_score", HANDS)
            face = _part(file, frames, "faces", "faces_score", FACE)
            return Pose(body, hands, face, fps=FPS, size=SIZE)
    except DAMAGED as error:
        raise InputError(
            f"{path} does not hold the arrays of EchoMimicV2's poses ({array_damage(error)}); "
            "it needs candidate, hands, faces and their scores"
        ) from error


def _part(
    file: np.lib.npyio.NpzFile, frames: int, name: str, score_name: str, count: int
) -> Keypoints:
    """Return `count` key points of the arrays `name` and `score_name`."""
    xy = numbers_from(file, name)
    score = numbers_from(file, score_name)
    if xy.size != frames * count * 2 or score.size != frames * count:
        raise InputError(
            f"{name} has the shape {xy.shape} and {score_name} {score.shape}, "
            f"not {count} points in each of {frames} frames"
        )
    xy = xy.reshape(frames, count, 2)
    score = score.reshape(frames, count)
    check_places(xy, score, name)
    return Keypoints(xy, np.clip(score, 0, 1))
