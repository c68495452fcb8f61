"""Face placements sampled for training: FDA of APV-Gen, eq. 2-8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.curves import bridge
from pipeline.motion.fda import minimum_box
from pipeline.values import InputError, Keypoints


@dataclass(frozen=True)
class FacePlacement:
    """Where a training clip's face goes: `scale` (T,) about its box's centre, `shift` (T,2)
    fractions."""

    scale: np.ndarray
    shift: np.ndarray


SCALES = (
    0.15,
    1.0,
)  # a face of half the picture becomes that of a full-body shot, or stays (our choice)
DRIFT = 0.08  # relative change of the scale inside a clip, 1 sigma
WANDER = 0.02  # movement of the face's centre inside a clip, fractions, 1 sigma
SMOOTH = 12.0  # frames, sigma of the change over time


def sample(
    rng: np.random.Generator, frames: int, scales: tuple[float, float] = SCALES
) -> FacePlacement:
    """Returns a random placement of a clip's face (APV-Gen eq. 2-4): one scale per clip, changing
    slowly.

    The clip's scale is log-uniform in `scales`, the drift around it a smoothed random walk; the
    shift leaves more room the smaller the face becomes. The constants are ours.
    """
    if frames < 1 or not 0 < scales[0] <= scales[1]:
        raise InputError(
            f"sampling needs at least one frame and 0 < low <= high, got {frames} and {scales}"
        )
    base = np.exp(rng.uniform(*np.log(scales)))
    noise = gaussian_filter1d(rng.standard_normal((frames, 3)), SMOOTH, axis=0, mode="nearest")
    noise *= np.sqrt(2 * SMOOTH * np.sqrt(np.pi))  # back to unit variance after smoothing
    scale = np.clip(base * np.exp(DRIFT * np.clip(noise[:, 0], -3, 3)), *scales)
    room = 0.25 * (1 - base)
    shift = rng.uniform(-room, room, 2) + WANDER * np.clip(noise[:, 1:], -3, 3)
    return FacePlacement(scale, shift)


def warp(
    points: Keypoints, placement: FacePlacement, face: Keypoints
) -> tuple[Keypoints, np.ndarray, np.ndarray]:
    """Returns the warped points, and a (T,2), b (T,2) for the pictures: x' = a x + b (APV-Gen eq.
    5-7).

    The map scales about the centre of the visible face's box. Frames without a face take their
    neighbours' centre, or the middle of the picture when the clip shows no face at all.
    """
    if not len(points) == len(face) == len(placement.scale):
        raise InputError(
            f"warping needs as many frames of points, face and placement, got {len(points)}, "
            f"{len(face)} and {len(placement.scale)}"
        )
    low, high = minimum_box(face.xy, face.visible)
    seen = face.visible.any(1)
    centre, _ = bridge((low + high) / 2, seen, len(seen))
    centre = centre if seen.any() else np.full_like(centre, 0.5)
    a = np.repeat(placement.scale[:, None], 2, 1)
    b = centre * (1 - a) + placement.shift
    return Keypoints(points.xy * a[:, None] + b[:, None], points.score), a, b


def mask(face: Keypoints, grid: tuple[int, int], margin: float = 0.1) -> np.ndarray:
    """Returns (T,h,w) float32, the share of each latent cell in the face's box (APV-Gen eq. 8), 0
    to 1.

    The box is widened by `margin` of its sides. It weights the loss when only the face of a clip is
    real.
    """
    low, high = minimum_box(face.xy, face.visible & np.isfinite(face.xy).all(2))
    pad = margin * (high - low)
    covers = []
    for axis, cells in ((1, grid[0]), (0, grid[1])):
        edges = np.arange(cells + 1) / cells
        start = np.maximum(edges[:-1], (low - pad)[:, axis, None])
        stop = np.minimum(edges[1:], (high + pad)[:, axis, None])
        covers.append(np.clip(stop - start, 0, None) * cells)
    return (covers[0][:, :, None] * covers[1][:, None, :]).astype(np.float32)
