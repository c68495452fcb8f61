"""What drives the body: a pose, frames or a video file, asked only once which of them it is.

`open_driving` resolves what the user gave to a value that offers `people`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.analysis import detectors, upright
from pipeline.analysis.detectors import cache
from pipeline.analysis.progress import count_frames
from pipeline.media import pose_files
from pipeline.motion import timing
from pipeline.values import Detection, Pose, Progress, Video

DETECT_STAGE = "detect driving video"


@dataclass(frozen=True)
class DrivingPose:
    """Key points that were given as such: no detector looks at them, and there are no pictures."""

    detection: Detection

    def people(
        self, fps: float, frames: int, detector: str
    ) -> Generator[Progress, None, Detection]:
        """Return all people at `fps`; `frames` and `detector` do not matter."""
        yield from ()
        return _at_rate(self.detection, fps)


@dataclass(frozen=True)
class DrivingFrames:
    """Frames in memory, or an iterator of them that can be read once."""

    video: Video

    def people(
        self, fps: float, frames: int, detector: str
    ) -> Generator[Progress, None, Detection]:
        """Detect all people and return them at `fps`; the frames have a rate of their own."""
        work = cache.video(detectors.load(detector), self.video, None)
        detection = yield from count_frames(work, DETECT_STAGE, frames)
        return _at_rate(detection, fps)


@dataclass(frozen=True)
class DrivingVideo:
    """A video file of `seconds`, to be turned by so many quarters to the left."""

    path: str | Path
    seconds: float
    turns: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user on how the clip is read."""
        return upright.note(self.turns)

    def people(
        self, fps: float, frames: int, detector: str
    ) -> Generator[Progress, None, Detection]:
        """Detect all people in at most `frames` frames at `fps`, or find them in the cache.

        The cache knows the content of the file. No more frames are asked for than the file has, so
        that a longer speech on the same clip finds its people again.
        """
        clip_frames = max(1, math.ceil(self.seconds * fps))
        frames = min(frames, clip_frames)
        key = f"{media.content_hash(self.path)}-{fps!r}-{frames}"
        if self.turns:
            key = f"{key}-turned-{self.turns}"
        video = media.read_video(self.path, fps=fps, seconds=frames / fps)
        video = upright.turned(video, self.turns)
        work = cache.video(detectors.load(detector), video, key)
        detection = yield from count_frames(work, DETECT_STAGE, frames)
        return _at_rate(detection, fps)

    def pictures(
        self, fps: float, frames: int, longest_side: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yield the first `frames` frames (H,W,3) uint8 at `fps`, at most `longest_side` pixels."""
        video = media.read_video(self.path, fps, longest_side, frames / fps)
        for chunk in upright.turned(video, self.turns).chunks():
            yield from chunk


Driving = DrivingPose | DrivingFrames | DrivingVideo
DrivingSource = str | Path | Pose | Video


def open_driving(source: DrivingSource, detector: str | None = None) -> Driving:
    """Resolve a path, a pose or frames in memory to what drives the body.

    With a detector's name, a video file whose people lie on their side is turned upright.
    """
    if isinstance(source, Pose):
        return DrivingPose(Detection((source,)))
    if isinstance(source, Video):
        return DrivingFrames(source)
    if pose_files.is_pose(source):
        return DrivingPose(pose_files.read(source))
    seconds = media.probe(source).seconds
    turns = 0
    if detector is not None:
        turns = upright.quarter_turns(source, seconds, detector)
    return DrivingVideo(source, seconds, turns)


def _at_rate(detection: Detection, fps: float) -> Detection:
    people = tuple(timing.resample(person, fps) for person in detection.people)
    return replace(detection, people=people)
