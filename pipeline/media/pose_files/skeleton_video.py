"""Skeleton videos, and the pose that is kept beside each so that nobody has to detect a drawing."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline import __version__, media
from pipeline.media.containers import CONTAINERS
from pipeline.motion import skeleton
from pipeline.values import Audio, Pose

AHEAD_FRAMES = 16  # frames drawn while the ones before are encoded


def draw_video(
    pose: Pose,
    path: str | Path,
    size: tuple[int, int],
    style: str = "preview",
    audio: Audio | media.SoundTrack | None = None,
    settings: dict | None = None,
) -> None:
    """Write the drawn pose, drawing the next frames while the last ones are encoded.

    Args:
        pose: one person.
        path: what to write; see `media.open_writer`.
        size: (H, W) of the drawing.
        style: of the drawing; see `skeleton.draw`.
        audio: sound, where the format holds any.
        settings: plain JSON values to keep in the file.
    """
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
    """Return the next frames of a stream that reuses its buffer."""
    return [frame.copy() for frame in itertools.islice(frames, AHEAD_FRAMES)]


def write_skeleton(
    pose: Pose,
    path: str | Path,
    size: tuple[int, int],
    style: str = "preview",
    audio: Audio | media.SoundTrack | None = None,
) -> str | None:
    """Write a skeleton video and keep its pose as NAME.npz beside it, where `find` looks.

    A NAME.npz that does not belong to the old video stays as it is; the sentence that is returned
    says so. Animations and folders of frames are for showing: they get no pose beside them.
    """
    settings = {"apv_studio": __version__, "skeleton": style}
    if media.is_silent(path):
        draw_video(pose, path, size, style, audio, settings)
        return None
    beside = Path(path).with_suffix(".npz")
    is_taken = beside.exists() and find(path) is None
    settings["pose"] = digest(pose)
    draw_video(pose, path, size, style, audio, settings)
    if not is_taken:
        pose.save(beside)
    elif _file_digest(beside) != settings["pose"]:
        return (
            f"{beside.name} was there before and is kept, "
            f"so {Path(path).name} has no pose beside it."
        )
    return None


def find(path: str | Path) -> Path | None:
    """Return the pose file beside a skeleton video while both still belong together, or None."""
    video = Path(path)
    beside = video.with_suffix(".npz")
    is_video = video.suffix.lower() in CONTAINERS
    if not (is_video and video.is_file() and beside.is_file()):
        return None
    try:
        settings = media.read_settings(video) or {}
    except ValueError:
        return None  # not a video at all: the reader of videos says so
    kept = settings.get("pose")
    return beside if kept and kept == _file_digest(beside) else None


def digest(pose: Pose) -> str:
    """Return the SHA-256 of the key points: a changed file is not taken for the video's own."""
    height, width = pose.size
    sha = hashlib.sha256(f"{float(pose.fps)!r} {(int(height), int(width))}".encode())
    for part in (pose.body, pose.hands, pose.face):
        for values in (part.xy, part.score):
            numbers = np.ascontiguousarray(values, np.float64)
            sha.update(numbers.tobytes())
    return sha.hexdigest()


def _file_digest(path: Path) -> str | None:
    """Return the digest of a pose file, or None for another file."""
    try:
        return digest(Pose.load(path))
    except ValueError:
        return None
