"""Measure a person's bone lengths on a picture, correct foreshortening, and compare two people.

A bone that points at the camera looks shorter than it is, so a clip is measured at a high
percentile over time and a picture against human proportions: segment lengths as shares of stature
from Drillis and Contini (1966), as printed in Winter, Biomechanics and Motor Control of Human
Movement, figure 4.1.
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
from pipeline.motion.retarget.face_size import face_ratio
from pipeline.motion.retarget.nearness import nearness
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
# Length over stature. The torso reaches from between the shoulders to between the hips: 0.818 -
# 0.530.
# Detectors mark shoulders 0.69 to 0.85 of the table's width (EchoMimic's and our own clips): 0.8 is
# taken.
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
FACE_SIDES = ("face", "face width")
MAX_DEVIATION = 2.0  # bone ratios further than this factor from the body's scale are not believed


def lengths(pose: Pose, frames: np.ndarray | None = None) -> dict[str, float]:
    """Measure bones in pixels: the longer side per frame, then a high percentile over time.

    Joints far outside the picture measure only bones that no frame shows inside.
    """
    size: np.ndarray | float = 1.0  # lengths as the frames show them
    if frames is None:
        size = nearness(pose)
    else:
        pose = pose[frames]
    seen = pose.body.visible
    measured = spans(pose, seen, size)
    measured.update(spans(pose, seen & _in_picture(pose), size))
    return measured


def shown_lengths(reference: Pose) -> dict[str, float]:
    """Measure the bones that a picture shows, in pixels.

    Joints far outside it are a detector's guess, which must not scale anybody. They count only
    where nothing else is left.
    """
    seen = reference.body.visible
    measured = spans(reference, seen & _in_picture(reference))
    return measured or lengths(reference)


def _in_picture(pose: Pose) -> np.ndarray:
    """Tell which body points (T,18) lie in the picture, or nearly so."""
    above = pose.body.xy > -INSIDE
    below = pose.body.xy < 1 + INSIDE
    return np.all(above & below, 2)


def spans(pose: Pose, seen: np.ndarray, size: np.ndarray | float = 1.0) -> dict[str, float]:
    """Measure bones as `lengths` does.

    Args:
        pose: T frames.
        seen: (T,18) bool, the body points that count.
        size: (T,) how large the person is in each frame, or one number; lengths are divided by it.
    """
    body = pose.body.xy * pose.pixel_scale
    face = pose.face.xy * pose.pixel_scale
    middle_of_hips = body[:, HIPS].mean(1)
    torso = np.linalg.norm(middle_of_hips - body[:, NECK], axis=1)
    torso_seen = seen[:, [NECK, *HIPS]].all(1)
    profile = np.linalg.norm(face[:, CHIN] - face[:, NOSE_ROOT], axis=1)
    profile_seen = pose.face.all_seen((NOSE_ROOT, CHIN))
    measured = {
        "torso": _percentile((torso / size)[torso_seen], FULL_LENGTH_PERCENTILE),
        "face": _percentile((profile / size)[profile_seen], FACE_PERCENTILE),
    }
    for name, sides in SEGMENTS.items():
        start, stop = np.array(sides).T
        both = seen[:, start] & seen[:, stop]
        span = np.linalg.norm(body[:, stop] - body[:, start], axis=2)
        span = np.where(both, span, 0.0)
        longer = span.max(1) / size
        known = both.any(1)
        measured[name] = _percentile(longer[known], FULL_LENGTH_PERCENTILE)
    return {name: length for name, length in measured.items() if length > MIN_LENGTH_PX}


def _percentile(values: np.ndarray, level: float) -> float:
    if not len(values):
        return 0.0
    return float(np.percentile(values, level))


def corrected(visible: dict[str, float]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Lengthen foreshortened bones to what the rest of the body lets expect, and name them.

    A bone under 60 % of its expected length takes the expected one, over 85 % its own, in between a
    blend, so that the result does not jump. The stature behind the expectation is a high percentile
    over the bones.
    """
    parts = {name: part for name, part in STATURE.items() if name in visible}
    if len(parts) < 2:
        return visible, ()
    claims = [visible[name] / part for name, part in parts.items()]
    stature = float(np.percentile(claims, STATURE_PERCENTILE))
    shares = {}
    for name, part in parts.items():
        expected = part * stature
        shares[name] = visible[name] / expected
    legs_measured = _legs_are_measured(shares)
    full = dict(visible)
    names = []
    for name, share in shares.items():
        believed = legs_measured and name in LEG
        if believed or share >= FLAT:
            continue
        expected = visible[name] / share
        blend = float(np.interp(share, (SHORT, FLAT), (1.0, FLAT)))
        full[name] = expected * blend
        names.append(name)
    return full, tuple(names)


def _legs_are_measured(shares: dict[str, float]) -> bool:
    """Tell whether visible legs are believed: long enough as a whole, or thigh and shin short
    alike."""
    if not set(LEG) <= shares.keys():
        return False
    thigh = shares["thighs"]
    shin = shares["shins"]
    full_thigh = STATURE["thighs"]
    full_shin = STATURE["shins"]
    leg = full_thigh * thigh + full_shin * shin
    whole = leg / (full_thigh + full_shin)
    short_alike = abs(thigh / shin - 1) < ALIKE_LEGS
    return whole > FLAT or short_alike


def same_frames(pose: Pose, reference: Pose) -> np.ndarray:
    """Find the frames (n,) in which the driving body stands as the reference body does, best shape
    only.

    Their bones are foreshortened alike, so that they compare better than any estimate of full
    lengths; a clip driven onto one of its own frames comes back unchanged.
    """
    ever_seen = pose.body.visible.mean(0) > 0
    shared = reference.body.visible[0] & ever_seen
    joints = np.flatnonzero(shared)
    seen = pose.body.all_seen(joints)
    frames = np.flatnonzero(seen)
    if len(joints) < SAME_JOINTS or not len(frames):
        return frames[:0]
    places = pose.body.xy[frames]
    shapes = _shape(places[:, joints], pose.pixel_scale)
    goal = _shape(reference.body.xy[:, joints], reference.pixel_scale)
    distance = np.linalg.norm(shapes - goal, axis=2)
    distance = distance.mean(1)
    best = float(distance.min())
    if best >= SAME_SHAPE:
        return frames[:0]
    limit = best * 1.05 + 1e-9
    return frames[distance <= limit]


def _shape(xy: np.ndarray, pixel_scale: np.ndarray) -> np.ndarray:
    """Center points (T,K,2) on their mean and divide them by their radius, in pixels."""
    pixels = xy * pixel_scale
    pixels = pixels - pixels.mean(1, keepdims=True)
    squared = (pixels**2).sum(2)
    radius = np.sqrt(squared.mean(1))
    radius = np.maximum(radius, MIN_LENGTH_PX)
    return pixels / radius[:, None, None]


def ratios(
    pose: Pose, reference: Pose, frames: np.ndarray
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Divide the reference's full bone lengths by the driver's, in pixels, and name the corrected
    ones.

    frames: those in which both stand alike; there visible lengths are compared as they are.
    """
    names: tuple[str, ...] = ()
    goal = shown_lengths(reference)
    if len(frames):
        source = lengths(pose, frames)
    else:
        goal, names = corrected(goal)
        source, _ = corrected(lengths(pose))
    shared = [name for name in goal if name in source and name != "face"]
    compared = {name: goal[name] / source[name] for name in shared}
    face = face_ratio(pose, reference, frames)
    if face is not None:
        compared["face"] = face.height
        compared["face width"] = face.width
    return compared, names


def body_scale(bone_ratios: dict[str, float]) -> float | None:
    """Choose one scale for what has no ratio of its own: the trunk's, the face breaking a tie, or
    None."""
    if not bone_ratios:
        return None
    votes = ("shoulders", "shoulders", "torso", "torso", "face")
    names = [name for name in votes if name in bone_ratios]
    values = [bone_ratios[name] for name in names or bone_ratios]
    return float(np.median(values))


def believable(
    bone_ratios: dict[str, float], scale: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Limit the bones' ratios to a factor of two around the body's scale, and name those that
    changed.

    The face is never limited: it is what both people show best.
    """
    low = scale / MAX_DEVIATION
    high = scale * MAX_DEVIATION
    limited = {}
    changed = []
    for name, ratio in bone_ratios.items():
        if name in FACE_SIDES:
            limited[name] = ratio
            continue
        limited[name] = float(np.clip(ratio, low, high))
        if limited[name] != ratio:
            changed.append(name)
    return limited, tuple(changed)
