"""What a user must know about an alignment, in numbers and words: `Report`, and how it is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.motion.fda import is_missing
from pipeline.motion.keypoints import (
    ANKLES,
    EYE_CORNERS,
    EYES,
    HIPS,
    JAW_ENDS,
    L_SHOULDER,
    NECK,
    NOSE,
    NOSE_TIP,
    R_HIP,
    R_SHOULDER,
    SHOULDERS,
)
from pipeline.values import VISIBLE, Pose

READABLE_FACE = 60  # pixels of face height; below it lips are a few pixels and cannot be read
LIPS = (
    (120, "good"),
    (READABLE_FACE, "fair"),
    (30, "poor"),
    (0, "none"),
)  # from this face height on
NOMINAL_AREA = 512 * 768  # picture area for which face heights are reported
SOME = 0.05  # share of frames from which missing hands, or hands at the face, are said
AT_FACE, FINGERS = (
    0.15,
    5,
)  # of the face's box, and points of a hand in it: measured at a cheek and a brow
SMALL = 0.05  # of the picture's height: smaller driving faces give the head's turn only roughly
NOSE_DEPTH = 1.1  # distance of the nose's tip from the head's axis over half the width between the jaw's ends
YAW_APART, BODY_APART = 30.0, 45.0  # degrees between driving and reference from which it is said
FRONT = 0.72  # width of the shoulders over the torso's length from the front, as pose detectors mark them
MIN_SHOULDERS = 0.05  # of the torso: narrower shoulders have no left and right
GREAT_SCALE = 2.0


@dataclass(frozen=True)
class Report:
    """How the driving pose was aligned, in numbers, with the sentences a user should read.

    scale: of heights as fractions of the picture, 1 = unchanged. offset: (x, y) fractions. bone_ratios:
    reference over driving length in pixels, by bone. faceless, handless, footless, turned, covered (a hand
    at the face), outside: shares of frames; *_seconds: when. face_height: pixels at 512x768, which make the
    lips "good", "fair", "poor" or "none". driving_face: height over the clip's picture. people: how
    many were found; chosen: index of the one taken, why: the reason. yaw, facing: degrees of head and body
    (driving, reference), None where unknown. corrected: bones of the reference that point at the camera.
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
    covered: float = 0.0
    driving_face: float = 0.0
    outside: float = 0.0
    lips: str = "none"
    yaw: tuple[float | None, float | None] = (None, None)
    facing: tuple[float | None, float | None] = (None, None)
    corrected: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for JSON."""
        values = asdict(self)
        for name in ("turned_seconds", "faceless_seconds"):
            values[name] = [list(span) for span in values[name]]
        for name in ("offset", "warnings", "yaw", "facing", "corrected"):
            values[name] = list(values[name])
        return values | {"summary": list(self.summary())}

    def summary(self) -> tuple[str, ...]:
        """Returns the whole report as sentences, good news included; `warnings` come after it."""
        bones = (
            ", ".join(f"{name} {ratio:.2f}" for name, ratio in self.bone_ratios.items())
            or "none shared"
        )
        x, y = self.offset
        lines = [
            f"Person {self.chosen + 1} of {self.people} drives: {self.why}.",
            f"Aligned by {self.method} in the framing of the {self.framing}, anchored on "
            f"{self.anchor or 'nothing'}: scale {self.scale:.2f}, moved by {x:+.2f} of the width and "
            f"{y:+.2f} of the height.",
            f"Bone lengths, reference over driving, in pixels: {bones}.",
            f"Frames without a face {self.faceless:.0%}, without hands {self.handless:.0%}, without feet "
            f"{self.footless:.0%}, turned away {self.turned:.0%}, with a hand at the face "
            f"{self.covered:.0%}, leaving the picture {self.outside:.0%}.",
            f"The face is {self.face_height:.0f} pixels high at 512x768: lips {self.lips}. In the clip it "
            f"takes {self.driving_face:.0%} of the picture's height.",
        ]
        for what, (driving, own) in (("Head", self.yaw), ("Body", self.facing)):
            if driving is not None and own is not None:
                lines.append(
                    f"{what} turned by {driving:.0f} degrees in the clip, {own:.0f} in the reference."
                )
        return tuple(lines)


def head_yaw(pose: Pose) -> np.ndarray:
    """Returns (T,) degrees of the head's turn, positive to the picture's right, NaN without a face.

    The tip of the nose lies NOSE_DEPTH half widths before the head's axis, so it moves by that times tan(yaw)
    against the middle of the jaw's ends.
    """
    x = pose.face.xy[..., 0] * pose.size[1]
    seen = pose.face.visible[:, [*JAW_ENDS, NOSE_TIP]].all(1)
    left, right, tip = x[:, JAW_ENDS[0]], x[:, JAW_ENDS[1]], x[:, NOSE_TIP]
    half = (right - left) / 2
    good = seen & (np.abs(half) > 0.5)
    away = (tip - (left + right) / 2) / np.where(good, half, 1.0)
    return np.where(good, np.degrees(np.arctan(away / NOSE_DEPTH)), np.nan)


def body_facing(pose: Pose) -> np.ndarray:
    """Returns (T,) degrees of the shoulders' turn from the camera, 0 to 180 (back turned), NaN when unknown.

    The shoulders' width over the torso's length against that of a person seen from the front; the right
    shoulder on the picture's right means the back.
    """
    pixels = np.array([pose.size[1], pose.size[0]], float)
    body, seen = pose.body.xy * pixels, pose.body.visible
    torso = np.linalg.norm(body[:, HIPS].mean(1) - body[:, NECK], axis=1)
    good = seen[:, [NECK, *SHOULDERS, *HIPS]].all(1) & (torso > 1)
    width = (body[:, L_SHOULDER, 0] - body[:, R_SHOULDER, 0]) / np.where(good, torso, 1.0)
    share = np.clip(width / FRONT, -1, 1)
    return np.where(good, np.degrees(np.arccos(share)), np.nan)


def turned_away(pose: Pose) -> np.ndarray:
    """Returns (T,) bool: no face, and the shoulders are seen from behind, or the head in profile or hidden.

    In profile or further round the nose lies beside both eyes, not between them.
    """
    seen = pose.body.visible
    width = (pose.body.xy[:, L_SHOULDER, 0] - pose.body.xy[:, R_SHOULDER, 0]) * pose.size[1]
    height = np.abs(pose.body.xy[:, R_HIP, 1] - pose.body.xy[:, NECK, 1]) * pose.size[0]
    shoulders = seen[:, SHOULDERS].all(1)
    nose, eyes = pose.body.xy[:, NOSE, 0], pose.body.xy[:, EYES, 0]
    beside = (nose < eyes.min(1)) | (nose > eyes.max(1))
    head = seen[:, [NOSE, *EYES]]
    away = (width < -MIN_SHOULDERS * height) | ~head.any(1) | (head.all(1) & beside)
    return shoulders & is_missing(pose.face) & away


def covered(pose: Pose) -> np.ndarray:
    """Returns (T,) bool: a few points of one hand lie in the box around the face, slightly widened."""
    face = np.where(pose.face.visible[..., None], pose.face.xy, np.nan)
    whole = ~is_missing(pose.face)
    low, high = np.zeros((len(pose), 2)), np.zeros((len(pose), 2))
    low[whole], high[whole] = np.nanmin(face[whole], 1), np.nanmax(face[whole], 1)
    pad = AT_FACE * (high - low)
    low, high = (low - pad)[:, None], (high + pad)[:, None]
    inside = pose.hands.visible & ((pose.hands.xy > low) & (pose.hands.xy < high)).all(2)
    return whole & (inside.reshape(len(pose), 2, -1).sum(2) >= FINGERS).any(1)


def spans(flags: np.ndarray, fps: float) -> tuple[tuple[float, float], ...]:
    """Returns runs of true frames as (start, stop) seconds."""
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(int), 0]))
    return tuple((float(a / fps), float(b / fps)) for a, b in edges.reshape(-1, 2))


def face_height(pose: Pose) -> float:
    """Returns the median height in pixels of the box around a complete face, 0 without any."""
    whole = pose.face.visible.mean(1) > 0.8
    y = np.where(pose.face.visible, pose.face.xy[..., 1], np.nan)[whole]
    return float(np.median(np.nanmax(y, 1) - np.nanmin(y, 1)) * pose.size[0]) if len(y) else 0.0


def outside(pose: Pose, reference: Pose) -> float:
    """Returns the share of frames in which a joint or hand that the reference shows leaves the picture."""
    if not len(pose):
        return 0.0
    away = np.zeros(len(pose), bool)
    for name in ("body", "hands"):
        mine, theirs = getattr(pose, name), getattr(reference, name)
        inside = ((theirs.xy[0] >= 0) & (theirs.xy[0] <= 1)).all(1)
        gone = ((mine.xy < 0) | (mine.xy > 1)).any(2) & (mine.score > VISIBLE)
        away |= (gone & (theirs.visible[0] & inside)).any(1)
    return float(away.mean())


def lips_quality(height: float) -> str:
    """Returns how well lips will be read at a face height in pixels at 512x768."""
    return next(word for least, word in LIPS if height >= least) if height > 0 else "none"


def examine(
    pose: Pose,
    reference: Pose,
    source: Pose,
    scale: float,
    offset: Sequence[float],
    **given: object,
) -> Report:
    """Returns the report on a `pose` aligned from `source`; `given` are fields known beforehand."""
    frames = max(1, len(pose))
    nominal = (NOMINAL_AREA / (reference.size[0] * reference.size[1])) ** 0.5
    height = face_height(pose) * nominal
    away, faceless = turned_away(source), is_missing(pose.face)
    notes = list(given.pop("notes", ()))
    numbers = {
        "faceless": float(faceless.sum() / frames),
        "faceless_seconds": spans(faceless, pose.fps),
        "covered": float(covered(source).sum() / frames),
        "driving_face": face_height(source) / source.size[0],
        "handless": float((~pose.hands.visible.any(1)).sum() / frames),
        "footless": float((~pose.body.visible[:, ANKLES].any(1)).sum() / frames),
        "turned": float(away.sum() / frames),
        "turned_seconds": spans(away, source.fps),
        "outside": outside(pose, reference),
        "yaw": (_middle(head_yaw(source)), _middle(head_yaw(reference))),
        "facing": (_middle(body_facing(source)), _middle(body_facing(reference))),
    }
    place = (float(offset[0]), float(offset[1]))
    report = Report(
        scale, place, face_height=height, lips=lips_quality(height), warnings=(), **numbers, **given
    )
    if not pose.body.visible.any():
        notes.append("The driving clip shows no person, so its skeleton is black.")
    else:
        notes += _warnings(report) + _orientation(report, source)
    return Report(**{**report.__dict__, "warnings": tuple(notes)})


def _middle(values: np.ndarray) -> float | None:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if len(good) else None


def _times(found: Sequence[tuple[float, float]]) -> str:
    more = " and more" if len(found) > 4 else ""
    return ", ".join(f"{a:.1f}-{b:.1f} s" for a, b in found[:4]) + more


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"


def _warnings(report: Report) -> list[str]:
    notes = []
    if report.corrected:
        names = " and ".join(report.corrected)
        notes.append(
            f"The reference's {names} look foreshortened; their full length is an estimate."
        )
    if report.faceless > 0:
        notes.append(
            f"The driving face is missing in {_percent(report.faceless)} of the frames "
            f"({_times(report.faceless_seconds)}); lips stay still there."
        )
    if report.covered >= SOME:
        notes.append(
            f"A hand is at the driving face in {report.covered:.0%} of the frames; it may be drawn under the "
            "mouth."
        )
    if 0 < report.driving_face < SMALL:
        notes.append(
            f"The driving face is only {report.driving_face:.1%} of the clip's height, so the head's turn is "
            "read roughly; a clip filmed from closer works better."
        )
    if report.handless >= SOME:
        notes.append(f"No hands were found in {report.handless:.0%} of the frames.")
    if 0 < report.face_height < READABLE_FACE:
        notes.append(
            f"The face will be about {report.face_height:.0f} pixels high at 512x768, too small for readable "
            f"lips ({READABLE_FACE} or more); use a reference image taken from closer."
        )
    if not 1 / GREAT_SCALE <= report.scale <= GREAT_SCALE:
        notes.append(
            f"The driving person was scaled by {report.scale:.2f} to fit the reference; pose errors grow or "
            "details vanish, a clip framed like the reference works better."
        )
    if report.outside > 0:
        tip = (
            "; a reference image with more room shows more" if report.framing == "reference" else ""
        )
        share = _percent(report.outside)
        notes.append(f"Part of the skeleton is outside the frame in {share} of the frames{tip}.")
    return notes


def _orientation(report: Report, source: Pose) -> list[str]:
    notes = []
    if report.turned > 0:
        notes.append(
            f"The driving person turns away in {_percent(report.turned)} of the frames "
            f"({_times(report.turned_seconds)}); the reference image does not show that side."
        )
    if (both := _apart(report.yaw)) > YAW_APART:
        driving, own = report.yaw
        notes.append(
            f"The heads look {both:.0f} degrees apart (clip {driving:+.0f}, reference {own:+.0f}); "
            "the face is bent to the clip's."
        )
    if (both := _apart(report.facing)) > BODY_APART:
        driving, own = report.facing
        notes.append(
            f"The bodies are turned {both:.0f} degrees apart (clip {driving:.0f}, reference {own:.0f} from "
            "the camera); a clip filmed from the reference's side works better."
        )
    if _swapped(source):
        notes.append(
            "Left and right of the driving person seem swapped: the face is seen but the shoulders cross."
        )
    return notes


def _apart(pair: tuple[float | None, float | None]) -> float:
    return abs(pair[0] - pair[1]) if None not in pair else 0.0


def _swapped(pose: Pose) -> bool:
    """Whether most frames with a face show the right shoulder on the side of the left half of the face."""
    seen = pose.face.visible[:, [*JAW_ENDS, *EYE_CORNERS]].all(1) & pose.body.visible[
        :, SHOULDERS
    ].all(1)
    jaw, eyes = (pose.face.xy[:, b, 0] - pose.face.xy[:, a, 0] for a, b in (JAW_ENDS, EYE_CORNERS))
    shoulders = pose.body.xy[:, L_SHOULDER, 0] - pose.body.xy[:, R_SHOULDER, 0]
    sure = seen & (np.abs(shoulders) > 0.5 * np.abs(jaw)) & (jaw * eyes > 0)
    return bool(sure.any() and (jaw * shoulders < 0)[sure].mean() > 0.5)
