"""Measure a person's bone lengths on a picture, correct foreshortening, and compare two people.

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
    NECK,
    NOSE_ROOT,
    SHINS,
    SHOULDERS,
    THIGHS,
    UPPER_ARMS,
)
from pipeline.values import Pose

# Bone: its pairs of body points, one for each side of the body.
SEGMENTS = {
    "shoulders": (SHOULDERS,),
    "hips": (HIPS,),
    "upper arms": UPPER_ARMS,
    "forearms": FOREARMS,
    "thighs": THIGHS,
    "shins": SHINS,
}
# Length over stature. The torso reaches from between the shoulders to between the hips: 0.818 - 0.530.
# Detectors mark shoulders 0.69 to 0.85 of the table's width (EchoMimic's and our own clips): 0.8 is taken.
STATURE = {
    "torso": 0.288,
    "shoulders": 0.8 * 0.259,
    "upper arms": 0.186,
    "forearms": 0.146,
    "thighs": 0.245,
    "shins": 0.246,
}
FULL_LENGTH_PERCENTILE = 90  # over time: shorter lengths of a bone are foreshortened
FACE_PERCENTILE = 50  # over time: a face is hardly ever foreshortened
STATURE_PERCENTILE = 75  # over the bones: foreshortened ones claim too small a person
# Of the expected length: below SHORT the bone points at the camera, above FLAT it is measured.
SHORT = 0.60
FLAT = 0.85
LEG = ("thighs", "shins")
# Legs whose two bones are short by the same share are short legs, not foreshortened ones.
ALIKE_LEGS = 0.25
INSIDE = 0.05  # of the picture: joints further outside it are guesses and measure nothing
MIN_LENGTH_PX = 1.0
SAME_SHAPE = 0.03  # mean distance over body radius under which two bodies stand alike
SAME_JOINTS = 6  # that both must show
MAX_DEVIATION = 2.0  # bone ratios further than this factor from the body's scale are not believed


def lengths(pose: Pose, frames: np.ndarray | None = None) -> dict[str, float]:
    """Measure bones in pixels: the longer side per frame, then a high percentile over time.

    Joints far outside the picture measure only bones that no frame shows inside.
    """
    if frames is not None:
        pose = pose[frames]
    xy = pose.body.xy
    in_picture = ((xy > -INSIDE) & (xy < 1 + INSIDE)).all(2)
    anywhere = spans(pose, pose.body.visible)
    return anywhere | spans(pose, pose.body.visible & in_picture)


def spans(pose: Pose, seen: np.ndarray) -> dict[str, float]:
    """Measure bones as `lengths` does, from the body points that are `seen` (T,18) bool."""
    body = pose.body.xy * pose.pixel_scale
    face = pose.face.xy * pose.pixel_scale
    torso = body[:, HIPS].mean(1) - body[:, NECK]
    torso_seen = seen[:, [NECK, *HIPS]].all(1)
    profile = face[:, CHIN] - face[:, NOSE_ROOT]
    profile_seen = pose.face.visible[:, [NOSE_ROOT, CHIN]].all(1)
    measured = {
        "torso": _percentile(np.linalg.norm(torso, axis=1)[torso_seen], FULL_LENGTH_PERCENTILE),
        "face": _percentile(np.linalg.norm(profile, axis=1)[profile_seen], FACE_PERCENTILE),
    }
    for name, sides in SEGMENTS.items():
        start = np.array([side[0] for side in sides])
        stop = np.array([side[1] for side in sides])
        both = seen[:, start] & seen[:, stop]
        span = np.linalg.norm(body[:, stop] - body[:, start], axis=2)
        longer = np.where(both, span, 0.0).max(1)
        measured[name] = _percentile(longer[both.any(1)], FULL_LENGTH_PERCENTILE)
    return {name: length for name, length in measured.items() if length > MIN_LENGTH_PX}


def _percentile(values: np.ndarray, level: float) -> float:
    return float(np.percentile(values, level)) if len(values) else 0.0


def corrected(visible: dict[str, float]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Lengthen foreshortened bones to what the rest of the body lets expect, and name them.

    A bone under 60 % of its expected length takes the expected one, over 85 % its own, in between a blend,
    so that the result does not jump. The stature behind the expectation is a high percentile over the bones.
    """
    measured = {name: share for name, share in STATURE.items() if name in visible}
    if len(measured) < 2:
        return visible, ()
    claims = [visible[name] / share for name, share in measured.items()]
    stature = float(np.percentile(claims, STATURE_PERCENTILE))
    seen_share = {name: visible[name] / (share * stature) for name, share in measured.items()}
    legs_measured = _legs_are_measured(seen_share)
    full = dict(visible)
    names = []
    for name, seen in seen_share.items():
        if seen < FLAT and not (legs_measured and name in LEG):
            blend = float(np.interp(seen, (SHORT, FLAT), (1.0, FLAT)))
            full[name] = visible[name] / seen * blend
            names.append(name)
    return full, tuple(names)


def _legs_are_measured(seen_share: dict[str, float]) -> bool:
    """Tell whether visible legs are believed: long enough as a whole, or thigh and shin short alike."""
    if not set(LEG) <= seen_share.keys():
        return False
    thigh = seen_share["thighs"]
    shin = seen_share["shins"]
    leg = STATURE["thighs"] * thigh + STATURE["shins"] * shin
    whole = leg / (STATURE["thighs"] + STATURE["shins"])
    return whole > FLAT or abs(thigh / shin - 1) < ALIKE_LEGS


def same_frames(pose: Pose, reference: Pose) -> np.ndarray:
    """Find the frames (n,) in which the driving body stands as the reference body does, best shape only.

    Their bones are foreshortened alike, so that they compare better than any estimate of full lengths; a
    clip driven onto one of its own frames comes back unchanged.
    """
    ever_seen = pose.body.visible.mean(0) > 0
    joints = np.flatnonzero(reference.body.visible[0] & ever_seen)
    frames = np.flatnonzero(pose.body.visible[:, joints].all(1))
    if len(joints) < SAME_JOINTS or not len(frames):
        return frames[:0]
    shapes = _shape(pose.body.xy[frames][:, joints], pose.pixel_scale)
    difference = shapes - _shape(reference.body.xy[:, joints], reference.pixel_scale)
    distance = np.linalg.norm(difference, axis=2).mean(1)
    best = float(distance.min())
    if best >= SAME_SHAPE:
        return frames[:0]
    return frames[distance <= best * 1.05 + 1e-9]


def _shape(xy: np.ndarray, pixel_scale: np.ndarray) -> np.ndarray:
    """Center points (T,K,2) on their mean and divide them by their radius, in pixels."""
    pixels = xy * pixel_scale
    pixels = pixels - pixels.mean(1, keepdims=True)
    radius = np.sqrt((pixels**2).sum(2).mean(1))
    return pixels / np.maximum(radius[:, None, None], MIN_LENGTH_PX)


def ratios(
    pose: Pose, reference: Pose, frames: np.ndarray
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Divide the reference's full bone lengths by the driver's, in pixels, and name the corrected ones.

    frames: those in which both stand alike; there visible lengths are compared as they are.
    """
    if len(frames):
        names: tuple[str, ...] = ()
        goal = lengths(reference)
        source = lengths(pose, frames)
    else:
        goal, names = corrected(lengths(reference))
        source, _ = corrected(lengths(pose))
    return {name: goal[name] / source[name] for name in goal if name in source}, names


def body_scale(bone_ratios: dict[str, float]) -> float | None:
    """Choose one scale for what has no ratio of its own: the trunk's, the face breaking a tie, or None."""
    trunk = [bone_ratios[name] for name in ("shoulders", "torso") if name in bone_ratios]
    face = [bone_ratios["face"]] if "face" in bone_ratios else []
    values = trunk + trunk + face or list(bone_ratios.values())
    return float(np.median(values)) if values else None


def believable(
    bone_ratios: dict[str, float], scale: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Limit the ratios to a factor of two around the body's scale, and name those that changed."""
    low = scale / MAX_DEVIATION
    high = scale * MAX_DEVIATION
    limited = {name: float(np.clip(value, low, high)) for name, value in bone_ratios.items()}
    changed = [name for name in bone_ratios if limited[name] != bone_ratios[name]]
    return limited, tuple(changed)
