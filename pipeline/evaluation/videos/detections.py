"""The pose of a clip at the rate of the measurement, as the detector finds it.

Detections come from the cache of the analysis. Nothing is smoothed and no gap is filled: what a
detector misses is part of what is measured.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from pipeline import media
from pipeline.analysis.driving import DrivingVideo
from pipeline.analysis.progress import finish
from pipeline.media import pose_files
from pipeline.motion import timing
from pipeline.values import Pose


def pose_of(path: Path, fps: float, detector: str) -> Pose:
    """Return the largest person of a video, or of a pose file, at `fps`.

    Nobody in the video is a pose without points.
    """
    if pose_files.is_pose(path):
        return timing.resample(pose_files.read(path).people[0], fps)
    return detected_pose(path, fps, detector)


def detected_pose(path: Path, fps: float, detector: str) -> Pose:
    """Return the largest person that the detector finds in a video, one row a frame."""
    facts = media.probe(path)
    frames = frame_count(path, fps)
    driving = DrivingVideo(path, facts.seconds)
    detection = finish(driving.people(fps, frames, detector))
    if not detection.people:
        return Pose.empty(frames, fps, (facts.height, facts.width))
    return replace(detection.people[0], fps=fps)


def frame_count(path: Path, fps: float) -> int:
    """Return how many frames a clip has at `fps`."""
    seconds = media.probe(path).seconds
    return max(1, math.floor(seconds * fps + 0.5))
