"""Facial data alignment (APV-Gen, eq. 11-18): put the predicted face into the place of the driving
face.

The face that is predicted from speech is moved into the head of the driving skeleton, frame by
frame and per axis: x' = a x + b. Eq. 11-14 are the boxes of the face key points of prediction and
driving video, eq. 15-16 give a as the ratio of their sides, eq. 17-18 give b from their corners.
The training half (eq. 2-8) is `training/data/fda_sampling.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import CHIN, EYES_NOSE, LEFT_EYE, RIGHT_EYE, RIGID_FACE
from pipeline.values import FACE, VISIBLE, InputError, Keypoints, Pose

LIPS_JAW = np.r_[48:68, 4:13]  # what region "lips" takes from the prediction
# "paper": all points, as published. "rigid": the points that speech does not move.
BOXES = {"paper": np.arange(FACE), "rigid": RIGID_FACE}
REGIONS = ("face", "lips", "none")
# With fewer shared visible points a frame has no usable box.
MIN_POINTS = 4
# Fractions of the picture; a smaller side cannot be divided by.
MIN_SIDE = 1e-4
# Pixels: a smaller spread of the points tells no turn.
MIN_SPREAD_PX = 1e-3
# The map is interpolated over this long without a driving face.
MAX_GAP_SECONDS = 0.5
# Sigma over the size of the face, because a detector's boxes pulsate; the published equations have
# none.
SIZE_SIGMA_SECONDS = {"paper": 0.0, "rigid": 0.08}
JAW_JOINTS = (
    (3, range(4, 8)),
    (13, range(9, 13)),
)  # a kept jaw end, the predicted points beside it


@dataclass(frozen=True)
class BoxMap:
    """Map points per axis: x' = scale x + shift.

    `scale` (T,2) is a and `shift` (T,2) is b of eq. 15-18; `good` (T,) bool: the frames to trust.
    """

    scale: np.ndarray
    shift: np.ndarray
    good: np.ndarray


@dataclass(frozen=True)
class Similarity:
    """Map points in pixels: target = gain R(turn) source + shift.

    `turn` (T,) radians, `gain` (T,), `shift` (T,2) pixels; `good` (T,) bool: the frames to trust.
    """

    turn: np.ndarray
    gain: np.ndarray
    shift: np.ndarray
    good: np.ndarray


def fit(source: Keypoints, target: Keypoints, box: str = "rigid", smooth: float = 0.0) -> BoxMap:
    """Fit the map of the boxes of two faces (eq. 11-18), known in every frame.

    A frame whose box is degenerate takes the map of its neighbors. Without any good frame a is 1
    and b is 0.

    Args:
        source: the predicted face. Only points that are visible on both sides count.
        target: the driving face.
        box: "paper" is the minimum box of all 68 points; it squeezes the face when the predicted
            mouth opens and the driving one does not. "rigid" takes the points that speech does not
            move.
        smooth: frames, sigma of a Gaussian over a; b follows so that the centers of the boxes still
            meet.
    """
    boxes = _map_boxes(source, target, _box_points(box), smooth)
    if not boxes.good.any():
        return BoxMap(np.ones_like(boxes.scale), np.zeros_like(boxes.shift), boxes.good)
    return _bridge_map(boxes, len(boxes.good))


def splice(pose: Pose, face: Keypoints, region: str = "face", box: str = "rigid") -> Pose:
    """Return the pose with the predicted face in the place of the driving face (eq. 15-18).

    The driving scores are kept. Points that were not predicted keep the driving place. A frame
    without a driving face stays without one, except over gaps of up to half a second, where the map
    is interpolated. With box "rigid" the turn in the picture plane is the driving face's.

    Args:
        pose: the driving skeleton, T frames.
        face: the predicted face (T,68,2), in fractions of the same picture.
        region: "face" replaces all points; "lips" only lips and lower jaw, by the similarity of
            eyes and nose; "none" nothing, so that the driving mouth moves as it does.
        box: see `fit`.
    """
    if len(face) != len(pose) or face.xy.shape[1] != FACE:
        raise ValueError(
            f"the predicted face needs shape ({len(pose)},{FACE},2) as the pose has {len(pose)} "
            f"frames, got {face.xy.shape}; fit the pose to the speech first"
        )
    if region not in REGIONS:
        regions = ", ".join(REGIONS)
        raise InputError(f"unknown region {region!r} to splice; choose one of {regions}")
    _box_points(box)  # refuses an unknown box
    if region == "none":
        return pose
    limit = int(round(MAX_GAP_SECONDS * pose.fps))
    taken = face.visible
    if region == "lips":
        sigma = SIZE_SIGMA_SECONDS[box] * pose.fps
        placed, good = _place_by_eyes(face, pose, sigma, limit)
        placed = _join_jaw(placed, pose.face, face.visible)
        taken = taken & np.isin(np.arange(FACE), LIPS_JAW)
    else:
        placed, good = _place_by_box(face, pose, box, limit)
    seen = np.any(pose.face.score > 0, 1)
    driving, _ = bridge(pose.face.xy, seen, limit)
    score, known = bridge(pose.face.score, seen, limit)
    # A frame without a prediction keeps its driving face. One with a prediction but without a
    # usable map has no face.
    predicted = np.any(face.visible, 1)
    shown = known & (good | ~predicted)
    score = np.where(shown[:, None], score, 0.0)
    replaced = taken & good[:, None]
    xy = np.where(replaced[..., None], placed, driving)
    xy = np.where(score[..., None] > 0, xy, 0.0)
    return replace(pose, face=Keypoints(xy, score))


def is_missing(face: Keypoints) -> np.ndarray:
    """Return (T,) bool: frames with too few of the points that place a face."""
    visible = face.score[:, RIGID_FACE] > VISIBLE
    return visible.sum(1) < MIN_POINTS


def minimum_box(xy: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return minimum and maximum (T,2) of the points (T,K,2) that are `shared` (T,K); 0 without
    any."""
    counted = shared[..., None]
    low = np.where(counted, xy, np.inf).min(1)
    high = np.where(counted, xy, -np.inf).max(1)
    some = np.any(shared, 1)[:, None]
    return np.where(some, low, 0.0), np.where(some, high, 0.0)


def fit_similarity(
    source: np.ndarray, target: np.ndarray, shared: np.ndarray, subset: np.ndarray
) -> Similarity:
    """Fit the similarity between two faces by least squares (Procrustes in two dimensions, closed
    form).

    Args:
        source: points (T,68,2) in pixels.
        target: points (T,68,2) in pixels.
        shared: (T,K) bool, the points of the subset that are visible on both sides.
        subset: (K,) the points that count.
    """
    count = shared.sum(1)
    weight = shared / np.maximum(count, 1)[:, None]
    source_center, around_source = _center(source[:, subset], shared, weight)
    target_center, around_target = _center(target[:, subset], shared, weight)
    along = (around_source * around_target).sum((1, 2))
    across = _cross(around_source, around_target).sum(1)
    power = (around_source**2).sum((1, 2))
    length = np.hypot(along, across)
    spread = (power > MIN_SPREAD_PX) & (length > MIN_SPREAD_PX)
    good = (count >= MIN_POINTS) & spread
    turn = np.where(good, np.arctan2(across, along), 0.0)
    gain = length / np.where(power > MIN_SPREAD_PX, power, 1.0)
    gain = np.where(good, gain, 1.0)
    moved = rotate(source_center[:, None], turn)[:, 0] * gain[:, None]
    shift = np.where(good[:, None], target_center - moved, 0.0)
    return Similarity(turn, gain, shift, good)


def rotate(xy: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn points (T,K,2) in pixels by `angle` (T,) radians about the origin."""
    cosine = np.cos(angle)[:, None]
    sine = np.sin(angle)[:, None]
    x = xy[..., 0]
    y = xy[..., 1]
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], -1)


def _center(
    points: np.ndarray, shared: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the center (T,2) of the shared points, and the points (T,K,2) around it, 0 where not
    shared."""
    counted = shared[..., None]
    points = np.where(counted, points, 0.0)
    center = (points * weight[..., None]).sum(1)
    around = np.where(counted, points - center[:, None], 0.0)
    return center, around


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cross product (T,K) of vectors (T,K,2) in the plane."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _box_points(box: str) -> np.ndarray:
    """Return the points that a box is taken around."""
    if box not in BOXES:
        boxes = ", ".join(BOXES)
        raise InputError(f"unknown face box {box!r}; choose one of {boxes}")
    return BOXES[box]


def _shared(source: Keypoints, target: Keypoints, subset: np.ndarray) -> np.ndarray:
    """Return (T,K) bool: the points of the subset that both faces show."""
    if source.score.shape != target.score.shape:
        shapes = f"{source.score.shape} and {target.score.shape}"
        raise ValueError(f"both faces need as many frames and points, got {shapes}")
    finite = np.isfinite(source.xy).all(2) & np.isfinite(target.xy).all(2)
    seen = source.visible & target.visible
    return (seen & finite)[:, subset]


def _map_boxes(source: Keypoints, target: Keypoints, subset: np.ndarray, sigma: float) -> BoxMap:
    """Fit the box map of every frame (eq. 11-18); its scale is smoothed by `sigma` frames."""
    shared = _shared(source, target, subset)
    source_low, source_high = minimum_box(source.xy[:, subset], shared)
    target_low, target_high = minimum_box(target.xy[:, subset], shared)
    source_side = source_high - source_low
    target_side = target_high - target_low
    source_wide = source_side > MIN_SIDE
    target_wide = target_side > MIN_SIDE
    good = (shared.sum(1) >= MIN_POINTS) & np.all(source_wide, 1) & np.all(target_wide, 1)
    trusted = good[:, None]
    ratio = target_side / np.where(source_wide, source_side, 1.0)
    ratio = np.where(trusted, ratio, 1.0)
    scale = _smooth_gain(ratio, good, sigma)
    corner_shift = target_low - ratio * source_low
    # Adjust the shift so that smoothing the scale does not move the center of the box.
    shift = corner_shift + (ratio - scale) * (source_low + source_high) / 2
    return BoxMap(scale, np.where(trusted, shift, 0.0), good)


def _bridge_map(boxes: BoxMap, limit: int) -> BoxMap:
    """Interpolate the map over gaps of at most `limit` frames."""
    scale, _ = bridge(boxes.scale, boxes.good, limit)
    shift, good = bridge(boxes.shift, boxes.good, limit)
    return BoxMap(scale, shift, good)


def _smooth_gain(gain: np.ndarray, good: np.ndarray, sigma: float) -> np.ndarray:
    """Take the geometric mean of the gains (T,...) of good frames under a Gaussian of `sigma`
    frames.

    The other frames keep their gain.
    """
    if sigma <= 0 or not good.any():
        return gain
    weight = good.astype(float).reshape(-1, *[1] * (gain.ndim - 1))
    log_gain = np.log(gain) * weight
    total = gaussian_filter1d(log_gain, sigma, axis=0, mode="constant")
    near = gaussian_filter1d(weight, sigma, axis=0, mode="constant")
    mean = np.exp(total / np.maximum(near, 1e-9))
    return np.where(weight > 0, mean, gain)


def _place_by_box(
    face: Keypoints, pose: Pose, box: str, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted face (T,68,2) in the driving box, and the frames (T,) for which that is
    known.

    For "rigid" both faces are first turned upright, in pixels, and the result is turned as the
    driving head: a box around a tilted face is wider than the face.
    """
    driving = pose.face
    subset = _box_points(box)
    picture = np.array([pose.size[1], pose.size[0]], float)
    source = face.xy * picture
    target = driving.xy * picture
    tilt = np.zeros(len(face))
    if box == "rigid":
        predicted_tilt = _eye_line(source, face)
        shared = _shared(face, driving, subset)
        similarity = fit_similarity(source, target, shared, subset)
        turn, _ = bridge(np.unwrap(similarity.turn), similarity.good, len(face))
        tilt = predicted_tilt + turn
        source = rotate(source, -predicted_tilt)
        target = rotate(target, -tilt)
    upright = Keypoints(source / picture, face.score)
    upright_driving = Keypoints(target / picture, driving.score)
    sigma = SIZE_SIGMA_SECONDS[box] * pose.fps
    boxes = _map_boxes(upright, upright_driving, subset, sigma)
    boxes = _bridge_map(boxes, limit)
    mapped = upright.xy * boxes.scale[:, None] + boxes.shift[:, None]
    placed = rotate(mapped * picture, tilt)
    return placed / picture, boxes.good


def _place_by_eyes(
    face: Keypoints, pose: Pose, sigma: float, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted face (T,68,2) moved by the similarity of eyes and nose, and where it is
    known.

    sigma: frames, of the Gaussian over the size.
    """
    picture = np.array([pose.size[1], pose.size[0]], float)
    source = face.xy * picture
    target = pose.face.xy * picture
    shared = _shared(face, pose.face, EYES_NOSE)
    fitted = fit_similarity(source, target, shared, EYES_NOSE)
    gain = _smooth_gain(fitted.gain, fitted.good, sigma)
    count = np.maximum(shared.sum(1), 1)[:, None]
    middle = np.where(shared[..., None], source[:, EYES_NOSE], 0.0).sum(1) / count
    middle = rotate(middle[:, None], fitted.turn)[:, 0]
    # What smoothing takes from the size is given back at the middle of eyes and nose.
    shift = fitted.shift + (fitted.gain - gain)[:, None] * middle
    turn, _ = bridge(np.unwrap(fitted.turn), fitted.good, limit)
    gain, _ = bridge(gain, fitted.good, limit)
    shift, good = bridge(shift, fitted.good, limit)
    turned = rotate(source, turn) * gain[:, None, None]
    return (turned + shift[:, None]) / picture, good


def _eye_line(xy: np.ndarray, face: Keypoints) -> np.ndarray:
    """Return the angle (T,) of the line through both eyes, 0 where they are not all visible."""
    eyes_seen = np.all(face.visible[:, RIGHT_EYE.start : LEFT_EYE.stop], 1)
    line = xy[:, LEFT_EYE].mean(1) - xy[:, RIGHT_EYE].mean(1)
    angle = np.arctan2(line[:, 1], line[:, 0])
    return np.where(eyes_seen, angle, 0.0)


def _join_jaw(xy: np.ndarray, driving: Keypoints, predicted: np.ndarray) -> np.ndarray:
    """Bend the predicted lower jaw to meet the kept jaw ends (points 3 and 13); the chin stays."""
    joined = xy.copy()
    for end, beside in JAW_JOINTS:
        both = driving.visible[:, end] & predicted[:, end]
        miss = driving.xy[:, end] - xy[:, end]
        step = np.where(both[:, None], miss, 0.0)
        for k in beside:
            joined[:, k] += step * abs(k - CHIN) / 5
    return joined
