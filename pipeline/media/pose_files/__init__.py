"""Pose files in and out: our `.npz`, OpenPose JSON, EchoMimicV2's arrays, skeleton videos.

Sizes are bounded before anything is decoded and nothing is unpickled. Every failure is an
InputError of one sentence that names the file.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.media import frame_folder
from pipeline.media.containers import CONTAINERS
from pipeline.media.files import checked_file
from pipeline.media.pose_files import echomimic, openpose, skeleton_video
from pipeline.media.pose_files.skeleton_video import draw_video, write_skeleton
from pipeline.values import Detection, InputError, Pose

__all__ = ["check_target", "draw_video", "is_pose", "read", "write", "write_skeleton"]

MAX_SECONDS = 3600.0  # longer than any speech; bounds the memory
# What `write` writes, by the name's ending; none = a folder
KINDS = (".npz", ".json", *CONTAINERS, "")


def is_pose(path: str | Path) -> bool:
    """Say whether a path holds key points, not pictures.

    That is a folder of OpenPose JSON, a file of key points, or a skeleton video of this project
    that still has its pose beside it. A folder with neither JSON nor numbered pictures counts as a
    pose, so that `read` says what is missing in it.
    """
    source = Path(path)
    if source.is_dir():
        return openpose.holds_frames(source) or not frame_folder.holds_frames(source)
    return source.suffix.lower() in (".npz", ".json") or skeleton_video.find(source) is not None


def read(path: str | Path, fps: float | None = None) -> Detection:
    """Return all people in a pose file, largest first.

    `fps` counts where the file does not tell its own.
    """
    detection = _read(Path(path), fps)
    _check_length(detection.people[0], path)
    return detection


def _check_length(pose: Pose, path: str | Path) -> None:
    """Raise InputError for a pose that its frame rate makes endless."""
    seconds = len(pose) / pose.fps
    if seconds > MAX_SECONDS:
        raise InputError(
            f"pose file {path} lasts {seconds:.6g} s, {len(pose)} frames at {pose.fps:.3g} a "
            "second; give one of at most an hour, or correct its frame rate"
        )


def _read(source: Path, fps: float | None) -> Detection:
    if source.is_dir() or source.suffix.lower() == ".json":
        return openpose.read(source, fps)
    checked_file(source, "pose file")
    beside = source if source.suffix.lower() == ".npz" else skeleton_video.find(source)
    if beside is None:
        raise InputError(
            f"{source} is not a pose file; "
            "give .npz, OpenPose JSON or a skeleton video with its .npz"
        )
    pose = echomimic.read(beside) if echomimic.is_one(beside) else Pose.load(beside)
    if not len(pose):
        raise InputError(f"pose file {source} holds no frame; give one with frames")
    return Detection((pose,))


def check_target(path: str | Path) -> None:
    """Raise InputError where `write` would refuse the name; call it before long work."""
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in KINDS:
        raise InputError(
            f"{path}: {kind} is no ending of a pose; "
            f"use .npz, .json, a folder or, for a drawing, {', '.join(CONTAINERS)}"
        )
    if not kind:
        openpose.check_folder(target)


def write(pose: Pose, path: str | Path, style: str = "openpose") -> str | None:
    """Write `.npz`, `.json` (one list), a video (a skeleton in `style`) or a folder of JSON frames.

    Return a sentence for the user, or None.
    """
    check_target(path)
    target = Path(path)
    kind = target.suffix.lower()
    if kind in CONTAINERS:
        return write_skeleton(pose, target, pose.size, style)
    if kind == ".npz":
        pose.save(target)
    elif kind == ".json":
        openpose.write_list(pose, target)
    else:
        openpose.write_folder(pose, target)
    return None
