"""Brings a driving pose into the reference's picture: person, gaps, frame rate, length, alignment.

`retarget` has three methods: "bones" (bones.py, the default) keeps the driver's joint angles and takes the
reference's bone lengths; "similar" is one scale for the body and one for the head; "published" is
ControlNeXt's line fit. doctor.py writes the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import CHIN, EYES_NOSE, HEAD_POINTS, HIPS, NECK, NOSE_ROOT
from pipeline.motion.retarget import bones, proportions, report
from pipeline.motion.retarget.report import Report
from pipeline.values import InputError, Keypoints, Pose

METHODS, FRAMINGS = ("bones", "similar", "published"), bones.FRAMINGS
FIT_IDS = np.array([0, 1, 2, 5, *range(8, 18)])  # the published fit leaves elbows and wrists out
Person = int | tuple[float, float]


class Alignment(NamedTuple):
    """How `retarget` works: one of METHODS, one of FRAMINGS, which person (None: the largest who stays)."""

    method: str = "bones"
    framing: str = "reference"
    person: Person | None = None


ALIGNMENT = Alignment()


# ---- time


# ---- alignment


def retarget(
    people: Sequence[Pose],
    reference: Pose,
    method: str = "bones",
    framing: str = "reference",
    person: Person | None = None,
) -> tuple[Pose, Report]:
    """Returns one person's pose in the reference's picture, and the report on how well it fits.

    person: its number from 1, or a point (x, y) in fractions of the driving picture; None takes the largest
    one who stays. framing "driving" keeps the clip's own camera (for "bones"). Driving scores are kept.
    """
    if not people or len(reference) < 1:
        raise InputError("alignment needs at least one driving person and a reference pose")
    if method not in METHODS:
        raise InputError(f"unknown way {method!r} to retarget; choose one of {', '.join(METHODS)}")
    if framing not in FRAMINGS or (framing == "driving" and method != "bones"):
        raise InputError(
            f"framing {framing!r} does not go with retargeting by {method}; choose reference, "
            "or driving with bones"
        )
    reference = reference[:1]
    chosen, why = choose(people, person)
    pose, notes = people[chosen], []
    if len(people) > 1:
        notes.append(
            f"{len(people)} people were found in the driving clip; number {chosen + 1} is used: {why}."
        )
    if method == "published":
        a, b = published_fit(people, reference)
        out = apply_fit(pose, a, b, reference.size)
        found, _ = proportions.ratios(pose, reference, np.zeros(0, int))
        fit = bones.Fit(1.0, b, found, anchor="the fitted line")
        gain, offset = float(a[1]), b
    else:
        out, fit = (bones.transfer if method == "bones" else _similar)(pose, reference, framing)
        gain = fit.scale * pose.size[0] / reference.size[0] if fit.anchor else 1.0
        offset = fit.offset / np.array([reference.size[1], reference.size[0]])
    if not fit.anchor:
        notes.append(
            "The driving clip and the reference share no visible joints, so nothing was aligned."
        )
    if fit.held:
        names = " and ".join(fit.held)
        notes.append(
            f"The {names} of the two people differ too much to be believed; held at a factor of two."
        )
    out = _blank_missing(out)
    known = {
        "people": len(people),
        "chosen": chosen,
        "why": why,
        "method": method,
        "framing": framing,
    }
    known |= {
        "bone_ratios": fit.ratios,
        "corrected": fit.corrected,
        "anchor": fit.anchor,
        "notes": notes,
    }
    return out, report.examine(out, reference, pose, gain, offset, **known)


def choose(people: Sequence[Pose], person: Person | None = None) -> tuple[int, str]:
    """Returns the index of the person to take and the reason in words."""
    if person is None:
        best = int(np.argmax([_presence(pose) for pose in people]))
        return best, "the only person" if len(people) == 1 else "the largest one who stays"
    if isinstance(person, tuple):
        return _nearest(
            people, person
        ), f"the one nearest to the point {person[0]:.2f}, {person[1]:.2f}"
    if not 1 <= person <= len(people):
        raise InputError(
            f"person {person} was asked for and {len(people)} found; choose 1 to {len(people)}"
        )
    return person - 1, f"number {person} was asked for"


def parse_person(text: str) -> Person:
    """Returns the person that a command line names: a number from 1, or a point "x,y" in fractions."""
    parts = text.split(",")
    try:
        point = tuple(float(part) for part in parts)
    except ValueError:
        point = ()
    if len(parts) == 1 and text.strip().isdecimal() and int(text) >= 1:
        return int(text)
    if len(parts) == 2 and len(point) == 2 and all(0 <= value <= 1 for value in point):
        return point[0], point[1]
    raise InputError(
        f"person {text!r} is not understood; give a number from 1, or a point like 0.3,0.5"
    )


def _nearest(people: Sequence[Pose], point: tuple[float, float]) -> int:
    """The person whose box is nearest to the point in the first frame with people, smaller boxes first."""
    seen = np.stack([pose.body.visible.any(1) for pose in people])
    if not seen.any():
        return 0
    frame = int(np.flatnonzero(seen.any(0))[0])
    best = []
    for index in np.flatnonzero(seen[:, frame]).tolist():
        xy = people[index].body.xy[frame, people[index].body.visible[frame]]
        low, high = xy.min(0), xy.max(0)
        away = np.maximum(0, np.maximum(low - point, np.array(point) - high))
        best.append((float(np.hypot(*away)), float(np.prod(high - low)), index))
    return min(best)[2]


def published_fit(people: Sequence[Pose], reference: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Returns a (2,) and b (2,) of x' = a x + b for a whole clip, as ControlNeXt-SVD-v2 aligns poses.

    A least-squares line over all frames with exactly one person; x keeps the pixel aspect of y's scale.
    """
    present = (
        np.stack([(pose.body.score > 0).any(1) for pose in people])
        if people
        else np.zeros((0, 0), bool)
    )
    alone = np.flatnonzero(present.sum(0) == 1)
    ids = FIT_IDS[reference.body.visible[0, FIT_IDS]]
    if not len(alone) or not len(ids):
        raise InputError(
            "the published alignment needs a frame with exactly one person and visible joints in the "
            "reference; use the default alignment"
        )
    found = np.stack([people[int(present[:, t].argmax())].body.xy[t, ids] for t in alone])
    wanted = np.broadcast_to(reference.body.xy[0, ids], found.shape)
    ay, by = np.polyfit(found[..., 1].ravel(), wanted[..., 1].ravel(), 1)
    (frame_h, frame_w), (height, width) = people[0].size, reference.size
    ax = ay * (frame_w / frame_h) * (height / width)
    return np.array([ax, ay]), np.array([np.mean(wanted[..., 0] - ax * found[..., 0]), by])


def apply_fit(pose: Pose, a: np.ndarray, b: np.ndarray, size: tuple[int, int]) -> Pose:
    """Returns the pose with all points mapped to a x + b, in a picture of the given (H,W)."""
    parts = {n: getattr(pose, n) for n in ("body", "hands", "face")}
    return replace(
        pose, size=size, **{n: Keypoints(p.xy * a + b, p.score) for n, p in parts.items()}
    )


def _blank_missing(pose: Pose) -> Pose:
    parts = {n: getattr(pose, n) for n in ("body", "hands", "face")}
    return replace(
        pose,
        **{
            n: Keypoints(np.where(p.score[..., None] > 0, p.xy, 0.0), p.score)
            for n, p in parts.items()
        },
    )


def _presence(pose: Pose) -> float:
    """Height of the visible body in pixels, summed over the frames: large people who stay win."""
    y = pose.body.xy[..., 1] * pose.size[0]
    seen = pose.body.visible
    span = np.where(seen, y, -np.inf).max(1, initial=-np.inf) - np.where(seen, y, np.inf).min(
        1, initial=np.inf
    )
    return float(np.where(seen.any(1), span, 0.0).sum())


def _similar(pose: Pose, reference: Pose, framing: str) -> tuple[Pose, bones.Fit]:
    """One scale in pixels; the head is scaled about the neck to the reference's face height and moved to its
    height over the neck."""
    found, _ = proportions.ratios(pose, reference, np.zeros(0, int))
    scale, offset = _similarity(pose, reference, found)
    if scale is None:
        return replace(pose, size=reference.size), bones.Fit(1.0, np.zeros(2), found)
    gain = scale * np.array([pose.size[1] / reference.size[1], pose.size[0] / reference.size[0]])
    out = _size_head(
        apply_fit(pose, gain, offset, reference.size), reference, found.get("face", 0) / scale
    )
    pixels = np.array([reference.size[1], reference.size[0]])
    return out, bones.Fit(scale, offset * pixels, found, anchor="neck and hips")


def _similarity(
    pose: Pose, reference: Pose, ratios: dict[str, float]
) -> tuple[float | None, np.ndarray]:
    """Scale in pixels and offset (2,) in fractions; None when the two share nothing to align by."""
    anchors = _anchors(pose, reference)
    if not ratios or not anchors:
        return None, np.zeros(2)
    scale = proportions.body_scale(ratios)
    gain = scale * np.array([pose.size[1] / reference.size[1], pose.size[0] / reference.size[0]])
    return scale, np.mean([wanted - gain * found for found, wanted in anchors], axis=0)


def _anchors(pose: Pose, reference: Pose) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of driving (median over time) and reference places: neck and hips, or what else both show."""
    shared = (pose.body.visible.any(0) & reference.body.visible[0]).nonzero()[0].tolist()
    pairs = {k: (_median(pose.body, k), reference.body.xy[0, k]) for k in shared}
    if NECK in pairs and set(HIPS) <= set(pairs):
        (right, right_wanted), (left, left_wanted) = (pairs[k] for k in HIPS)
        return [pairs[NECK], ((right + left) / 2, (right_wanted + left_wanted) / 2)]
    if NECK in pairs:
        return [pairs[NECK]]
    face = (pose.face.visible.any(0) & reference.face.visible[0])[EYES_NOSE]
    return list(pairs.values()) or [
        (_median(pose.face, k), reference.face.xy[0, k]) for k in EYES_NOSE[face].tolist()
    ]


def _median(points: Keypoints, k: int) -> np.ndarray:
    return np.median(points.xy[points.visible[:, k], k], axis=0)


def _size_head(pose: Pose, reference: Pose, gain: float) -> Pose:
    """The head scaled by `gain` about the neck, then moved to the reference's height over the neck."""
    neck, _ = bridge(pose.body.xy[:, NECK], pose.body.visible[:, NECK], len(pose))
    if not gain or not pose.body.visible[:, NECK].any():
        return pose
    body, face = pose.body.xy.copy(), pose.face.xy.copy()
    body[:, HEAD_POINTS] = neck[:, None] + gain * (body[:, HEAD_POINTS] - neck[:, None])
    face = neck[:, None] + gain * (face - neck[:, None])
    both = pose.body.visible[:, NECK] & pose.face.visible[:, NOSE_ROOT]
    if both.any() and reference.body.visible[0, NECK] and reference.face.visible[0, NOSE_ROOT]:
        wanted = reference.face.xy[0, NOSE_ROOT, 1] - reference.body.xy[0, NECK, 1]
        found = np.median((face[:, NOSE_ROOT, 1] - neck[:, 1])[both])
        most = 0.5 * abs(reference.face.xy[0, CHIN, 1] - reference.face.xy[0, NOSE_ROOT, 1])
        step = np.clip(wanted - found, -most, most)  # more than that is posture, not anatomy
        body[:, HEAD_POINTS, 1] += step
        face[..., 1] += step
    return replace(
        pose, body=Keypoints(body, pose.body.score), face=Keypoints(face, pose.face.score)
    )
