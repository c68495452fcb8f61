"""What a user must know about an alignment, in numbers and words: `Report`, and how it is
measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from pipeline.motion.absence import is_absent
from pipeline.motion.fda import is_missing
from pipeline.motion.keypoints import ANKLES
from pipeline.motion.retarget.measures import (
    body_facing,
    covered,
    face_height,
    head_yaw,
    left_right_swapped,
    outside,
    spans,
    turned_away,
)
from pipeline.motion.retarget.nearness import size_range
from pipeline.values import Pose

READABLE_FACE_PX = 60  # of face height; below it lips are a few pixels and cannot be read
LIPS = (  # from this face height on, in pixels
    (120, "good"),
    (READABLE_FACE_PX, "fair"),
    (30, "poor"),
    (0, "none"),
)
NOMINAL_AREA_PX = 512 * 768  # of the picture for which face heights are reported
MENTION_SHARE = 0.05  # of the frames: rarer missing hands, or hands at the face, are not mentioned
# Of the picture's height: smaller driving faces give the head's turn only roughly.
SMALL_FACE = 0.05
# Turn between driving and reference from which it is mentioned.
YAW_APART_DEG = 30.0
BODY_APART_DEG = 45.0
GREAT_SCALE = 2.0
SAME_HEAD = 1.15  # factor on the reference's height of the head up to which nothing is said


@dataclass(frozen=True)
class AlignmentRecord:
    """What `retarget` chose and applied; the fields are those of `Report`, `notes` are
    sentences."""

    people: int
    chosen: int
    why: str
    method: str
    framing: str
    scale: float
    offset: tuple[float, float]
    bone_ratios: dict[str, float]
    corrected: tuple[str, ...]
    anchor: str
    notes: tuple[str, ...]
    zoom: float = 1.0


@dataclass(frozen=True)
class Report:
    """How the driving pose was aligned, in numbers, with the sentences a user should read.

    scale: of heights as fractions of the picture, 1 = unchanged. offset: (x, y) fractions.
    bone_ratios:
    reference over driving length in pixels, by bone. absent, faceless (though the person is there),
    handless, footless, turned, covered (a hand at the face), outside: shares of frames; *_seconds:
    when. zoom: the person's size over the reference's. face_height: pixels at
    512x768, which make the lips "good", "fair", "poor" or "none". driving_face: height over the
    clip's picture. people: how many were found; chosen: index of the one taken, why: the reason.
    head_sizes: the smallest and largest height of the head over the reference's.
    yaw, facing: degrees of head and body (driving, reference), None where unknown. corrected: bones
    of the reference that point at the camera.
    """

    scale: float
    offset: tuple[float, float]
    bone_ratios: dict[str, float]
    faceless: float
    handless: float
    face_height: float
    people: int
    chosen: int
    warnings: tuple[str, ...]
    method: str = "bones"
    framing: str = "reference"
    anchor: str = ""
    why: str = "the only person"
    footless: float = 0.0
    turned: float = 0.0
    turned_seconds: tuple[tuple[float, float], ...] = ()
    faceless_seconds: tuple[tuple[float, float], ...] = ()
    absent: float = 0.0
    absent_seconds: tuple[tuple[float, float], ...] = ()
    zoom: float = 1.0
    covered: float = 0.0
    driving_face: float = 0.0
    outside: float = 0.0
    head_sizes: tuple[float, float] = (1.0, 1.0)
    lips: str = "none"
    yaw: tuple[float | None, float | None] = (None, None)
    facing: tuple[float | None, float | None] = (None, None)
    corrected: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Convert to plain values for JSON."""
        values = asdict(self)
        for name in ("turned_seconds", "faceless_seconds", "absent_seconds"):
            values[name] = [list(span) for span in values[name]]
        for name in ("offset", "warnings", "head_sizes", "yaw", "facing", "corrected"):
            values[name] = list(values[name])
        return values | {"summary": list(self.summary())}

    def summary(self) -> tuple[str, ...]:
        """Write the whole report as sentences, good news included; `warnings` come after it."""
        listed = [f"{name} {ratio:.2f}" for name, ratio in self.bone_ratios.items()]
        bones = ", ".join(listed) or "none shared"
        x, y = self.offset
        lines = [
            f"Person {self.chosen + 1} of {self.people} drives: {self.why}.",
            f"Aligned by {self.method} in the framing of the {self.framing}, anchored on "
            f"{self.anchor or 'nothing'}: scale {self.scale:.2f}, moved by {x:+.2f} of the width "
            f"and {y:+.2f} of the height.",
            f"Bone lengths, reference over driving, in pixels: {bones}.",
            f"Frames without the person {self.absent:.0%}, without a face {self.faceless:.0%}, "
            f"without hands {self.handless:.0%}, without feet {self.footless:.0%}, turned away "
            f"{self.turned:.0%}, with a hand at the face {self.covered:.0%}, leaving the picture "
            f"{self.outside:.0%}.",
            f"The face is {self.face_height:.0f} pixels high at 512x768: lips {self.lips}. In the "
            f"clip it takes {self.driving_face:.0%} of the picture's height.",
        ]
        for part, (driving, reference) in (("Head", self.yaw), ("Body", self.facing)):
            if driving is not None and reference is not None:
                lines.append(
                    f"{part} turned by {driving:.0f} degrees in the clip, {reference:.0f} in the "
                    "reference."
                )
        return tuple(lines)


def nominal_face_height(pose: Pose) -> float:
    """Return the face's height in pixels if the picture were as large as 512x768; 0 = no face."""
    height, width = pose.size
    return face_height(pose) * (NOMINAL_AREA_PX / (height * width)) ** 0.5


def small_face_notes(height: float) -> list[str]:
    """Say that a face of `height` pixels at 512x768 is too small for visible lips, where it is."""
    if not 0 < height < READABLE_FACE_PX:
        return []
    return [
        f"The face will be about {height:.0f} pixels high at 512x768, too small for visible lips "
        f"({READABLE_FACE_PX} or more); use a reference image taken from closer."
    ]


def examine(pose: Pose, reference: Pose, source: Pose, record: AlignmentRecord) -> Report:
    """Measure how well a `pose`, aligned from `source`, fits the reference."""
    height = nominal_face_height(pose)
    absent = is_absent(source)
    faceless = is_missing(pose.face) & ~absent
    handless = ~np.any(pose.hands.visible, 1) & ~absent
    footless = ~np.any(pose.body.visible[:, ANKLES], 1)
    turned = turned_away(source)
    report = Report(
        scale=record.scale,
        offset=record.offset,
        bone_ratios=record.bone_ratios,
        faceless=_share(faceless, pose),
        handless=_share(handless, pose),
        face_height=height,
        people=record.people,
        chosen=record.chosen,
        warnings=(),
        method=record.method,
        framing=record.framing,
        anchor=record.anchor,
        why=record.why,
        footless=_share(footless, pose),
        turned=_share(turned, pose),
        turned_seconds=spans(turned, source.fps),
        faceless_seconds=spans(faceless, pose.fps),
        absent=_share(absent, pose),
        absent_seconds=spans(absent, source.fps),
        zoom=record.zoom,
        covered=_share(covered(source), pose),
        driving_face=face_height(source) / source.size[0],
        outside=outside(pose, reference),
        head_sizes=size_range(pose, reference),
        lips=lips_quality(height),
        yaw=(_median(head_yaw(source)), _median(head_yaw(reference))),
        facing=(_median(body_facing(source)), _median(body_facing(reference))),
        corrected=record.corrected,
    )
    if not pose.body.visible.any():
        found = ["The driving clip shows no person; the reference rests and speaks."]
    else:
        found = [*_alignment_warnings(report), *_orientation_warnings(report)]
        if left_right_swapped(source):
            found.append(
                "Left and right of the driving person seem swapped: the face is seen but the "
                "shoulders cross."
            )
    return replace(report, warnings=(*record.notes, *found))


def lips_quality(height: float) -> str:
    """Tell how well lips will be read at a face height in pixels at 512x768."""
    if height <= 0:
        return "none"
    return next(word for least, word in LIPS if height >= least)


def _share(flags: np.ndarray, pose: Pose) -> float:
    """Share of the pose's frames that are flagged."""
    return float(flags.sum() / max(1, len(pose)))


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


# ---- sentences


def _times(runs: Sequence[tuple[float, float]]) -> str:
    more = " and more" if len(runs) > 4 else ""
    return ", ".join(f"{start:.1f}-{stop:.1f} s" for start, stop in runs[:4]) + more


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"


def _alignment_warnings(report: Report) -> list[str]:
    notes = []
    if report.corrected:
        names = " and ".join(report.corrected)
        notes.append(
            f"The reference's {names} look foreshortened; their full length is an estimate."
        )
    if report.absent > 0:
        notes.append(
            f"The driving person is missing in {_percent(report.absent)} of the frames "
            f"({_times(report.absent_seconds)}); the body rests there, and the head speaks."
        )
    if report.faceless > 0:
        notes.append(
            f"The driving face is missing in {_percent(report.faceless)} of the frames "
            f"({_times(report.faceless_seconds)}); there the head faces the camera as in the "
            "reference, and speaks."
        )
    if report.covered >= MENTION_SHARE:
        notes.append(
            f"A hand is at the driving face in {report.covered:.0%} of the frames; it may be "
            "drawn under the mouth."
        )
    if 0 < report.driving_face < SMALL_FACE:
        notes.append(
            f"The driving face is only {report.driving_face:.1%} of the clip's height, so the "
            "head's turn is read roughly; a clip filmed from closer works better."
        )
    if report.handless >= MENTION_SHARE:
        notes.append(f"No hands were found in {report.handless:.0%} of the frames.")
    notes += small_face_notes(report.face_height)
    if not 1 / GREAT_SCALE <= report.scale <= GREAT_SCALE:
        notes.append(
            f"The driving person was scaled by {report.scale:.2f} to fit the reference; pose "
            "errors grow or details vanish, a clip framed like the reference works better."
        )
    notes += _head_size_notes(report)
    if report.outside > 0:
        tip = ""
        if report.framing == "reference":
            tip = "; a reference image with more room shows more"
        share = _percent(report.outside)
        notes.append(f"Part of the skeleton is outside the frame in {share} of the frames{tip}.")
    return notes


def _head_size_notes(report: Report) -> list[str]:
    """Say that the driver comes closer or goes away, in the framing of the reference."""
    low, high = report.head_sizes
    steady = low >= 1 / SAME_HEAD and high <= SAME_HEAD
    if report.framing != "reference" or steady:
        return []
    return [
        f"The driving person comes closer or goes away: the head is {low:.2f} to {high:.2f} times "
        "as high as in the reference."
    ]


def _orientation_warnings(report: Report) -> list[str]:
    notes = []
    if report.turned > 0:
        notes.append(
            f"The driving person turns away in {_percent(report.turned)} of the frames "
            f"({_times(report.turned_seconds)}); the reference image does not show that side."
        )
    head_apart = _apart(report.yaw)
    if head_apart > YAW_APART_DEG:
        driving, reference = report.yaw
        notes.append(
            f"The heads look {head_apart:.0f} degrees apart (clip {driving:+.0f}, reference "
            f"{reference:+.0f}); the face is bent to the clip's."
        )
    body_apart = _apart(report.facing)
    if body_apart > BODY_APART_DEG:
        driving, reference = report.facing
        notes.append(
            f"The bodies are turned {body_apart:.0f} degrees apart (clip {driving:.0f}, reference "
            f"{reference:.0f} from the camera); a clip filmed from the reference's side works "
            "better."
        )
    return notes


def _apart(degrees: tuple[float | None, float | None]) -> float:
    driving, reference = degrees
    if driving is None or reference is None:
        return 0.0
    return abs(driving - reference)
