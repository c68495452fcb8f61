"""The `pose` command: key points of a video, picture or pose file, edited, into a pose file of any format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline import media
from pipeline.analysis import detectors
from pipeline.analysis.progress import finish
from pipeline.media import pose_files
from pipeline.motion import pose_edits, timing
from pipeline.values import Detection, InputError, Pose


@dataclass(frozen=True)
class Edits:
    """What is done to a pose, in this order: trim (seconds), speed, mirror, arms of another clip, length.

    `loop` and `pingpong` are frames; at most one of them is given.
    """

    trim: tuple[float | None, float | None] = (None, None)
    speed: float = 1.0
    mirror: str = "off"
    arms: str | None = None
    loop: int | None = None
    pingpong: int | None = None

    def __post_init__(self) -> None:
        if self.loop is not None and self.pingpong is not None:
            raise InputError("loop and pingpong both set the length; give one of them")


def read(path: str, fps: float | None = None, detector: str = "holistic") -> Detection:
    """All people of a video, a picture or a pose file, largest first, at `fps` or the file's own rate."""
    if pose_files.is_pose(path):
        found = pose_files.read(path, fps)
    elif media.is_picture(path):
        found = detectors.load(detector).image(media.read_image(path))
    else:
        found = finish(detectors.load(detector).video(media.read_video(path, fps=fps)))
    if not found.people:
        raise InputError(f"{path}: {' '.join(found.notes) or 'no person was found'}")
    if fps is None or len(found.people[0]) == 1:
        return found
    return replace(found, people=tuple(timing.resample(person, fps) for person in found.people))


def apply(pose: Pose, edits: Edits, detector: str = "holistic") -> Pose:
    """The pose after all edits; `detector` looks at the clip that gives the arms, if that is a video."""
    if edits.trim != (None, None):
        pose = pose_edits.trim(pose, *edits.trim)
    pose = pose_edits.speed(pose, edits.speed)
    if edits.mirror == "on":
        pose = pose_edits.mirror(pose)
    if edits.arms is not None:
        pose = pose_edits.with_arms(pose, read(edits.arms, detector=detector).people[0])
    if edits.loop is not None:
        pose = pose_edits.loop(pose, edits.loop)
    if edits.pingpong is not None:
        pose = pose_edits.pingpong(pose, edits.pingpong)
    return pose


def convert(
    source: str, output: str, edits: Edits, fps: float | None, detector: str, style: str
) -> dict[str, Any]:
    """Reads, edits and writes; returns the facts that --json prints."""
    pose_files.check_target(output)
    found = read(source, fps, detector)
    pose = apply(found.people[0], edits, detector)
    note = pose_files.write(pose, output, style)
    shares = {
        part: float(getattr(pose, part).visible.any(1).mean()) for part in ("body", "hands", "face")
    }
    notes = [*found.notes, *([note] if note else [])]
    return {"output": output, "frames": len(pose), "fps": pose.fps, "people": len(found.people),
            "seen": shares, "warnings": notes}  # fmt: skip


def span(text: str) -> tuple[float | None, float | None]:
    """Seconds of "A:B", either of which may be left out."""
    parts = text.split(":")
    if len(parts) != 2:
        raise InputError(f"{text!r} is not A:B in seconds, such as 1.5:4 or 2:")
    try:
        start, stop = (float(part) if part.strip() else None for part in parts)
    except ValueError:
        raise InputError(f"{text!r} is not A:B in seconds, such as 1.5:4 or 2:") from None
    return start, stop
