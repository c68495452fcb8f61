"""Cut a segment of a downloaded video: frames at the protocol's rate and size, with its sound."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline import media
from pipeline.analysis import detectors
from pipeline.evaluation.protocols.segments import Crop, Segment
from pipeline.evaluation.videos.cases import VIDEO_ENDINGS
from pipeline.evaluation.videos.detections import detected_pose
from pipeline.motion.keypoints import L_ELBOW
from pipeline.values import Audio, InputError, Pose, Video

# EMTD's square reaches from the face's top to the lowest of the body's points up to the elbows
UPPER_POINTS = slice(0, L_ELBOW + 1)
MARGIN = 0.25  # of that height
ABOVE = 0.65  # of the margin
BELOW = 0.5
LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Cutting:
    """How a protocol cuts.

    Args:
        fps: Frames a second of the clips.
        trim_frames: Frames left out at both ends, at the source's own rate.
        size: Width and height of a clip in pixels.
        frames_person: Whether a square is laid around the person where the list has no crop.
    """

    fps: float
    trim_frames: int
    size: int
    frames_person: bool


EMTD = Cutting(fps=24.0, trim_frames=3, size=768, frames_person=True)
HDTF = Cutting(fps=25.0, trim_frames=0, size=512, frames_person=False)


def source_of(folder: Path, segment: Segment) -> tuple[Path, bool]:
    """Return the file of a segment, and whether it is cut already (it bears the segment's name).

    Raises InputError where neither is there.
    """
    for name, is_cut in ((segment.name, True), (segment.video, False)):
        for ending in VIDEO_ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path, is_cut
    raise InputError(f"{segment.name}: {folder} holds neither it nor {segment.video}; download it")


def cut(folder: Path, segment: Segment, how: Cutting, seconds: float | None, target: Path) -> None:
    """Write a segment as a clip of at most `seconds`, its sound with it.

    Raises InputError where the video is missing, cannot be read or is too short.
    """
    path, is_cut = source_of(folder, segment)
    facts = media.probe(path)
    trim = how.trim_frames / facts.fps
    start = trim if is_cut else segment.start + trim
    end = facts.seconds if is_cut else min(segment.end, facts.seconds)
    end -= trim
    if seconds is not None:
        end = min(end, start + seconds)
    if end - start < LEAST_SECONDS:
        raise InputError(f"{segment.name}: under {LEAST_SECONDS:g} s are left of it; leave it out")
    crop = segment.crop
    if crop is not None:
        _check_crop(crop, segment, facts)
    elif how.frames_person:
        crop = _square_of(path, how.fps, start, end, target)
    sound = _sound(path, start, end) if facts.has_audio else None
    frames = _frames(path, how.fps, start, end)
    pictures = (_squared(frame, crop, how.size) for frame in frames)
    media.write_video(target, Video(_chunks(pictures), how.fps, sound))


def _square_of(path: Path, fps: float, start: float, end: float, target: Path) -> Crop:
    """Return the square around the person of a stretch, which is written for a moment.

    Raises InputError where no face is seen.
    """
    frames = _frames(path, fps, start, end)
    media.write_video(target, Video(_chunks(frames), fps))
    try:
        pose = detected_pose(target, fps, detectors.DEFAULT)
    finally:
        target.unlink()
    crop = person_square(pose)
    if crop is None:
        raise InputError(f"{target.stem}: nobody with a face is seen; leave it out")
    return crop


def _sound(path: Path, start: float, end: float) -> Audio:
    """Return the sound between two moments."""
    audio = media.read_audio(path)
    first = round(start * audio.rate)
    last = round(end * audio.rate)
    return Audio(audio.samples[first:last], audio.rate)


def _check_crop(crop: Crop, segment: Segment, facts: media.Probe) -> None:
    """Raise InputError for a crop that lies outside the video: another size was downloaded."""
    if crop.right > facts.width or crop.bottom > facts.height:
        raise InputError(
            f"{segment.name}: its crop ends at {crop.right}x{crop.bottom} pixels, the video at "
            f"{facts.width}x{facts.height}; download it in the size of the list"
        )


def _frames(path: Path, fps: float, start: float, end: float) -> Iterator[np.ndarray]:
    """Yield the frames between two moments at a rate."""
    first = round(start * fps)
    last = max(first + 1, round(end * fps))
    video = media.read_video(path, fps=fps, seconds=last / fps)
    every_frame = itertools.chain.from_iterable(video.chunks())
    return itertools.islice(every_frame, first, last)


def _chunks(pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield pictures (h, w, 3) as chunks of one."""
    for picture in pictures:
        yield picture[None]


def _squared(frame: np.ndarray, crop: Crop | None, size: int) -> np.ndarray:
    """Return a square of a frame, black where it reaches outside, in the protocol's size."""
    height, width = frame.shape[:2]
    if crop is None:
        side = max(height, width)
        crop = Crop((width - side) // 2, (height - side) // 2, side, side)
    rows = slice(max(0, crop.top), max(0, crop.bottom))
    columns = slice(max(0, crop.left), max(0, crop.right))
    padded = cv2.copyMakeBorder(
        frame[rows, columns],
        top=max(0, -crop.top),
        bottom=max(0, crop.bottom - height),
        left=max(0, -crop.left),
        right=max(0, crop.right - width),
        borderType=cv2.BORDER_CONSTANT,
    )
    return cv2.resize(padded, (size, size), interpolation=cv2.INTER_AREA)


def person_square(pose: Pose) -> Crop | None:
    """Return the square from the face's top to the lowest point up to the elbows, with a margin.

    All frames count together, so that the camera stands still. None where no face is seen.
    """
    face = pose.face.xy[pose.face.visible]
    if not len(face):
        return None
    is_seen = pose.body.visible[:, UPPER_POINTS]
    upper = pose.body.xy[:, UPPER_POINTS][is_seen]
    points = np.concatenate([face, upper]) * pose.pixel_scale
    left, top = points.min(0)
    right, bottom = points.max(0)
    margin = MARGIN * (bottom - top)
    top -= ABOVE * margin
    bottom += BELOW * margin
    side = max(1, round(bottom - top))
    first_column = (left + right - side) / 2
    return Crop(round(first_column), round(top), side, side)
