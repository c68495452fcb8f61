"""A result as it is measured: its key points, what they should be, its sound and its speech."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import media
from pipeline.evaluation.videos.cases import VideoCase
from pipeline.evaluation.videos.detections import detected_pose, pose_of
from pipeline.motion import prosody
from pipeline.values import Audio, InputError, Pose

NO_TARGET = "no pose, true clip or driving video is known; give --driving or --truth"
NO_FACE_TARGET = (
    "the driving face is not what the speech asks for; "
    "give the drawn poses as --driving (generate --skeleton, preview --pose-out)"
)
NO_SOUND = "the videos have no sound; name it in the column `audio` of a list"
NO_TRUTH = "no true clip is known; give --truth"


@dataclass(frozen=True)
class Target:
    """The key points that a result should show.

    Args:
        pose: One row a frame.
        kind: "drawn", the pose that was rendered; "truth", that of the true clip; "driver", that
            of the driving video in its own place.
    """

    pose: Pose
    kind: str

    @property
    def has_face(self) -> bool:
        """Whether its face is the one that the result should show."""
        return self.kind != "driver"


@dataclass(frozen=True)
class Figure:
    """One figure of one clip.

    Args:
        value: NaN where it could not be measured.
        frames: Frames that it was measured on.
        coverage: Their share, or that of the points asked for, in [0, 1].
        why: Why nothing was measured.
    """

    value: float
    frames: int = 0
    coverage: float = 0.0
    why: str = ""


Figures = Mapping[str, Figure]


def figure(value: float, frames: int, total: int, why: str = "") -> Figure:
    """Make a figure of `frames` of a clip's `total`; without a value nothing is covered."""
    if not math.isfinite(value):
        return Figure(math.nan, 0, 0.0, why)
    return Figure(float(value), frames, frames / max(total, 1))


@dataclass(frozen=True)
class Clip:
    """One result, opened for measurement at `fps` frames a second.

    Args:
        case: Its files.
        fps: The rate of all frames and poses.
        pose: The key points that the detector finds in the result, T frames.
        target: What they should be, or None.
        truth: The key points of the true clip, or None.
        audio: The sound, or None.
        speech: Its prosody of T frames, or None.
    """

    case: VideoCase
    fps: float
    pose: Pose
    target: Target | None
    truth: Pose | None
    audio: Audio | None
    speech: prosody.Prosody | None

    def __len__(self) -> int:
        return len(self.pose)

    @property
    def seconds(self) -> float:
        """The clip's length."""
        return len(self.pose) / self.fps


def open_clip(case: VideoCase, fps: float, detector: str) -> Clip:
    """Detect a result's key points and read what belongs to it."""
    pose = detected_pose(case.video, fps, detector)
    truth = None if case.truth is None else detected_pose(case.truth, fps, detector)
    audio = sound_of(case)
    speech = None if audio is None else prosody.analyse(audio, fps)
    target = target_of(case, truth, fps, detector)
    return Clip(case, fps, pose, target, truth, audio, speech)


def target_of(case: VideoCase, truth: Pose | None, fps: float, detector: str) -> Target | None:
    """Return what the result's key points should be: the drawn pose, the truth, or the driver's."""
    if case.pose is not None:
        return Target(pose_of(case.pose, fps, detector), "drawn")
    if truth is not None:
        return Target(truth, "truth")
    if case.driving is not None:
        return Target(pose_of(case.driving, fps, detector), "driver")
    return None


def sound_of(case: VideoCase) -> Audio | None:
    """Return the sound of a result, of its own or as listed; None where there is none."""
    source: Path = case.audio or case.video
    if case.audio is None and not media.probe(source).has_audio:
        return None
    try:
        return media.read_audio(source)
    except InputError:
        return None
