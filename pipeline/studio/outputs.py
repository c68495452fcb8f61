"""The pictures and videos beside the result: overlay clip, side by side, the people to choose from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipeline import media
from pipeline.analysis.driving import DrivingVideo
from pipeline.media import pose_files
from pipeline.motion import retarget, skeleton, timing
from pipeline.render.draft import draft
from pipeline.studio import charts
from pipeline.studio.request import Request
from pipeline.studio.steps import Inputs
from pipeline.values import Audio, Motion, Pose, Progress

PANEL = 512  # rows of the side-by-side video at most
PICKER = 960  # pixels of the longer side of the picture to choose a person in, at most


def write_overlay(inputs: Inputs, motion: Motion, path: str) -> Iterator[Progress]:
    """Writes the aligned skeleton over the dimmed reference image, with the sound."""
    frames = charts.overlay_clip(inputs.picture, motion.pose, inputs.size)
    with media.open_writer(
        path, motion.pose.fps, inputs.size, inputs.audio,
        preset="ultrafast", expected_frames=len(motion),
    ) as writer:  # fmt: skip
        for frame in frames:
            writer.write(frame[None])
            yield Progress("overlay", writer.frames, len(motion))


def busiest(people: Sequence[Pose]) -> int:
    """The first frame that shows as many people at once as any."""
    return int(np.stack([pose.body.visible.any(1) for pose in people]).sum(0).argmax())


def people_picture(inputs: Inputs, people: Sequence[Pose], chosen: int) -> np.ndarray:
    """Draw each person's skeleton and number over the driving frame `busiest`: (H,W,3) uint8.

    A driving pose has no pictures: its people are drawn on black.
    """
    row = busiest(people)
    if isinstance(inputs.driving, DrivingVideo):
        for picture in inputs.driving.pictures(people[0].fps, row + 1, PICKER):
            frame = picture
    else:
        height, width = people[0].size
        scale = PICKER / max(height, width)
        frame = np.zeros((round(height * scale), round(width * scale), 3), np.uint8)
    return charts.numbered(frame, people, row, chosen)


def person_at(people: Sequence[Pose], point: tuple[float, float]) -> int:
    """The number, from 1, of the person at a point (x, y), in fractions, of `people_picture`."""
    row = busiest(people)
    return retarget.choose([pose[row : row + 1] for pose in people], point)[0] + 1


def write_comparison(
    request: Request, inputs: Inputs, motion: Motion, result: str, path: str
) -> Iterator[Progress]:
    """Writes driving video (or reference image) | skeleton | the video at `result`, with the sound."""
    height = min(inputs.size[0], PANEL) // 2 * 2
    size = height, round(inputs.size[1] * height / inputs.size[0] / 2) * 2
    total = media.probe(result).frames
    drawn = skeleton.stream(motion.pose[:total], size)
    made = (frame for chunk in media.read_video(result).chunks() for frame in chunk)
    sources = _sources(request, inputs, len(motion), size)
    with media.open_writer(
        path, motion.pose.fps, (height, 3 * size[1]), inputs.audio, preset="ultrafast"
    ) as writer:
        for panels in zip(sources, drawn, made, strict=False):
            writer.write(np.hstack([_panel(picture, size) for picture in panels])[None])
            yield Progress("side by side", writer.frames, total)


def _sources(
    request: Request, inputs: Inputs, frames: int, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield the picture that drives each frame: of the driving video as it was fitted, else the reference."""
    if not isinstance(inputs.driving, DrivingVideo):
        yield from itertools.repeat(_panel(inputs.picture, size), frames)
        return
    jpegs = []  # 15 kB each: a clip may be played back and forth
    for picture in inputs.driving.pictures(request.fps, frames):
        panel = _panel(picture, size)
        jpegs.append(cv2.imencode(".jpg", panel[..., ::-1])[1])
    for position in timing.positions(len(jpegs), frames, request.length, request.fps):
        picture = cv2.imdecode(jpegs[round(position)], cv2.IMREAD_COLOR)
        yield picture[..., ::-1]


def _panel(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The whole picture inside `size` (H,W), on black."""
    if picture.shape[:2] == size:
        return picture
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    panel = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    panel[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA
    )
    return panel


def write_skeleton(
    motion: Motion, audio: Audio, size: tuple[int, int], path: str, style: str = "preview"
) -> None:
    """Writes the drawn pose with its sound; `posefiles.write_skeleton` keeps the pose beside it, too."""
    pose_files.draw_video(motion.pose, path, size, style, audio)


def write_draft(inputs: Inputs, motion: Motion, path: str) -> Iterator[Progress]:
    """Writes the warped reference image with its sound, yielding frames as they are made."""
    with media.open_writer(
        path, motion.pose.fps, inputs.size, inputs.audio,
        preset="ultrafast", expected_frames=len(motion),
    ) as writer:  # fmt: skip
        for frames in draft(inputs.picture, motion, inputs.size):
            writer.write(frames)
            yield Progress("draft", writer.frames, len(motion), frames=frames)


def excerpt(inputs: Inputs, motion: Motion, seconds: float = 2.0) -> tuple[Inputs, Motion]:
    """The strongest `seconds` of a motion at half the frame rate and half the size: a quick draft."""
    scale = max(0.5, 64 / min(inputs.size))
    fps, half = motion.pose.fps / 2, tuple(round(side * scale / 2) * 2 for side in inputs.size)
    count = min(len(motion), max(2, round(seconds * motion.pose.fps)))
    start = int(np.clip(int(np.argmax(motion.intensity)) - count // 2, 0, len(motion) - count))
    rows = slice(start, start + count, 2)
    part = motion[rows]
    rate = inputs.audio.rate
    first, last = (round(row / motion.pose.fps * rate) for row in (start, start + count))
    audio = replace(inputs.audio, samples=inputs.audio.samples[first:last])
    return replace(inputs, audio=audio, size=half), replace(part, pose=replace(part.pose, fps=fps))
