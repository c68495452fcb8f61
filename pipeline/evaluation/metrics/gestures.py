"""Measure on key points how the wrists of one motion follow its speech, without any weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.metrics.correlation import intensity_correlation
from pipeline.motion.keypoints import L_SHOULDER, NECK, R_SHOULDER, SHOULDERS, WRISTS
from pipeline.values import InputError, Motion, Pose

ACCENT_EXCITATION = 0.3  # from here on a frame belongs to an accent
PAUSE_EXCITATION = -0.6  # under this it belongs to a pause
REST_WEIGHT = 0.15  # of a frame at full excitation, so that speech without pauses has a rest, too


class Wrists(NamedTuple):
    """Wrists over time: places (T, 2 wrists, 2) in shoulder widths, and whether seen (T, 2)."""

    places: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Figures:
    """One motion against its speech.

    Args:
        correlation: Pearson's r of wrist speed and intensity.
        z: Its distance from circular shifts, in their deviations.
        ratio: Median distance of the wrists from rest at accents over that in pauses.
        jerk: Mean of the wrists' third differences in shoulder widths.
        jerk99: Their 99th percentile.
    """

    correlation: float
    z: float
    ratio: float
    jerk: float
    jerk99: float


def body_pixels(pose: Pose) -> np.ndarray:
    """Return the body's points (T, 18, 2) in pixels."""
    height, width = pose.size
    return pose.body.xy * np.array([width, height])


def wrists(pose: Pose) -> Wrists:
    """Return the wrists in units of the clip's median shoulder width.

    Raises InputError where no frame shows both shoulders.
    """
    pixels = body_pixels(pose)
    if not pose.body.visible[:, SHOULDERS].all(1).any():
        raise InputError(
            "no frame shows both shoulders, so wrist motion has no scale; choose another clip"
        )
    width = _shoulder_width(pose, pixels)
    return Wrists(pixels[:, WRISTS] / max(width, 1e-6), pose.body.visible[:, WRISTS])


def wrists_from_neck(pose: Pose) -> Wrists:
    """Return the wrists against the neck; a wrist counts as seen where the neck is seen, too."""
    places, visible = wrists(pose)
    pixels = body_pixels(pose)
    width = _shoulder_width(pose, pixels)
    neck = pixels[:, NECK, None] / max(width, 1e-6)
    return Wrists(places - neck, visible & pose.body.visible[:, NECK, None])


def _shoulder_width(pose: Pose, pixels: np.ndarray) -> float:
    """Return the median distance of the shoulders in pixels over the frames that show both."""
    both = pose.body.visible[:, SHOULDERS].all(1)
    across = pixels[both, R_SHOULDER] - pixels[both, L_SHOULDER]
    return np.median(np.linalg.norm(across, axis=1))


def speed(pose: Pose) -> np.ndarray:
    """Return the mean speed (T,) of the seen wrists in shoulder widths a second.

    The differences are central; the first and the last are one-sided.
    """
    places, visible = wrists(pose)
    if len(places) < 2:
        return np.zeros(len(places))
    steps = np.linalg.norm(np.diff(places, axis=0), axis=2) * pose.fps
    both = visible[1:] & visible[:-1]
    mean = (steps * both).sum(1) / np.maximum(both.sum(1), 1)
    padded = np.concatenate([mean[:1], mean, mean[-1:]])
    return (padded[1:] + padded[:-1]) / 2


def rest(pose: Pose, excitation: np.ndarray) -> np.ndarray:
    """Return the mean place (2 wrists, 2) from the neck, weighted by how quiet the speech is."""
    places, visible = wrists_from_neck(pose)
    quietness = np.maximum(-excitation, 0)
    weight = (visible * (REST_WEIGHT + quietness)[:, None])[..., None]
    return (places * weight).sum(0) / np.maximum(weight.sum(0), 1e-9)


def amplitude(pose: Pose, home: np.ndarray) -> np.ndarray:
    """Return the mean distance (T,) of the seen wrists from `home` (2, 2), NaN without wrists."""
    places, visible = wrists_from_neck(pose)
    distances = np.linalg.norm(places - home, axis=2) * visible
    mean = distances.sum(1) / np.maximum(visible.sum(1), 1)
    return np.where(visible.any(1), mean, np.nan)


def filled_amplitude(pose: Pose, home: np.ndarray) -> np.ndarray:
    """Return `amplitude` with the clip's mean, which weighs nothing, where no wrist is seen."""
    distances = amplitude(pose, home)
    return np.where(np.isfinite(distances), distances, np.nanmean(distances))


def accent_ratio(distances: np.ndarray, excitation: np.ndarray) -> float:
    """Return the median at accents over that in pauses; NaN where the speech lacks either."""
    at_accents = distances[excitation > ACCENT_EXCITATION]
    in_pauses = distances[excitation < PAUSE_EXCITATION]
    if not (np.isfinite(at_accents).any() and np.isfinite(in_pauses).any()):
        return float("nan")
    return float(np.nanmedian(at_accents) / max(np.nanmedian(in_pauses), 1e-6))


def jerk(pose: Pose) -> np.ndarray:
    """Return the wrists' third differences in shoulder widths, of all four frames that show one."""
    places, visible = wrists(pose)
    four_visible = visible[3:] & visible[2:-1] & visible[1:-2] & visible[:-3]
    thirds = np.diff(places, 3, axis=0)
    return np.linalg.norm(thirds, axis=2)[four_visible]


def figures(motion: Motion, home: np.ndarray | None = None) -> Figures:
    """Measure one motion; `home` is the wrists' rest, by default this motion's own."""
    pose = motion.pose
    if home is None:
        home = rest(pose, motion.excitation)
    follows = intensity_correlation(speed(pose), motion.intensity, pose.fps)
    ratio = accent_ratio(amplitude(pose, home), motion.excitation)
    thirds = jerk(pose)
    if not len(thirds):
        return Figures(follows.r, follows.z, ratio, 0.0, 0.0)
    mean = float(thirds.mean())
    high = float(np.quantile(thirds, 0.99))
    return Figures(follows.r, follows.z, ratio, mean, high)
