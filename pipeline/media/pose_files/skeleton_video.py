"""Skeleton videos, and the pose that is kept beside each so that nobody has to detect a drawing."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline import __version__, media
from pipeline.motion import skeleton
from pipeline.values import Audio, Pose

AHEAD = 16  # frames drawn while the ones before are encoded


def draw_video(
    pose: Pose,
    path: str | Path,
    size: tuple[int, int],
    style: str = "preview",
    audio: Audio | None = None,
    settings: dict | None = None,
) -> None:
    """Writes the drawn pose, drawing the next frames while the last ones are encoded."""
    frames = skeleton.stream(pose, size, style)
    writer = media.open_writer(
        path, pose.fps, size, audio, settings, preset="ultrafast", expected_frames=len(pose)
    )
    with writer, ThreadPoolExecutor(1) as pool:
        drawn = pool.submit(_copies, frames)
        while chunk := drawn.result():
            drawn = pool.submit(_copies, frames)
            writer.write(np.stack(chunk))


def _copies(frames: Iterator[np.ndarray]) -> list[np.ndarray]:
    """The next frames of a stream that reuses its buffer."""
    return [frame.copy() for frame in itertools.islice(frames, AHEAD)]


def write_skeleton(
    pose: Pose,
    path: str | Path,
    size: tuple[int, int],
    style: str = "preview",
    audio: Audio | None = None,
) -> str | None:
    """Write a skeleton video and keep its pose as NAME.npz beside it, where `find` looks.

    A NAME.npz that is not the old video's own stays as it is; the sentence that is returned says so.
    Animations and folders of frames are for showing: they get no pose beside them.
    """
    if media.is_silent(path):
        draw_video(pose, path, size, style, audio, {"apv_studio": __version__, "skeleton": style})
        return None
    beside = Path(path).with_suffix(".npz")
    taken = beside.exists() and find(path) is None
    settings = {"apv_studio": __version__, "skeleton": style, "pose": digest(pose)}
    draw_video(pose, path, size, style, audio, settings)
    if not taken:
        pose.save(beside)
    elif _digest_of(beside) != settings["pose"]:
        return f"{beside.name} was there before and is kept, so {Path(path).name} has no pose beside it."
    return None


def find(path: str | Path) -> Path | None:
    """The pose file beside a skeleton video of `write_skeleton`, while both still belong together."""
    video = Path(path)
    beside = video.with_suffix(".npz")
    if video.suffix.lower() != ".mp4" or not (video.is_file() and beside.is_file()):
        return None
    try:
        settings = media.read_settings(video) or {}
    except ValueError:
        return None  # not a video at all: the reader of videos says so
    return beside if settings.get("pose") and settings["pose"] == _digest_of(beside) else None


def digest(pose: Pose) -> str:
    """SHA-256 of the key points, so that a changed file is not taken for the video's own."""
    sha = hashlib.sha256(f"{float(pose.fps)!r} {tuple(map(int, pose.size))}".encode())
    for part in (pose.body, pose.hands, pose.face):
        for values in (part.xy, part.score):
            sha.update(np.ascontiguousarray(values, np.float64).tobytes())
    return sha.hexdigest()


def _digest_of(path: Path) -> str | None:
    try:
        return digest(Pose.load(path))
    except ValueError:
        return None
