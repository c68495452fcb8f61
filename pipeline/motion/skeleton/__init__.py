"""Draw poses: the pictures that denoisers and viewers look at.

Four styles. "controlnext" is the published ControlNeXt-SVD-v2 picture to the pixel: drawn on a
canvas whose short side is 2160, dimmed by score, shrunk, channels reversed. "openpose" is the plain
look of OpenPose and controlnet_aux at native size. "preview" is fast and sub-pixel exact; viewers
see it and the embedded denoiser is conditioned on it. "aniportrait" is AniPortrait's picture of a
face mesh to the pixel; the mesh comes beside the pose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.motion.skeleton import mesh_style, preview_style, published_styles
from pipeline.values import InputError, Pose

STYLES = ("preview", "controlnext", "openpose")  # of a pose alone
MESH_STYLE = "aniportrait"


def draw(
    poses: Pose | Sequence[Pose],
    size: tuple[int, int],
    style: str = "preview",
    mesh: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one person or several on black: (T,H,W,3) uint8 RGB. See `stream` for long clips."""
    frames = stream(poses, size, style, mesh)
    count = len(poses) if isinstance(poses, Pose) else len(poses[0])
    pictures = np.empty((count, *size, 3), np.uint8)
    for t, frame in enumerate(frames):
        pictures[t] = frame
    return pictures


def stream(
    poses: Pose | Sequence[Pose],
    size: tuple[int, int],
    style: str = "preview",
    mesh: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Draw frame by frame: (H,W,3) uint8 RGB, always the same array; copy what is to be kept.

    Args:
        poses: one person or several, as many frames each. Points are not drawn that have a score of
            0, are not finite, or lie far outside the picture.
        size: (H,W) in pixels.
        style: one of STYLES, or MESH_STYLE, which draws the mesh and no pose.
        mesh: (T,468,2) a face in fractions of the picture, for MESH_STYLE.
    """
    people = [poses] if isinstance(poses, Pose) else list(poses)
    _check(people, size, style)
    if style == "controlnext":
        return published_styles.controlnext_frames(people, size)
    if style == "openpose":
        return published_styles.openpose_frames(people, size)
    if style == "preview":
        return preview_style.frames(people, size)
    if mesh is None:
        raise InputError(
            "the skeleton style aniportrait draws a face mesh, and this motion has none; "
            "set `audio2pose` to aniportrait"
        )
    if len(mesh) != len(people[0]):
        raise ValueError(f"a mesh of {len(mesh)} frames beside a pose of {len(people[0])}")
    return mesh_style.frames(mesh, size)


def _check(people: list[Pose], size: tuple[int, int], style: str) -> None:
    if style not in (*STYLES, MESH_STYLE):
        raise InputError(f"unknown skeleton style {style!r}; choose one of {', '.join(STYLES)}")
    if min(size) < 1:
        raise InputError(
            f"cannot draw a skeleton at {size[1]}x{size[0]} pixels; give a positive size"
        )
    if not people:
        raise InputError("no pose to draw; pass Pose.empty(frames, fps, size) for black pictures")
    lengths = [len(pose) for pose in people]
    if len(set(lengths)) > 1:
        raise InputError(f"people drawn together need as many frames each, got {lengths}")
