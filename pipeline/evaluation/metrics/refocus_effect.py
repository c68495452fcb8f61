"""Measure what refocusing does to a motion: what a viewer sees, and what must never break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.evaluation.metrics import gestures
from pipeline.motion.keypoints import HIPS, LEFT_EYE, LEG_POINTS, LIMBS, MOUTH, NECK, RIGHT_EYE
from pipeline.motion.refocus import TUNING, Tuning, refocus
from pipeline.values import Keypoints, Motion, Pose

EYES_AND_LIPS = slice(36, 68)  # of the 68 points of the face
LAG_REACH_FRAMES = 12
ENVELOPE_SECONDS = 1.5  # sigma of the posture under the gestures
WORST = ("drift", "torso", "outside", "feet", "lips")  # pooled by the largest, others by the mean


@dataclass(frozen=True)
class Effect:
    """One motion refocused, against the same motion at strength 0.

    Args:
        r: Pearson's r of wrist speed and intensity.
        rise: r less that at 0.
        z: Distance of r from shifted speech.
        ratio: Accent ratio over that at 0.
        jerk: Mean third difference of the wrists over that at 0.
        jerk99: The 99th percentile over that at 0.
        lags: (25,) correlation of growth with excitation, growth late by -12 to 12 frames.
        drift: Largest relative change of a limb's length.
        torso: Largest relative change of the distance from neck to hips.
        outside: Number of points that left the frame.
        feet: Largest displacement of hips, knees and ankles in fractions of the frame.
        lips: Largest change of the lips in the face's own coordinates.
    """

    r: float
    rise: float
    z: float
    ratio: float
    jerk: float
    jerk99: float
    lags: np.ndarray
    drift: float
    torso: float
    outside: int
    feet: float
    lips: float


@dataclass(frozen=True)
class PooledEffect:
    """`Effect` over many motions: means, the median ratio, the worst of the safety figures.

    Args:
        rising: Share of the motions whose r rises.
        lag: Frames at which the mean curve of lags peaks, 0 at strength 0.
    """

    r: float
    rise: float
    z: float
    ratio: float
    jerk: float
    jerk99: float
    drift: float
    torso: float
    outside: float
    feet: float
    lips: float
    rising: float
    lag: float


def drift(before: Pose, after: Pose) -> tuple[float, float]:
    """Return the largest relative length change of a limb, and of neck to hips, in seen frames."""
    torso = tuple((NECK, hip) for hip in HIPS)
    return _length_change(before, after, LIMBS), _length_change(before, after, torso)


def _length_change(before: Pose, after: Pose, bones: Sequence[tuple[int, int]]) -> float:
    """Return the largest relative change of the bones' lengths in the frames that show them."""
    start, end = np.array(bones).T
    visible = before.body.visible[:, start] & before.body.visible[:, end]
    old = _lengths(before, bones)
    new = _lengths(after, bones)
    visible &= old > 1e-6
    if not visible.any():
        return 0.0
    return float(np.abs(new[visible] / old[visible] - 1).max())


def _lengths(pose: Pose, bones: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the bones' lengths (T, n) in pixels."""
    pixels = gestures.body_pixels(pose)
    lengths = [np.linalg.norm(pixels[:, a] - pixels[:, b], axis=1) for a, b in bones]
    return np.stack(lengths, 1)


def newly_outside(before: Pose, after: Pose) -> int:
    """Count seen points that lie in the frame before and outside it after."""
    parts = ((before.body, after.body), (before.hands, after.hands), (before.face, after.face))
    count = 0
    for old, new in parts:
        left = old.visible & _inside(old) & ~_inside(new)
        count += int(left.sum())
    return count


def _inside(points: Keypoints) -> np.ndarray:
    """Return where points (T, K) lie in the frame."""
    return ((points.xy >= 0) & (points.xy <= 1)).all(2)


def lower_body_shift(before: Pose, after: Pose) -> float:
    """Return the largest displacement of hips, knees and ankles, in fractions of the frame."""
    old = before.body.xy[:, LEG_POINTS]
    new = after.body.xy[:, LEG_POINTS]
    return float(np.abs(new - old).max())


def lip_shift(before: Pose, after: Pose) -> float:
    """Return the largest change of the lips in face coordinates, where the eyes are at 0 and 1.

    Only frames that show eyes and lips count.
    """
    visible = before.face.visible[:, EYES_AND_LIPS].all(1)
    if not visible.any():
        return 0.0
    change = _lips_in_face(after)[visible] - _lips_in_face(before)[visible]
    return float(np.abs(change).max())


def _lips_in_face(pose: Pose) -> np.ndarray:
    """Return the lips (T, 20) as complex numbers; the eyes' centers are 0 and 1."""
    height, width = pose.size
    points = pose.face.xy[..., 0] * width + 1j * pose.face.xy[..., 1] * height
    right = points[:, RIGHT_EYE].mean(1)
    left = points[:, LEFT_EYE].mean(1)
    across = left - right
    unit = np.where(np.abs(across) > 1e-6, across, 1)
    return (points[:, MOUTH] - right[:, None]) / unit[:, None]


def lag_curve(before: Pose, after: Pose, excitation: np.ndarray) -> np.ndarray:
    """Correlate the gestures' growth with the excitation, growth late by -12 to 12 frames.

    Growth is the logarithm of the ratio of the gestures' sizes, both floored at a tenth of the
    mean. Returns (25,).
    """
    old = _gesture_size(before)
    new = _gesture_size(after)
    floor = max(0.1 * old.mean(), 1e-6)
    growth = np.log((new + floor) / (old + floor))
    growth = growth - growth.mean()
    curve = excitation - excitation.mean()
    scale = max(float(growth.std() * curve.std()), 1e-12)
    frames = len(growth)
    products = []
    for lag in range(-LAG_REACH_FRAMES, LAG_REACH_FRAMES + 1):
        late = growth[max(lag, 0) : frames + min(lag, 0)]
        early = curve[max(-lag, 0) : frames + min(-lag, 0)]
        products.append((late * early).mean())
    return np.array(products) / scale


def _gesture_size(pose: Pose) -> np.ndarray:
    """Return the mean distance (T,) of the seen wrists from their own low-pass of 1.5 s."""
    places, visible = gestures.wrists_from_neck(pose)
    strokes = places - gaussian_filter1d(places, ENVELOPE_SECONDS * pose.fps, axis=0)
    return (np.linalg.norm(strokes, axis=2) * visible).mean(1)


def effect(motion: Motion, strength: float, tuning: Tuning = TUNING) -> Effect:
    """Measure one motion refocused at `strength` against that at 0, whose rest serves both."""
    home = gestures.rest(motion.pose, motion.excitation)
    base = gestures.figures(motion, home)
    refocused = refocus(motion, strength, tuning=tuning)
    after = gestures.figures(refocused, home)
    limbs, torso = drift(motion.pose, refocused.pose)
    return Effect(
        r=after.correlation,
        rise=after.correlation - base.correlation,
        z=after.z,
        ratio=after.ratio / base.ratio if base.ratio > 0 else float("nan"),
        jerk=after.jerk / max(base.jerk, 1e-9),
        jerk99=after.jerk99 / max(base.jerk99, 1e-9),
        lags=lag_curve(motion.pose, refocused.pose, motion.excitation),
        drift=limbs,
        torso=torso,
        outside=newly_outside(motion.pose, refocused.pose),
        feet=lower_body_shift(motion.pose, refocused.pose),
        lips=lip_shift(motion.pose, refocused.pose),
    )


def pooled_effect(
    motions: Sequence[Motion], strength: float, tuning: Tuning = TUNING
) -> PooledEffect:
    """Measure many motions refocused at `strength`, together."""
    effects = [effect(motion, strength, tuning) for motion in motions]

    def column(name: str) -> np.ndarray:
        return np.array([getattr(one, name) for one in effects])

    def pooled(name: str) -> float:
        values = column(name)
        return float(values.max() if name in WORST else values.mean())

    ratios = column("ratio")
    ratios = ratios[np.isfinite(ratios)]
    lags = column("lags").mean(0)
    names = ("r", "rise", "z", "jerk", "jerk99", *WORST)
    return PooledEffect(
        **{name: pooled(name) for name in names},
        ratio=float(np.median(ratios)) if len(ratios) else float("nan"),
        rising=float((column("rise") > 0).mean()),
        lag=float(np.argmax(lags) - LAG_REACH_FRAMES) if strength else 0.0,
    )
