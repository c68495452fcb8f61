"""Facial Data Alignment (APV-Gen): moves faces to another place and size, per axis.

At generation (equations 11-18) the face predicted from speech is moved into the head of the driving skeleton,
frame by frame: x' = a x + b with a and b from the boxes of the same points on both sides. In training
(equations 2-8) faces of close-up clips are shrunk and moved as if the person were seen from further away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.keypoints import EYES_NOSE, LEFT_EYE, RIGHT_EYE, RIGID_FACE
from pipeline.values import FACE, VISIBLE, InputError, Keypoints, Pose

LIPS_JAW = np.r_[48:68, 4:13]  # what region "lips" takes from the prediction
BOXES = {"paper": np.arange(FACE), "rigid": RIGID_FACE}
REGIONS = ("face", "lips")
MIN_POINTS = 4  # shared visible points below which a frame has no usable box
MIN_SIDE = 1e-4  # box sides as fractions of the picture; smaller ones cannot be divided by
MAX_GAP = 0.5  # seconds without a driving face over which the map is interpolated
STEADY = {
    "paper": 0.0,
    "rigid": 0.08,
}  # seconds, sigma over the face's size; the paper's equations have none


def fit(
    source: Keypoints, target: Keypoints, box: str = "rigid", smooth: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a (T,2), b (T,2) of x' = a x + b per axis: boxes by APV-Gen eq. 11-14, their map by eq. 15-18.

    box "paper" is the minimum box of all 68 points (it squeezes the face when the predicted mouth opens and
    the driving one does not); "rigid" takes the points that speech leaves alone. Only points visible on both
    sides count. A frame whose box is degenerate takes a and b from its neighbours; with no good frame a is 1
    and b is 0. smooth: frames, sigma of a Gaussian over a; b follows so that the boxes' centres still meet.
    """
    a, b, good = _boxes(source, target, _subset(box), smooth)
    if not good.any():
        return np.ones_like(a), np.zeros_like(b)
    a, _ = bridge(a, good, len(good))
    b, _ = bridge(b, good, len(good))
    return a, b


def splice(pose: Pose, face: Keypoints, region: str = "face", box: str = "rigid") -> Pose:
    """Returns the pose with the predicted face in the place of the driving face (APV-Gen eq. 15-18).

    region "face" replaces all points; "lips" only lips and lower jaw, by the similarity of eyes and nose.
    `face` is in fractions of the same picture as the pose. The driving scores are kept; points that were not
    predicted keep the driving place. A frame without a driving face stays without one, except over gaps of
    up to half a second, where the map is interpolated. With box "rigid" the in-plane turn is the driving's,
    and the size is smoothed over STEADY seconds: a detector's boxes pulsate.
    """
    if len(face) != len(pose) or face.xy.shape[1] != FACE:
        raise InputError(
            f"the predicted face needs shape ({len(pose)},{FACE},2) as the pose has {len(pose)} frames, "
            f"got {face.xy.shape}; fit the pose to the speech first"
        )
    if region not in REGIONS:
        raise InputError(f"unknown region {region!r} to splice; choose one of {', '.join(REGIONS)}")
    _subset(box)  # refuses an unknown box
    limit = int(round(MAX_GAP * pose.fps))
    if region == "lips":
        xy, good = _similar(face, pose, STEADY[box], limit)
        xy = _join_jaw(xy, pose.face, face.visible)
        taken = np.isin(np.arange(FACE), LIPS_JAW) & face.visible
    else:
        xy, good = _boxed(face, pose, box, limit)
        taken = face.visible
    seen = (pose.face.score > 0).any(1)
    score, kept = bridge(pose.face.score, seen, limit)
    # A frame without prediction keeps its driving face; one with a prediction but no usable map has no face.
    spoken = face.visible.any(1)
    score = np.where((kept & (good | ~spoken))[:, None], score, 0.0)
    old, _ = bridge(pose.face.xy, seen, limit)
    xy = np.where((taken & good[:, None])[..., None], xy, old)
    return replace(pose, face=Keypoints(np.where(score[..., None] > 0, xy, 0.0), score))


def bridge(values: np.ndarray, good: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns values (T,...) with runs of at most `limit` bad frames interpolated, and what is good then.

    Runs at either end take the nearest good frame. Rows that stay bad are returned as they came.
    """
    out = np.array(values, np.float64)
    now = np.array(good, bool)
    if now.all() or not now.any():
        return out, now
    ids = np.flatnonzero(good)
    before = ids[np.clip(np.searchsorted(ids, np.arange(len(now)), "right") - 1, 0, None)]
    after = ids[np.clip(np.searchsorted(ids, np.arange(len(now)), "left"), None, len(ids) - 1)]
    t = np.arange(len(now))
    left = np.minimum(before, after)
    right = np.maximum(before, after)
    # At the ends both neighbours are the same good frame, and the run is counted from the clip's end.
    run = np.where(
        t < ids[0], ids[0], np.where(t > ids[-1], len(now) - 1 - ids[-1], right - left - 1)
    )
    fill = ~now & (run <= limit)
    weight = np.where(right > left, (t - left) / np.maximum(right - left, 1), 0.0)
    weight = weight.reshape(-1, *[1] * (out.ndim - 1))
    out[fill] = (out[left] * (1 - weight) + out[right] * weight)[fill]
    return out, now | fill


def _subset(box: str) -> np.ndarray:
    if box not in BOXES:
        raise InputError(f"unknown face box {box!r}; choose one of {', '.join(BOXES)}")
    return BOXES[box]


def _shared(source: Keypoints, target: Keypoints, subset: np.ndarray) -> np.ndarray:
    if source.score.shape != target.score.shape:
        raise InputError(
            f"both faces need as many frames and points, got {source.score.shape} and {target.score.shape}"
        )
    finite = np.isfinite(source.xy).all(2) & np.isfinite(target.xy).all(2)
    return (source.visible & target.visible & finite)[:, subset]


def _boxes(
    source: Keypoints, target: Keypoints, subset: np.ndarray, smooth: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, good): the box map of every frame, its size smoothed, and where it can be trusted."""
    shared = _shared(source, target, subset)
    low_s, high_s = _box(source.xy[:, subset], shared)
    low_t, high_t = _box(target.xy[:, subset], shared)
    side_s = high_s - low_s
    side_t = high_t - low_t
    good = (shared.sum(1) >= MIN_POINTS) & (side_s > MIN_SIDE).all(1) & (side_t > MIN_SIDE).all(1)
    a = np.where(good[:, None], side_t / np.where(side_s > MIN_SIDE, side_s, 1.0), 1.0)
    even = _smoothed(a, good, smooth)
    b = low_t - a * low_s + (a - even) * (low_s + high_s) / 2
    return even, np.where(good[:, None], b, 0.0), good


def _smoothed(gain: np.ndarray, good: np.ndarray, sigma: float) -> np.ndarray:
    """Gains (T,...) over the good frames, geometric mean under a Gaussian; the others as they are."""
    if sigma <= 0 or not good.any():
        return gain
    weight = good.astype(float).reshape(-1, *[1] * (gain.ndim - 1))
    total = gaussian_filter1d(np.log(gain) * weight, sigma, axis=0, mode="constant")
    near = gaussian_filter1d(weight, sigma, axis=0, mode="constant")
    return np.where(weight > 0, np.exp(total / np.maximum(near, 1e-9)), gain)


def _box(xy: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum (T,2) over the shared points, 0 where there are none."""
    low = np.where(shared[..., None], xy, np.inf).min(1)
    high = np.where(shared[..., None], xy, -np.inf).max(1)
    some = shared.any(1)[:, None]
    return np.where(some, low, 0.0), np.where(some, high, 0.0)


def _boxed(face: Keypoints, pose: Pose, box: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The predicted face in the driving box (T,68,2), and the frames (T,) for which that is known.

    For "rigid" both faces are first turned upright, in pixels, and the result is turned as the driving head:
    a box around a tilted face is wider than the face.
    """
    driving = pose.face
    subset = _subset(box)
    scale = np.array([pose.size[1], pose.size[0]], float)
    source = face.xy * scale
    target = driving.xy * scale
    tilt = np.zeros(len(face))
    if box == "rigid":
        own = _eye_line(source, face)
        turn, _, _, known = similarity(source, target, _shared(face, driving, subset), subset)
        turn, _ = bridge(np.unwrap(turn), known, len(known))
        tilt = own + turn
        source = _rotate(source, -own)
        target = _rotate(target, -tilt)
    faces = Keypoints(source / scale, face.score), Keypoints(target / scale, driving.score)
    a, b, good = _boxes(*faces, subset, STEADY[box] * pose.fps)
    a, _ = bridge(a, good, limit)
    b, good = bridge(b, good, limit)
    xy = (faces[0].xy * a[:, None] + b[:, None]) * scale
    return _rotate(xy, tilt) / scale, good


def _similar(
    face: Keypoints, pose: Pose, seconds: float, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """The predicted face moved by the similarity of eyes and nose, in pixels, and where it is known."""
    scale = np.array([pose.size[1], pose.size[0]], float)
    source = face.xy * scale
    shared = _shared(face, pose.face, EYES_NOSE)
    turn, gain, shift, good = similarity(source, pose.face.xy * scale, shared, EYES_NOSE)
    even = _smoothed(gain, good, seconds * pose.fps)
    middle = np.where(shared[..., None], source[:, EYES_NOSE], 0.0).sum(1)
    middle = _rotate((middle / np.maximum(shared.sum(1), 1)[:, None])[:, None], turn)[:, 0]
    gain, shift = even, shift + (gain - even)[:, None] * middle
    turn, _ = bridge(np.unwrap(turn), good, limit)
    gain, _ = bridge(gain, good, limit)
    shift, good = bridge(shift, good, limit)
    return (_rotate(source, turn) * gain[:, None, None] + shift[:, None]) / scale, good


def similarity(
    source: np.ndarray, target: np.ndarray, shared: np.ndarray, subset: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns turn (T,), radians, gain (T,), shift (T,2), good (T,) of target = gain R(turn) source + shift.

    Least squares over the shared points of the subset (two-dimensional Procrustes, closed form), in pixels.
    """
    weight = shared / np.maximum(shared.sum(1, keepdims=True), 1)
    points = [np.where(shared[..., None], p[:, subset], 0.0) for p in (source, target)]
    centres = [(p * weight[..., None]).sum(1) for p in points]
    s, t = (
        np.where(shared[..., None], p - c[:, None], 0.0)
        for p, c in zip(points, centres, strict=True)
    )
    along = (s * t).sum((1, 2))
    across = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(1)
    power = (s**2).sum((1, 2))
    good = (shared.sum(1) >= MIN_POINTS) & (power > 1e-3) & (np.hypot(along, across) > 1e-3)
    turn = np.where(good, np.arctan2(across, along), 0.0)
    gain = np.where(good, np.hypot(along, across) / np.where(power > 1e-3, power, 1.0), 1.0)
    moved = _rotate(centres[0][:, None], turn)[:, 0] * gain[:, None]
    return turn, gain, np.where(good[:, None], centres[1] - moved, 0.0), good


def _rotate(xy: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points (T,K,2) in pixels turned by angle (T,) about the origin."""
    c = np.cos(angle)[:, None]
    s = np.sin(angle)[:, None]
    return np.stack([xy[..., 0] * c - xy[..., 1] * s, xy[..., 0] * s + xy[..., 1] * c], -1)


def _eye_line(xy: np.ndarray, face: Keypoints) -> np.ndarray:
    """(T,) angle of the line through both eyes, 0 where they are not all visible."""
    line = xy[:, LEFT_EYE].mean(1) - xy[:, RIGHT_EYE].mean(1)
    return np.where(face.visible[:, 36:48].all(1), np.arctan2(line[:, 1], line[:, 0]), 0.0)


def _join_jaw(xy: np.ndarray, driving: Keypoints, predicted: np.ndarray) -> np.ndarray:
    """Bends the predicted lower jaw to meet the kept jaw ends (points 3 and 13); the chin stays."""
    out = xy.copy()
    for end, ids in ((3, range(4, 8)), (13, range(9, 13))):
        both = driving.visible[:, end] & predicted[:, end]
        step = np.where(both[:, None], driving.xy[:, end] - xy[:, end], 0.0)
        for k in ids:
            out[:, k] += step * abs(k - 8) / 5
    return out


# ---- training


def is_missing(face: Keypoints) -> np.ndarray:
    """(T,) bool: frames with too few visible points that speech does not move to place a face by."""
    return (face.score[:, RIGID_FACE] > VISIBLE).sum(1) < MIN_POINTS
