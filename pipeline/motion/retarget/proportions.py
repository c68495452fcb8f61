"""Bone lengths of a person on a picture, corrected for foreshortening, and the ratios between two people.

A bone that points at the camera looks shorter than it is, so a clip is measured at a high percentile over
time and a picture against human proportions: segment lengths as shares of stature from Drillis and Contini
(1966), as printed in Winter, Biomechanics and Motor Control of Human Movement, figure 4.1.
"""

from __future__ import annotations

import numpy as np

from pipeline.motion.keypoints import (
    CHIN,
    FOREARMS,
    HIPS,
    L_HIP,
    NECK,
    NOSE_ROOT,
    R_HIP,
    SHINS,
    SHOULDERS,
    THIGHS,
    UPPER_ARMS,
)
from pipeline.values import Pose

# bone: its pairs of body points, one for each side of the body
SEGMENTS = {
    "shoulders": (SHOULDERS,),
    "hips": (HIPS,),
    "upper arms": UPPER_ARMS,
    "forearms": FOREARMS,
    "thighs": THIGHS,
    "shins": SHINS,
}
# Length over stature; the torso reaches from between the shoulders to between the hips (0.818 - 0.530).
# Detectors mark shoulders 0.69 to 0.85 of the table's width (EchoMimic's and our own clips): 0.8 is taken.
STATURE = {"torso": 0.288, "shoulders": 0.8 * 0.259, "upper arms": 0.186, "forearms": 0.146}
STATURE |= {"thighs": 0.245, "shins": 0.246}
FULL_LENGTH = 90  # percentile over time taken as a bone's length: shorter ones are foreshortened
STATURE_LEVEL = (
    75  # percentile over the bones taken as the stature: foreshortened ones claim too little
)
SHORT, FLAT = (
    0.60,
    0.85,
)  # of the expected length: below, the bone points at the camera; above, it is measured
LEG = ("thighs", "shins")
ALIKE = (
    0.25  # legs whose two bones are short by the same share are short legs, not foreshortened ones
)
INSIDE = 0.05  # of the picture: joints further outside it are guesses and measure nothing
MIN_LENGTH = 1.0  # pixels
SAME_SHAPE, SAME_JOINTS = (
    0.03,
    6,
)  # mean distance over body radius under which two bodies stand alike
MOST = 2.0  # bone ratios further than this from the whole body's scale are not believed


def lengths(pose: Pose, frames: np.ndarray | None = None) -> dict[str, float]:
    """Returns visible bone lengths in pixels: the longer side per frame, then a high percentile over time.

    Joints far outside the picture measure only bones that no frame shows inside.
    """
    pose = pose if frames is None else pose[frames]
    near = ((pose.body.xy > -INSIDE) & (pose.body.xy < 1 + INSIDE)).all(2)
    return spans(pose, pose.body.visible) | spans(pose, pose.body.visible & near)


def spans(pose: Pose, seen: np.ndarray) -> dict[str, float]:
    """Returns what `lengths` does from the body points that are `seen` (T,18)."""
    pixels = np.array([pose.size[1], pose.size[0]], float)
    body, face = pose.body.xy * pixels, pose.face.xy * pixels
    hips = body[:, [R_HIP, L_HIP]].mean(1)
    trunk = {
        "torso": (hips - body[:, NECK], seen[:, [NECK, R_HIP, L_HIP]].all(1)),
        "face": (
            face[:, CHIN] - face[:, NOSE_ROOT],
            pose.face.visible[:, [NOSE_ROOT, CHIN]].all(1),
        ),
    }
    out = {}
    for name, (span, both) in trunk.items():
        _put(out, name, np.linalg.norm(span, axis=1)[both], 50 if name == "face" else FULL_LENGTH)
    for name, sides in SEGMENTS.items():
        start, stop = (np.array([side[k] for side in sides]) for k in (0, 1))
        both = seen[:, start] & seen[:, stop]
        span = np.where(both, np.linalg.norm(body[:, stop] - body[:, start], axis=2), 0.0)
        _put(out, name, span.max(1)[both.any(1)], FULL_LENGTH)
    return out


def _put(out: dict[str, float], name: str, values: np.ndarray, level: float) -> None:
    if len(values) and (full := float(np.percentile(values, level))) > MIN_LENGTH:
        out[name] = full


def corrected(visible: dict[str, float]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns lengths with foreshortened bones as long as the rest of the body lets expect, and their names.

    A bone under 60 % of its expected length takes the expected one, over 85 % its own, in between a blend, so
    that the result does not jump. The stature behind the expectation is a high percentile over the bones.
    """
    claims = [visible[name] / share for name, share in STATURE.items() if name in visible]
    if len(claims) < 2:
        return visible, ()
    stature = float(np.percentile(claims, STATURE_LEVEL))
    out, names = dict(visible), []
    share = {
        name: visible[name] / (part * stature) for name, part in STATURE.items() if name in visible
    }
    legs = _legs_are_measured(share)
    for name, seen in share.items():
        if seen < FLAT and not (legs and name in LEG):
            out[name] = visible[name] / seen * float(np.interp(seen, (SHORT, FLAT), (1.0, FLAT)))
            names.append(name)
    return out, tuple(names)


def _legs_are_measured(share: dict[str, float]) -> bool:
    """Whether visible legs are to be believed: long enough as a whole, or thigh and shin short alike."""
    if not set(LEG) <= share.keys():
        return False
    thigh, shin = (share[name] for name in LEG)
    whole = (STATURE["thighs"] * thigh + STATURE["shins"] * shin) / (
        STATURE["thighs"] + STATURE["shins"]
    )
    return whole > FLAT or abs(thigh / shin - 1) < ALIKE


def same_frames(pose: Pose, reference: Pose) -> np.ndarray:
    """Returns the frames (n,) in which the driving body stands as the reference body does, best shape only.

    Their bones are foreshortened alike, so that they compare better than any estimate of full lengths; a clip
    driven onto one of its own frames comes back unchanged.
    """
    ids = np.flatnonzero(reference.body.visible[0] & (pose.body.visible.mean(0) > 0))
    rows = np.flatnonzero(pose.body.visible[:, ids].all(1))
    if len(ids) < SAME_JOINTS or not len(rows):
        return rows[:0]

    def shape(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        pixels = points * np.array([size[1], size[0]])
        pixels = pixels - pixels.mean(1, keepdims=True)
        radius = np.sqrt((pixels**2).sum(2).mean(1))[:, None, None]
        return pixels / np.maximum(radius, MIN_LENGTH)

    away = shape(pose.body.xy[rows][:, ids], pose.size) - shape(
        reference.body.xy[:, ids], reference.size
    )
    distance = np.linalg.norm(away, axis=2).mean(1)
    best = float(distance.min())
    return rows[distance <= best * 1.05 + 1e-9] if best < SAME_SHAPE else rows[:0]


def ratios(
    pose: Pose, reference: Pose, frames: np.ndarray
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns reference over driving full length in pixels for bones that both show, and the corrected ones.

    `frames` are those in which both stand alike: there visible lengths are compared as they are.
    """
    if len(frames):
        mine, theirs, names = lengths(reference), lengths(pose, frames), ()
    else:
        mine, names = corrected(lengths(reference))
        theirs, _ = corrected(lengths(pose))
    return {name: mine[name] / theirs[name] for name in mine if name in theirs}, names


def body_scale(found: dict[str, float]) -> float | None:
    """Returns one scale for what has no ratio of its own: the trunk's, the face breaking a tie, or None."""
    trunk = [found[name] for name in ("shoulders", "torso") if name in found] * 2
    face = [found["face"]] if "face" in found else []
    values = trunk + face or list(found.values())
    return float(np.median(values)) if values else None


def believable(found: dict[str, float], scale: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns the ratios held within a factor of two of the body's scale, and the names of those held."""
    held = {
        name: float(np.clip(value, scale / MOST, scale * MOST)) for name, value in found.items()
    }
    return held, tuple(name for name in found if held[name] != found[name])
