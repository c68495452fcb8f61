"""Stills the tremble of detected key points without softening gestures: zero-phase, offline, per point.

    y = G x + k (x - G x),   k = 1 - exp(-(r / (LIMIT n))^4)

G is a Gaussian over time (a line through what is near, so that ends are not held back), r the local RMS of
what it takes away, n the point's own noise: the level that r has in the calmest fifth of the clip, at most
MOST_NOISE. Where G takes away more than noise, that is motion, and all of it is put back. Measured at 25
frames/s, noise 0.006 shoulder widths (a detected wrist has 0.003 to 0.01), wrist strokes there and back, half
of the time at rest; "one euro" is MediaPipe's causal filter:

    tremble left at rest     change of a stroke's peak, 0.3 widths     of 0.1 widths
                             120 ms   160 ms   240 ms   400 ms         160 ms   240 ms   400 ms
    none         1.00         0.4 %    0.4 %    0.4 %   -0.1 %          1.1 %    1.1 %   -0.3 %
    this         0.35         0.4      0.4      0.4     -0.1            1.1      0.9     -7.4
    one euro     0.36        -6.8     -4.5     -2.6     -0.8          -14.6     -9.6     -4.1
    Gaussian     0.38       -45.1    -34.7    -20.7     -8.8          -34.5    -20.5     -8.7

(ms: from rest to peak; Gaussian: 80 ms. `tests/motion/test_smoothing.py` measures it again.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.keypoints import SHOULDERS
from pipeline.values import Keypoints, Pose

SECONDS = 0.1  # sigma of G
LIMIT = 2.5  # times the noise: residuals of a still point stay below 1.5
NEAR_SECONDS = 0.06  # sigma of the window in which r is measured
CALM = 0.2  # share of the clip taken as calm
MOST_NOISE = 0.02  # of the person's size: a point that never rests is not noise


def still(pose: Pose) -> Pose:
    """Returns the pose with its tremble stilled; scores and missing points stay as they are."""
    if len(pose) < 3:
        return pose
    size = _size(pose)
    parts = {name: _stilled(getattr(pose, name), pose, size) for name in ("body", "hands", "face")}
    return replace(pose, **parts)


def _size(pose: Pose) -> float:
    """Median width of the shoulders in pixels, or a tenth of the picture's height where they are not seen."""
    pixels = pose.body.xy[:, SHOULDERS] * np.array([pose.size[1], pose.size[0]])
    both = pose.body.visible[:, SHOULDERS].all(1)
    width = np.linalg.norm(pixels[both, 0] - pixels[both, 1], axis=1)
    return float(np.median(width)) if both.any() else pose.size[0] / 10


def _stilled(points: Keypoints, pose: Pose, size: float) -> Keypoints:
    seen = points.score > 0
    if not seen.any():
        return points
    xy = (
        np.where(seen[..., None], points.xy, 0)
        * np.array([pose.size[1], pose.size[0]])
        / max(size, 1.0)
    )
    smooth = _line(xy, seen[..., None], SECONDS * pose.fps)
    away = np.where(seen[..., None], xy - smooth, 0)
    near = np.sqrt(_mean((away**2).sum(2) / 2, seen, NEAR_SECONDS * pose.fps))
    ordered = np.where(seen, near, np.nan)
    ordered[:, ~seen.any(0)] = 0
    noise = np.minimum(np.nanquantile(ordered, CALM, axis=0), MOST_NOISE)
    keep = 1 - np.exp(-((near / np.maximum(LIMIT * noise, 1e-9)) ** 4))
    pixels = (
        (smooth + keep[..., None] * away) * max(size, 1.0) / np.array([pose.size[1], pose.size[0]])
    )
    return Keypoints(np.where(seen[..., None], pixels, points.xy), points.score)


def _mean(values: np.ndarray, seen: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean over time of the seen values; 0 where there is none near."""
    weight, total = _gauss(seen.astype(float), sigma), _gauss(values * seen, sigma)
    return np.where(weight > 1e-9, total / np.maximum(weight, 1e-9), 0)


def _line(values: np.ndarray, seen: np.ndarray, sigma: float) -> np.ndarray:
    """Height (T,K,2) at every frame of the line through the seen values near it, weighted by a Gaussian.

    Away from gaps this is the plain Gaussian mean; at their edges a mean would hold a moving point back.
    """
    t = np.arange(len(values), dtype=float)[:, None, None]
    one, value = seen.astype(float), values * seen
    m0, y0 = _gauss(one, sigma), _gauss(value, sigma)
    s1 = _gauss(t * one, sigma)
    m1, y1 = s1 - t * m0, _gauss(t * value, sigma) - t * y0
    m2 = _gauss(t**2 * one, sigma) - 2 * t * s1 + t**2 * m0
    spread = m0 * m2 - m1**2
    sloped = spread > 1e-6 * m0**2  # else a single frame: no slope
    line = (m2 * y0 - m1 * y1) / np.where(sloped, spread, 1.0)
    return np.where(sloped, line, y0 / np.maximum(m0, 1e-9))


def _gauss(values: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter1d(values, sigma, axis=0, mode="constant", truncate=3.0)
