"""The `pose` command: key points of a video, picture or pose file, edited, into a pose file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline import media
from pipeline.analysis import detectors, upright
from pipeline.analysis.picture_people import find_people
from pipeline.analysis.progress import finish
from pipeline.media import pose_files
from pipeline.motion import pose_edits, timing
from pipeline.values import Detection, InputError, Pose


@dataclass(frozen=True)
class Edits:
    """What is done to a pose, in this order.

    Args:
        trim: the first and the last second that are kept; None is the end of the clip.
        speed: 2 = twice as fast.
        mirror: "on" swaps left and right.
        arms: another video or pose file, whose arms and hands are taken.
        loop: frames to fill by playing the pose again and again.
        pingpong: frames to fill by playing it back and forth.
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
    """Return all people of a video, a picture or a pose file, largest first.

    Without `fps` they keep the file's own rate.
    """
    detection = _detect(path, fps, detector)
    if not detection.people:
        reason = " ".join(detection.notes) or "no person was found"
        raise InputError(f"{path} gives no pose: {reason.rstrip('.')}; use one that shows a person")
    if fps is None or len(detection.people[0]) == 1:
        return detection
    people = [timing.resample(person, fps) for person in detection.people]
    return replace(detection, people=tuple(people))


def _detect(path: str, fps: float | None, detector: str) -> Detection:
    """Read a pose file, or look for people in a picture or a video."""
    if pose_files.is_pose(path):
        return pose_files.read(path, fps)
    if media.is_picture(path):
        picture = media.read_image(path)
        return find_people(picture, detectors.load(detector))
    turns = upright.quarter_turns(path, media.probe(path).seconds, detector)
    video = media.read_video(path, fps=fps)
    work = detectors.load(detector).video(upright.turned(video, turns))
    detection = finish(work)
    return replace(detection, notes=(*upright.note(turns), *detection.notes))


def apply(pose: Pose, edits: Edits, detector: str = "holistic") -> Pose:
    """Return the pose after all edits.

    `detector` looks at the clip that gives the arms, where that is a video.
    """
    if edits.trim != (None, None):
        pose = pose_edits.trim(pose, *edits.trim)
    pose = pose_edits.speed(pose, edits.speed)
    if edits.mirror == "on":
        pose = pose_edits.mirror(pose)
    if edits.arms is not None:
        other = read(edits.arms, detector=detector)
        pose = pose_edits.with_arms(pose, other.people[0])
    if edits.loop is not None:
        pose = pose_edits.loop(pose, edits.loop)
    if edits.pingpong is not None:
        pose = pose_edits.pingpong(pose, edits.pingpong)
    return pose


def convert(
    source: str, output: str, edits: Edits, fps: float | None, detector: str, style: str
) -> dict[str, Any]:
    """Read, edit and write a pose; return the facts that `--json` prints.

    Args:
        source: a video, picture or pose file.
        output: a pose file, a skeleton video or a folder; its name decides.
        edits: what is done to the largest person.
        fps: the rate of the result; None keeps the file's own.
        detector: the detector's name.
        style: the skeleton's style in a video.
    """
    pose_files.check_target(output)
    detection = read(source, fps, detector)
    pose = apply(detection.people[0], edits, detector)
    note = pose_files.write(pose, output, style)
    warnings = list(detection.notes)
    if note:
        warnings.append(note)
    return {
        "output": output,
        "frames": len(pose),
        "fps": pose.fps,
        "people": len(detection.people),
        "seen": {part: _seen_share(pose, part) for part in ("body", "hands", "face")},
        "warnings": warnings,
    }


def _seen_share(pose: Pose, part: str) -> float:
    """Return the share of frames in which any point of a part is seen."""
    is_seen = getattr(pose, part).visible.any(1)
    return float(is_seen.mean())


def span(text: str) -> tuple[float | None, float | None]:
    """Return the seconds of "A:B", either of which may be left out."""
    parts = text.split(":")
    if len(parts) != 2:
        raise _no_span(text)
    start, stop = parts
    try:
        return _seconds(start), _seconds(stop)
    except ValueError:
        raise _no_span(text) from None


def _seconds(text: str) -> float | None:
    return float(text) if text.strip() else None


def _no_span(text: str) -> InputError:
    return InputError(f"trim is {text!r:.40}; give seconds as A:B, such as 1.5:4 or 2:")
