"""EchoMimicV2's DWPose arrays packed in one `.npz`: candidate, hands, faces and their scores."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from pipeline.values import BODY, DAMAGED, FACE, HANDS, MAX_POSE_FRAMES, InputError, Keypoints, Pose

MAX_BYTES = MAX_POSE_FRAMES * (BODY + HANDS + FACE) * 3 * 8
FPS, SIZE = 25.0, (768, 768)  # the files do not tell; EchoMimicV2 runs at these
PARTS = (
    ("candidate", "body_score", BODY),
    ("hands", "hands_score", HANDS),
    ("faces", "faces_score", FACE),
)


def is_one(path: Path) -> bool:
    """Whether an `.npz` holds these arrays; False also for a file that is no archive."""
    try:
        with zipfile.ZipFile(path) as file:
            return "candidate.npy" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read(path: Path) -> Pose:
    """Returns the pose of such a file; coordinates are fractions, unseen points keep their low scores."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(info.file_size for info in file.zip.infolist()) > MAX_BYTES:
                raise InputError("it is larger than an hour of poses")
            frames = len(file["candidate"])
            return Pose(*(_part(file, frames, *names) for names in PARTS), fps=FPS, size=SIZE)
    except DAMAGED as error:
        raise InputError(
            f"{path} does not hold the arrays of EchoMimicV2's poses ({error}); it needs candidate, "
            "hands, faces and their scores"
        ) from error


def _part(file: np.lib.npyio.NpzFile, frames: int, name: str, scores: str, count: int) -> Keypoints:
    xy = np.asarray(file[name], np.float64).reshape(frames, count, 2)
    score = np.asarray(file[scores], np.float64).reshape(frames, count)
    if not (np.isfinite(xy).all() and np.isfinite(score).all()):
        raise InputError(f"{name} holds numbers that are not finite")
    return Keypoints(xy, np.clip(score, 0, 1))
