"""One person cut out of a picture: alpha, colors, part shares, and windows of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.render.warp.anatomy import Part
from pipeline.render.warp.maps import push_pull
from pipeline.render.warp.part_shapes import draw_hand

OPAQUE = 0.9  # alpha above which a pixel shows the person alone
FINGER_HEAD_HEIGHTS = 0.12  # width of the band around a hand's bones that is the hand's alone
EDGE_SIGMA_PX = 0.7  # of a cut between two parts: two pixels wide, as a mask's edge is

# what is moved apart: the trunk, each arm, the legs
GROUPS = (
    (Part.HEAD, Part.TORSO),
    (Part.R_UPPER_ARM, Part.R_FOREARM, Part.R_HAND),
    (Part.L_UPPER_ARM, Part.L_FOREARM, Part.L_HAND),
    (Part.R_THIGH, Part.R_SHIN, Part.L_THIGH, Part.L_SHIN),
)
TRUNK, RIGHT_ARM, LEFT_ARM, LEGS = range(4)

Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels


@dataclass(frozen=True)
class Cutout:
    """A window of a picture and whose each of its pixels is.

    Args:
        color: (H, W, 3) of the person alone, in [0, 1].
        alpha: (H, W) the person's share of each pixel.
        shares: (12, H, W) of `Part`, adding up to 1.
        corner: (x, y) of the window in the picture, in pixels.
    """

    color: np.ndarray
    alpha: np.ndarray
    shares: np.ndarray
    corner: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.alpha.shape[0], self.alpha.shape[1]

    def window(self, box: Box) -> Cutout:
        """Return the part of the picture inside `box`."""
        top, bottom, left, right = box
        rows = slice(top, bottom)
        columns = slice(left, right)
        corner = (self.corner[0] + left, self.corner[1] + top)
        return Cutout(
            self.color[rows, columns],
            self.alpha[rows, columns],
            self.shares[:, rows, columns],
            corner,
        )

    @cached_property
    def owners(self) -> np.ndarray:
        """(H, W) row of GROUPS that each pixel belongs to most."""
        sums = []
        for parts in GROUPS:
            shares = self.shares[list(parts)]
            sums.append(shares.sum(0))
        return np.stack(sums).argmax(0)

    def outline(self, group: int) -> np.ndarray:
        """Return where (H, W) a row of GROUPS is, with an edge two pixels wide."""
        return blur(self.owners == group, EDGE_SIGMA_PX)

    def places(self) -> np.ndarray:
        """Return the centers (H, W, 2) of the window's pixels, in pixels of the whole picture."""
        height, width = self.size
        x = np.arange(width, dtype=np.float32) + self.corner[0] + 0.5
        y = np.arange(height, dtype=np.float32) + self.corner[1] + 0.5
        return np.stack(np.meshgrid(x, y), -1)


def box_of_region(region: np.ndarray, margin: int) -> Box | None:
    """Return the box of a region (H, W) bool with a margin in pixels; None if it is empty."""
    if not region.any():
        return None
    top, bottom = _span(region.any(1), margin)
    left, right = _span(region.any(0), margin)
    return top, bottom, left, right


def _span(line: np.ndarray, margin: int) -> tuple[int, int]:
    """Return start and end of what is true in a line (n,) bool, with a margin inside it."""
    places = np.flatnonzero(line)
    first = int(places[0])
    last = int(places[-1])
    return max(0, first - margin), min(len(line), last + 1 + margin)


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 below `low`, 1 above `high`, linear between."""
    share = (values - low) / (high - low)
    return share.clip(0, 1)


def blur(maps: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the Gaussian blur of a map (H, W)."""
    return cv2.GaussianBlur(maps.astype(np.float32), (0, 0), sigma_px)


def soft_cut(shares: np.ndarray) -> np.ndarray:
    """Return the outline where shares (H, W) pass one half, with an edge two pixels wide."""
    return blur(shares > 0.5, EDGE_SIGMA_PX)


def grow(region: np.ndarray, radius_px: int) -> np.ndarray:
    """Return a map (H, W) or region dilated by a square."""
    side = 2 * radius_px + 1
    kernel = np.ones((side, side), np.uint8)
    values = region.astype(np.uint8) if region.dtype == bool else region
    grown = cv2.dilate(values, kernel)
    return grown > 0 if region.dtype == bool else grown


def shrink(region: np.ndarray, radius_px: int = 1) -> np.ndarray:
    """Return a region (H, W) bool eroded by a square."""
    side = 2 * radius_px + 1
    kernel = np.ones((side, side), np.uint8)
    eroded = cv2.erode(region.astype(np.uint8), kernel)
    return eroded > 0


def smooth_within(values: np.ndarray, region: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return values (H, W) averaged over their region and carried on beyond it.

    Normalized convolution (Knutsson and Westin, 1993); three times as wide where the region is
    far.
    """
    weight = region.astype(np.float32)
    weighted = values.astype(np.float32) * weight
    near = blur(weight, sigma_px)
    average = blur(weighted, sigma_px) / np.maximum(near, 1e-6)
    far = blur(weight, 3 * sigma_px) + 1e-6
    wide = blur(weighted, 3 * sigma_px) / far
    return np.where(near > 0.02, average, wide)


def fill_from(color: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return colors (H, W, 3) where they are known (H, W) bool, filled smoothly elsewhere."""
    filled = push_pull(planes(color), planes(known.astype(np.float32)))
    return filled[0].permute(1, 2, 0).numpy()


def planes(array: np.ndarray) -> Tensor:
    """Return an array (H, W) or (H, W, C) as a tensor (1, C, H, W)."""
    stacked = array[..., None] if array.ndim == 2 else array
    first = stacked.transpose(2, 0, 1)
    single = np.ascontiguousarray(first, np.float32)
    return torch.from_numpy(single)[None]


def bones_of_hand(size: tuple[int, int], hand: np.ndarray, unit: float) -> np.ndarray:
    """Return where (H, W) bool a band around a hand's bones lies: no part but the hand is there.

    Args:
        size: (H, W) of the picture.
        hand: (21, 2) in pixels.
        unit: head height in pixels.
    """
    width = max(3, int(FINGER_HEAD_HEIGHTS * unit))
    return draw_hand(size, hand, width) > 0
