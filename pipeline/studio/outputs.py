"""The pictures and videos beside the result: skeleton, draft, overlay, side by side, people.

A picture is (H,W,3) uint8, a size is (H, W).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipeline import media
from pipeline.analysis.detectors.detection import shrink
from pipeline.analysis.driving import DrivingVideo
from pipeline.analysis.framing import detect_reference
from pipeline.analysis.speakers import choose, parse_speaker
from pipeline.media import pose_files
from pipeline.media.writer_base import FrameWriter
from pipeline.motion import retarget, skeleton, timing
from pipeline.render.draft import draft
from pipeline.studio import charts
from pipeline.studio.request import Request
from pipeline.studio.steps import Inputs
from pipeline.values import Audio, Motion, Pose, Progress

PANEL_ROWS = 512  # height of the side-by-side video at most
PICKER_PX = 960  # longer side of the picture to choose a person in, at most
SMALLEST_SIDE_PX = 64  # of an excerpt
EXCERPT_SCALE = 0.5  # of an excerpt's sides
FASTEST = "ultrafast"  # the encoder's preset: these videos are looked at once


def write_skeleton(
    motion: Motion,
    audio: Audio | media.SoundTrack,
    size: tuple[int, int],
    path: str,
    style: str = "preview",
) -> None:
    """Write the drawn pose with its sound; `pose_files.write_skeleton` keeps the pose, too."""
    pose_files.draw_video(motion.pose, path, size, style, audio)


def write_draft(
    inputs: Inputs, motion: Motion, path: str, rows: slice = slice(None)
) -> Iterator[Progress]:
    """Write the warped reference image with its sound; yield frames as they are made.

    Of the motion some `rows` are shown, as they are in the whole clip.
    """
    shown = motion[rows]
    fps = motion.pose.fps / (rows.step or 1)
    shown = replace(shown, pose=replace(shown.pose, fps=fps))
    with _writer(inputs, shown, path) as writer:
        for frames in draft(inputs.picture, motion, inputs.size, rows):
            writer.write(frames)
            yield Progress("draft", writer.frames, len(shown), frames=frames)


def write_overlay(inputs: Inputs, motion: Motion, path: str) -> Iterator[Progress]:
    """Write the aligned skeleton over the dimmed reference image, with the sound."""
    with _writer(inputs, motion, path) as writer:
        for frame in charts.overlay_clip(inputs.picture, motion.pose, inputs.size):
            writer.write(frame[None])
            yield Progress("overlay", writer.frames, len(motion))


def _writer(inputs: Inputs, motion: Motion, path: str) -> FrameWriter:
    """Open a video as long and as large as the result."""
    return media.open_writer(
        path,
        motion.pose.fps,
        inputs.size,
        inputs.heard,
        preset=FASTEST,
        expected_frames=len(motion),
    )


def excerpt(inputs: Inputs, motion: Motion, seconds: float = 2.0) -> tuple[Inputs, slice]:
    """Return inputs of half the size, and every other row of the strongest `seconds`.

    Drawn, they are a quick draft.
    """
    fps = motion.pose.fps
    count = min(len(motion), max(2, round(seconds * fps)))
    strongest = int(np.argmax(motion.intensity))
    start = int(np.clip(strongest - count // 2, 0, len(motion) - count))
    stop = start + count
    first = round(start / fps * inputs.audio.rate)
    last = round(stop / fps * inputs.audio.rate)
    audio = replace(inputs.audio, samples=inputs.audio.samples[first:last])
    height, width = inputs.size
    scale = max(EXCERPT_SCALE, SMALLEST_SIDE_PX / min(height, width))
    size = (_even(height * scale), _even(width * scale))
    return replace(inputs, audio=audio, sound=None, size=size), slice(start, stop, 2)


def _even(length: float) -> int:
    """Round to an even number of pixels, as the encoder needs."""
    return round(length / 2) * 2


# ---- who drives


def busiest(people: Sequence[Pose]) -> int:
    """Return the first frame that shows as many people at once as any."""
    is_seen = np.stack([pose.body.visible.any(1) for pose in people])
    return int(is_seen.sum(0).argmax())


def people_picture(inputs: Inputs, people: Sequence[Pose], chosen: int) -> np.ndarray:
    """Draw each person's skeleton and number over the driving frame `busiest`.

    A driving pose has no pictures: its people are drawn on black.
    """
    row = busiest(people)
    if isinstance(inputs.driving, DrivingVideo):
        for picture in inputs.driving.pictures(people[0].fps, row + 1, PICKER_PX):
            frame = picture
    else:
        height, width = people[0].size
        scale = PICKER_PX / max(height, width)
        frame = np.zeros((round(height * scale), round(width * scale), 3), np.uint8)
    return charts.numbered(frame, people, row, chosen)


def person_at(people: Sequence[Pose], point: tuple[float, float]) -> int:
    """Return the number, from 1, of the person at a point of `people_picture`.

    `point` is (x, y) in fractions of that picture.
    """
    row = busiest(people)
    frame = [pose[row : row + 1] for pose in people]
    index, _ = retarget.choose(frame, point)
    return index + 1


# ---- who speaks


def speakers_picture(path: str, detector: str, speaker: str | None) -> np.ndarray | None:
    """Draw number, box and skeleton of each person over the reference image; None for one alone."""
    picture = media.read_image(path)
    detection = detect_reference(picture, detector)
    if len(detection.people) < 2:
        return None
    asked = parse_speaker(speaker) if speaker else None
    chosen = choose(detection, asked)
    small = shrink(picture, PICKER_PX)
    return charts.numbered(small, detection.people, 0, chosen)


def speaker_at(path: str, detector: str, point: tuple[float, float]) -> int | None:
    """Return the number, from 1, of the person at a point (x, y) in fractions of a picture.

    None where the picture shows one person alone: there is no choice.
    """
    picture = media.read_image(path)
    detection = detect_reference(picture, detector)
    if len(detection.people) < 2:
        return None
    return choose(detection, point) + 1


# ---- side by side


def write_comparison(
    request: Request, inputs: Inputs, motion: Motion, result: str, path: str
) -> Iterator[Progress]:
    """Write driving video (or reference image) | skeleton | the video at `result`, with sound."""
    height = min(inputs.size[0], PANEL_ROWS) // 2 * 2
    width = _even(inputs.size[1] * height / inputs.size[0])
    size = (height, width)
    total = media.probe(result).frames
    skeletons = skeleton.stream(motion.pose[:total], size)
    sources = _sources(request, inputs, len(motion), size)
    with media.open_writer(
        path, motion.pose.fps, (height, 3 * width), inputs.heard, preset=FASTEST
    ) as writer:
        for pictures in zip(sources, skeletons, _frames(result), strict=False):
            panels = [_panel(picture, size) for picture in pictures]
            frame = np.hstack(panels)
            writer.write(frame[None])
            yield Progress("side by side", writer.frames, total)


def _frames(path: str) -> Iterator[np.ndarray]:
    """Yield the frames of a video one by one."""
    for chunk in media.read_video(path).chunks():
        yield from chunk


def _sources(
    request: Request, inputs: Inputs, frames: int, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield what drives each frame: the driving video as it was fitted, or the reference image."""
    if not isinstance(inputs.driving, DrivingVideo):
        panel = _panel(inputs.picture, size)
        yield from itertools.repeat(panel, frames)
        return
    jpegs = []  # 15 kB each: a clip may be played back and forth
    for picture in inputs.driving.pictures(request.fps, frames):
        panel = _panel(picture, size)
        _, jpeg = cv2.imencode(".jpg", panel[..., ::-1])
        jpegs.append(jpeg)
    for position in timing.positions(len(jpegs), frames, request.length, request.fps):
        picture = cv2.imdecode(jpegs[round(position)], cv2.IMREAD_COLOR)
        yield picture[..., ::-1]


def _panel(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fit the whole picture into `size`, on black."""
    if picture.shape[:2] == size:
        return picture
    panel_height, panel_width = size
    picture_height, picture_width = picture.shape[:2]
    scale = min(panel_height / picture_height, panel_width / picture_width)
    height = max(1, round(picture_height * scale))
    width = max(1, round(picture_width * scale))
    top = (panel_height - height) // 2
    left = (panel_width - width) // 2
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    panel = np.zeros((*size, 3), np.uint8)
    panel[top : top + height, left : left + width] = resized
    return panel
