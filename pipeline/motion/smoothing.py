"""Still the tremble of detected key points without softening gestures: zero-phase, offline, per
point.

    y = G x + k (x - G x),   k = 1 - exp(-(r / (LIMIT n))^4)

G is a Gaussian over time (a line through what is near, so that ends are not held back), r the local
RMS of what it takes away, n the point's own noise: the level that r has in the calmest fifth of the
clip, at most MAX_NOISE. Where G takes away more than noise, that is motion, and all of it is put
back. Measured at 25 frames/s, noise 0.006 shoulder widths (a detected wrist has 0.003 to 0.01),
wrist strokes there and back, half of the time at rest; "one euro" is MediaPipe's causal filter:

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

SIGMA_SECONDS = 0.1  # of G
LIMIT = 2.5  # times the noise: residuals of a still point stay below 1.5
NEAR_SECONDS = 0.06  # sigma of the window in which r is measured
CALM_SHARE = 0.2  # of the clip is taken as calm
MAX_NOISE = 0.02  # of the person's size: a point that never rests is not noise


def still(pose: Pose) -> Pose:
    """Still the tremble of every point; scores and missing points stay as they are."""
    if len(pose) < 3:
        return pose
    size = max(_person_size(pose), 1.0)
    return replace(
        pose,
        body=_still_points(pose.body, pose, size),
        hands=_still_points(pose.hands, pose, size),
        face=_still_points(pose.face, pose, size),
    )


def _person_size(pose: Pose) -> float:
    """Measure the median width of the shoulders in pixels, else take a tenth of the picture's
    height."""
    both_seen = pose.body.all_seen(SHOULDERS)
    if not both_seen.any():
        return pose.size[0] / 10
    body = pose.body.xy[both_seen] * pose.pixel_scale
    line = body[:, SHOULDERS[0]] - body[:, SHOULDERS[1]]
    width = np.linalg.norm(line, axis=1)
    return float(np.median(width))


def _still_points(points: Keypoints, pose: Pose, size: float) -> Keypoints:
    """Apply the formula above in units of `size` pixels."""
    present = points.score > 0
    if not present.any():
        return points
    seen = present[..., None]
    pixels = np.where(seen, points.xy, 0) * pose.pixel_scale
    xy = pixels / size
    smooth = _local_line(xy, seen, SIGMA_SECONDS * pose.fps)
    removed = np.where(seen, xy - smooth, 0)
    local_rms = _local_rms(removed, present, NEAR_SECONDS * pose.fps)
    noise = _noise_level(local_rms, present)
    limit = np.maximum(LIMIT * noise, 1e-9)
    put_back = 1 - np.exp(-((local_rms / limit) ** 4))
    still_xy = smooth + put_back[..., None] * removed
    fractions = still_xy * size / pose.pixel_scale
    return Keypoints(np.where(seen, fractions, points.xy), points.score)


def _local_rms(removed: np.ndarray, present: np.ndarray, sigma: float) -> np.ndarray:
    """Measure r (T,K) of the formula: the RMS near each frame of what is removed (T,K,2); 0 if none
    is."""
    squared = (removed**2).sum(2) / 2
    weight = _gaussian(present.astype(float), sigma)
    total = _gaussian(squared * present, sigma)
    mean = total / np.maximum(weight, 1e-9)
    return np.sqrt(np.where(weight > 1e-9, mean, 0))


def _noise_level(local_rms: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Measure n (K,) of the formula: the RMS in the calmest share of the clip, at most
    MAX_NOISE."""
    levels = np.where(present, local_rms, np.nan)
    never = ~present.any(0)
    levels[:, never] = 0
    noise = np.nanquantile(levels, CALM_SHARE, axis=0)
    return np.minimum(noise, MAX_NOISE)


def _local_line(values: np.ndarray, seen: np.ndarray, sigma: float) -> np.ndarray:
    """Evaluate, at every frame, the line (T,K,2) through the seen values near it, weighted by a
    Gaussian.

    Away from gaps this is the plain Gaussian mean; at their edges a mean would hold a moving point
    back.
    """
    frames = np.arange(len(values), dtype=float)
    time = frames[:, None, None]
    present = seen.astype(float)
    value = values * seen
    # Weighted moments of time about each frame (m0, m1, m2), and of value and value times time (y0,
    # y1).
    m0 = _gaussian(present, sigma)
    sum_time = _gaussian(time * present, sigma)
    m1 = sum_time - time * m0
    sum_squares = _gaussian(time**2 * present, sigma)
    m2 = sum_squares - 2 * time * sum_time + time**2 * m0
    y0 = _gaussian(value, sigma)
    y1 = _gaussian(time * value, sigma) - time * y0
    spread = m0 * m2 - m1**2
    sloped = spread > 1e-6 * m0**2  # else a single frame: no slope
    divisor = np.where(sloped, spread, 1.0)
    line = (m2 * y0 - m1 * y1) / divisor
    mean = y0 / np.maximum(m0, 1e-9)
    return np.where(sloped, line, mean)


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter1d(values, sigma, axis=0, mode="constant", truncate=3.0)
