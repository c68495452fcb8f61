"""Bring a driving pose into the reference's picture, and report how well it fits.

Three methods. "bones" (`bones.py`, the default) keeps the driver's joint angles and takes the
reference's bone lengths. "similar" (`similarity.py`) has one scale for the body and one for the
head. "published", also there, is ControlNeXt's line fit. `report.py` measures the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pipeline.motion.retarget import bones, proportions, report, shots, similarity
from pipeline.motion.retarget.bones import FRAMINGS
from pipeline.motion.retarget.fit import Fit
from pipeline.motion.retarget.report import (
    AlignmentRecord,
    Report,
    nominal_face_height,
    small_face_notes,
)
from pipeline.values import InputError, Keypoints, Pose

__all__ = [
    "ALIGNMENT",
    "FRAMINGS",
    "METHODS",
    "Alignment",
    "Person",
    "Report",
    "choose",
    "nominal_face_height",
    "parse_person",
    "read_choice",
    "retarget",
    "small_face_notes",
]

MAX_LETTERS = 9  # of a person's number; Python reads none of thousands of digits
METHODS = ("bones", "similar", "published")
Person = int | tuple[float, float]


class Alignment(NamedTuple):
    """How `retarget` works: one of METHODS, one of FRAMINGS, which person (None: the largest who
    stays)."""

    method: str = "bones"
    framing: str = "reference"
    person: Person | None = None


ALIGNMENT = Alignment()


@dataclass(frozen=True)
class _Aligned:
    """A pose in the reference's picture. scale, offset (2,): of fractions of the picture."""

    pose: Pose
    fit: Fit
    scale: float
    offset: np.ndarray


def retarget(
    people: Sequence[Pose],
    reference: Pose,
    method: str = "bones",
    framing: str = "reference",
    person: Person | None = None,
) -> tuple[Pose, Report]:
    """Align one driving person with the reference's picture, and report how well it fits.

    Args:
        people: everyone whom the driving clip shows, as many frames each. Their scores are kept.
        reference: the reference image's own pose; its first frame counts.
        method: one of METHODS.
        framing: "reference" puts the body where the reference stands, "driving" keeps the clip's
            own camera; the latter goes with "bones" only.
        person: a number from 1, or a point (x, y) in fractions of the driving picture; None takes
            the largest one who stays.
    """
    _check(people, reference, method, framing)
    reference = reference[:1]
    chosen, reason = choose(people, person)
    notes = []
    if len(people) > 1:
        notes.append(
            f"{len(people)} people were found in the driving clip; number {chosen + 1} is used: "
            f"{reason}."
        )
    pose = people[chosen]
    if method == "published":
        aligned = _align_as_published(pose, people, reference)
    else:
        rows = shots.shots(pose)
        notes += _cut_notes(pose, rows)
        aligned = _align_shots(pose, rows, reference, method, framing)
    fit = aligned.fit
    notes += _fit_notes(fit)
    notes += _head_notes(fit)
    record = AlignmentRecord(
        people=len(people),
        chosen=chosen,
        why=reason,
        method=method,
        framing=framing,
        scale=aligned.scale,
        offset=(float(aligned.offset[0]), float(aligned.offset[1])),
        bone_ratios=fit.ratios,
        corrected=fit.corrected,
        anchor=fit.anchor,
        notes=tuple(notes),
        zoom=_zoom(fit, framing),
    )
    result = _blank_missing(aligned.pose)
    return result, report.examine(result, reference, pose, record)


def _check(people: Sequence[Pose], reference: Pose, method: str, framing: str) -> None:
    if not people or len(reference) < 1:
        raise InputError("alignment needs at least one driving person and a reference pose")
    if method not in METHODS:
        raise InputError(f"unknown way {method!r} to retarget; choose one of {', '.join(METHODS)}")
    if framing not in FRAMINGS or (framing == "driving" and method != "bones"):
        raise InputError(
            f"framing {framing!r} does not go with retargeting by {method}; choose reference, "
            "or driving with bones"
        )


def _fit_notes(fit: Fit) -> list[str]:
    """Say where bones or the whole body could not be compared."""
    notes = []
    if not fit.anchor:
        notes.append(
            "The driving clip and the reference share no visible joints, so nothing was aligned."
        )
    if fit.limited:
        names = " and ".join(fit.limited)
        notes.append(
            f"The {names} of the two people differ too much to be believed; held at a factor of "
            "two."
        )
    return notes


def _head_notes(fit: Fit) -> list[str]:
    """Say where the head was kept inside the picture, or as large as the picture's edge needs."""
    notes = []
    if fit.held is not None and fit.held.any():
        notes.append(
            f"The driving head would leave the picture in {fit.held.mean():.0%} of the frames; the "
            "body is moved with it there so that it stays inside."
        )
    if fit.grown is not None and fit.grown.any():
        notes.append(
            f"The driving person is further away in {fit.grown.mean():.0%} of the frames; the "
            "picture cuts the body off, so it stays as large as it is."
        )
    return notes


def _align_as_published(pose: Pose, people: Sequence[Pose], reference: Pose) -> _Aligned:
    gain, offset = similarity.published_fit(people, reference)
    no_frames = np.zeros(0, int)
    ratios, _ = proportions.ratios(pose, reference, no_frames)
    fit = Fit(1.0, offset, ratios, anchor="the fitted line")
    aligned = similarity.apply_fit(pose, gain, offset, reference.size)
    return _Aligned(aligned, fit, float(gain[1]), offset)


def _align(pose: Pose, reference: Pose, method: str, framing: str) -> _Aligned:
    if method == "bones":
        aligned, fit = bones.transfer(pose, reference, framing)
    else:
        aligned, fit = similarity.transfer(pose, reference)
    scale = fit.scale * pose.size[0] / reference.size[0] if fit.anchor else 1.0
    return _Aligned(aligned, fit, scale, fit.offset / reference.pixel_scale)


def _align_shots(
    pose: Pose, rows: list[slice], reference: Pose, method: str, framing: str
) -> _Aligned:
    """Align every shot (`rows`) of the driving pose on its own; report the longest one's fit.

    Nobody is seen in shots that are too short to be followed.
    """
    if len(rows) == 1:
        return _align(pose, reference, method, framing)
    longest = max(rows, key=lambda row: row.stop - row.start)
    main = _align(pose[longest], reference, method, framing)
    parts = []
    for row in rows:
        shot = pose[row]
        if row == longest:
            part = main.pose
        elif shots.is_long(row, pose.fps):
            part = _align(shot, reference, method, framing).pose
        else:
            part = Pose.empty(len(shot), pose.fps, reference.size)
        parts.append(part)
    return replace(main, pose=shots.joined(parts))


def _cut_notes(pose: Pose, rows: list[slice]) -> list[str]:
    """Say where the driving clip cuts from one shot that shows the person to another."""
    followed = []
    for row in rows:
        is_seen = pose.body.visible[row].any()
        if is_seen and shots.is_long(row, pose.fps):
            followed.append(row)
    if len(followed) < 2:
        return []
    times = [f"{row.start / pose.fps:.1f} s" for row in followed[1:]]
    listed = ", ".join(times)
    return [f"The driving clip cuts at {listed}; each shot is fitted to the reference on its own."]


def _zoom(fit: Fit, framing: str) -> float:
    """Return how large the person is in the picture over the reference; the reference's framing
    keeps its size."""
    scale = proportions.body_scale(fit.ratios)
    if framing == "reference" or scale is None:
        return 1.0
    return fit.scale / scale


def _blank_missing(pose: Pose) -> Pose:
    """Move points without a score to the picture's corner, so that no unseen place leaks out."""
    return replace(
        pose, body=_blanked(pose.body), hands=_blanked(pose.hands), face=_blanked(pose.face)
    )


def _blanked(points: Keypoints) -> Keypoints:
    present = points.score[..., None] > 0
    return Keypoints(np.where(present, points.xy, 0.0), points.score)


# ---- which person


def choose(people: Sequence[Pose], person: Person | None = None) -> tuple[int, str]:
    """Choose the person who drives: the index among `people`, and the reason in words."""
    if person is None:
        best = int(np.argmax([_presence(pose) for pose in people]))
        return best, "the only person" if len(people) == 1 else "the largest one who stays"
    if isinstance(person, tuple):
        x, y = person
        return _nearest(people, person), f"the one nearest to the point {x:.2f}, {y:.2f}"
    if not 1 <= person <= len(people):
        raise InputError(
            f"person {person} was asked for and {len(people)} found; choose 1 to {len(people)}"
        )
    return person - 1, f"number {person} was asked for"


def parse_person(text: str) -> Person:
    """Read the person whom a user names: a number from 1, or a point "x,y" in fractions."""
    choice = read_choice(text)
    if isinstance(choice, int) or (choice is not None and max(choice) <= 1):
        return choice
    raise InputError(
        f"person {text!r:.40} is not understood; give a number from 1, or a point like 0.3,0.5"
    )


def read_choice(text: str) -> Person | None:
    """Read a number from 1, or a point "x,y" of two finite numbers from 0; None for all else."""
    if text.strip().isdecimal() and len(text) <= MAX_LETTERS:
        number = int(text)
        return number if number >= 1 else None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    if len(numbers) != 2 or not all(0 <= number < math.inf for number in numbers):
        return None
    x, y = numbers
    return x, y


def _nearest(people: Sequence[Pose], point: tuple[float, float]) -> int:
    """Find whose box is nearest to the point in the first frame with people; ties go to smaller
    boxes."""
    seen = np.stack([pose.body.visible.any(1) for pose in people])
    if not seen.any():
        return 0
    frame = int(np.flatnonzero(seen.any(0))[0])
    candidates = []
    for index in np.flatnonzero(seen[:, frame]).tolist():
        body = people[index].body
        places = body.xy[frame, body.visible[frame]]
        low = places.min(0)
        high = places.max(0)
        outside = np.maximum(0, np.maximum(low - point, np.array(point) - high))
        area = np.prod(high - low)
        candidates.append((float(np.hypot(*outside)), float(area), index))
    _, _, nearest = min(candidates)
    return nearest


def _presence(pose: Pose) -> float:
    """Sum the visible body's height in pixels over the frames: large people who stay win."""
    y = pose.body.xy[..., 1] * pose.size[0]
    seen = pose.body.visible
    lowest = np.where(seen, y, -np.inf).max(1, initial=-np.inf)
    highest = np.where(seen, y, np.inf).min(1, initial=np.inf)
    height = np.where(seen.any(1), lowest - highest, 0.0)
    return float(height.sum())
