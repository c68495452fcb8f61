"""Measure loudness as ApoAvatar does: the RMS energy of the speech at each video frame.

ApoAvatar, "Audio-Pose Prior Refocusing": the RMS of a frame's speech is its prosodic intensity, and
decides how much of the pose prior is kept. The paper gives neither window nor scale. Here the
window is the video frame itself, and the scale is that of the speaker's own quiet and loud frames:

    RMS_t = sqrt(mean of x^2 over frame t)
    w_t = clip((RMS_t - q10) / (q95 - q10), 0, 1)

with the 10th and the 95th percentile of RMS while speaking. Both are differences of amplitudes, so
the gain of the recording does not matter. Nothing is smoothed.
"""

from __future__ import annotations

import numpy as np

QUIET_QUANTILE = 0.10
LOUD_QUANTILE = 0.95
TINY = 1e-9


def frame_rms(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Measure RMS (N,) under windows of `window` samples, centered on every `hop`-th sample.

    At the ends of the clip the mean is taken over the part of the window that lies inside.
    """
    count = len(samples)
    power = np.square(samples, dtype=np.float64)
    energy = np.zeros(count + 1)
    energy[1:] = np.cumsum(power)
    centers = np.arange(0, count + 1, hop)
    first = centers - window // 2
    last = first + window
    start = np.maximum(first, 0)
    stop = np.minimum(last, count)
    length = stop - start
    length = np.maximum(length, 1)
    total = energy[stop] - energy[start]
    mean = total / length
    return np.sqrt(mean)


def loudness_weight(rms: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Scale RMS (N,) to the weight w (N,) in [0, 1]; `active` (N,) bool tells when one speaks."""
    speaking = rms[active]
    quiet = np.quantile(speaking, QUIET_QUANTILE)
    loud = np.quantile(speaking, LOUD_QUANTILE)
    span = max(loud - quiet, TINY)
    weight = (rms - quiet) / span
    return np.clip(weight, 0.0, 1.0)
