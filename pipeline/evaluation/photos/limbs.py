"""Read a limb off pictures: where it is seen, in how many pieces, what it left.

A limb is what changes when its points are taken away: that needs no knowledge of the renderer.
Pictures are (N,3,H,W) in [0, 1], masks (H,W) bool.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_CHANGE = 5 / 255  # a pixel that changes by more in a color belongs to the limb
CLOSING_PX = 5  # gaps up to this width inside a limb are chance equality of colors
SPECKLE = 12 / 255  # deviation; see `speckled`
SPECKLE_PX = 1.0  # deviation of the Gaussian that the speckle is smoothed with
OWN_CHANGE = 4 / 255  # mean over OWN_PX x OWN_PX up to which pixels are the photograph's own
OWN_PX = 5

Bone = tuple[complex, complex]


def speckled(image: Tensor) -> Tensor:
    """Add fixed gray noise, by which a limb is told from cloth of its own color.

    A white sleeve before a white shirt would otherwise be seen nowhere.
    """
    height, width = image.shape[2:]
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), SPECKLE_PX)
    speckle = torch.from_numpy(smooth).to(image)
    speckle *= SPECKLE / speckle.std()
    noisy = image + speckle
    return noisy.clamp(0, 1)


def changed(pictures: Tensor, others: Tensor) -> np.ndarray:
    """Return (N,H,W) where pictures differ from others, small gaps closed."""
    changes = (pictures - others).abs()
    largest_changes = changes.amax(1).numpy()
    kernel = _disc(CLOSING_PX // 2)
    masks = []
    for change in largest_changes:
        mask = change > LEAST_CHANGE
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
        masks.append(closed > 0)
    return np.stack(masks)


def pieces(mask: np.ndarray, least_px: float) -> int:
    """Count the connected pieces of a mask that have at least `least_px` pixels."""
    areas_px = _areas_px(mask)
    large = areas_px >= least_px
    return int(large.sum())


def largest(mask: np.ndarray) -> np.ndarray:
    """Keep the largest piece of a mask."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    areas_px = _areas_px(mask)
    if len(areas_px) == 0:
        return np.zeros_like(mask)
    best = 1 + areas_px.argmax()
    return labels == best


def _areas_px(mask: np.ndarray) -> np.ndarray:
    """Return the areas (n,) of the connected pieces of a mask."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    background = 0
    return np.delete(stats[:, cv2.CC_STAT_AREA], background)


def turned(mask: np.ndarray, center: complex, angle_rad: float) -> np.ndarray:
    """Turn a mask about a place x + iy in pixels, from x (right) to y (down)."""
    height, width = mask.shape
    gain = np.exp(1j * angle_rad)
    shift = center - gain * center
    matrix = np.array(
        [
            [gain.real, -gain.imag, shift.real],
            [gain.imag, gain.real, shift.imag],
        ]
    )
    levels = mask.astype(np.uint8)
    moved = cv2.warpAffine(levels, matrix, (width, height), flags=cv2.INTER_NEAREST)
    return moved > 0


def beyond(size: tuple[int, int], bones: Sequence[Bone]) -> np.ndarray:
    """Return (H,W) the pixels that lie nearer to the second of two bones than to the first."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    places = x + 1j * y
    near, far = bones
    return _distance(places, far) < _distance(places, near)


def _distance(places: np.ndarray, bone: Bone) -> np.ndarray:
    """Return the distances of places x + iy from a straight bone."""
    start, end = bone
    direction = end - start
    squared_length = max(abs(direction) ** 2, 1e-9)
    along = (places - start) * np.conj(direction)
    share = along.real / squared_length
    nearest = start + share.clip(0, 1) * direction
    return np.abs(places - nearest)


def grown(mask: np.ndarray, reach_px: int) -> np.ndarray:
    """Widen a mask by some pixels, or narrow it by a negative number of them."""
    levels = resized(mask.astype(np.uint8), reach_px)
    return levels > 0


def resized(levels: np.ndarray, reach_px: int) -> np.ndarray:
    """Widen the bright parts of a picture (H,W) by some pixels, or narrow them."""
    kernel = _disc(abs(reach_px))
    work = cv2.dilate if reach_px > 0 else cv2.erode
    return work(levels, kernel)


def _disc(radius_px: int) -> np.ndarray:
    side = 2 * radius_px + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def own(picture: Tensor, photo: Tensor) -> np.ndarray:
    """Return (H,W) where a picture (3,H,W) shows the photograph's own pixels in their place."""
    changes = (picture - photo).abs()
    gray = changes.mean(0, keepdim=True)
    margin = OWN_PX // 2
    means = F.avg_pool2d(gray, OWN_PX, 1, margin, count_include_pad=False)
    is_own = means.squeeze(0) <= OWN_CHANGE
    return is_own.numpy()
