"""FDA in training, APV-Gen eq. 2-8: a face clip's whole frame is shrunk and placed on black.

One map serves frames, key points, drawn skeletons and the loss mask. Per axis, x to the right and
y down, in fractions of the picture's sides, a point p goes to a p + b. The paper samples "frame by
frame"; here one draw holds for a whole clip, since a new draw per frame would make the face jump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from scipy.sparse import csr_array

from pipeline.values import InputError, Keypoints, Pose


@dataclass(frozen=True)
class PlacementLaw:
    """What placements are drawn from; the defaults are the paper's averages over TikTok clips.

    width_share, height_share: mean of a_x and a_y, the face region's share of the picture's sides.
    top: mean of b_y, from the picture's upper edge to the region's.
    delta: a_x, a_y and b_y are uniform within this distance of their means.
    """

    width_share: float = 0.5
    height_share: float = 0.35
    top: float = 0.1
    delta: float = 0.05

    def __post_init__(self) -> None:
        values = (self.width_share, self.height_share, self.top, self.delta)
        if not np.isfinite(values).all() or self.delta < 0:
            raise InputError(f"the placement law {self} holds a number that makes no sense")
        shares = (self.width_share, self.height_share)
        low = min(shares) - self.delta
        high = max(shares) + self.delta
        if low <= 0 or high > 1:
            raise InputError(
                f"the placement law draws scales from {low:g} to {high:g}; "
                "shares less and plus delta must lie in 0 to 1"
            )


PAPER = PlacementLaw()


@dataclass(frozen=True)
class Placement:
    """Where a frame lies in the picture: p goes to `scale` p + `offset`, each (2,) x and y.

    In fractions of the picture's width and height: a and b of eq. 2-5.
    """

    scale: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if values.shape != (2,) or not np.isfinite(values).all():
                raise ValueError(f"{name} needs two finite numbers, got {values}")
        if self.scale.min() <= 0:
            raise ValueError(f"scale must be positive, got {self.scale}")


def draw_placement(generator: np.random.Generator, law: PlacementLaw = PAPER) -> Placement:
    """Draw where a clip's frames go (APV-Gen eq. 2-5): one draw for all its frames.

    b_x is uniform over all places where the frame's width fits, 0 to 1 - a_x.
    """
    delta = law.delta
    width_share = law.width_share + generator.uniform(-delta, delta)
    height_share = law.height_share + generator.uniform(-delta, delta)
    half_room = (1 - width_share) / 2
    left = half_room + generator.uniform(-half_room, half_room)
    top = law.top + generator.uniform(-delta, delta)
    scale = np.array([width_share, height_share])
    offset = np.array([left, top])
    return Placement(scale, offset)


@overload
def place_points(points: Keypoints, placement: Placement) -> Keypoints: ...
@overload
def place_points(
    points: Pose, placement: Placement, size: tuple[int, int] | None = None
) -> Pose: ...
def place_points(
    points: Keypoints | Pose, placement: Placement, size: tuple[int, int] | None = None
) -> Keypoints | Pose:
    """Move key points with their picture (APV-Gen eq. 7); scores stay.

    Drawing what this returns gives the placed pose picture. Its lines are as thick as in a
    full-body clip's pose picture, and as at inference; a shrunk drawing would have thinner ones.

    Args:
        points: of the face clip's frames.
        placement: of the clip.
        size: (H,W) of the whole picture; becomes the pose's.
    """
    if isinstance(points, Keypoints):
        xy = points.xy * placement.scale + placement.offset
        return Keypoints(xy, points.score)
    body = place_points(points.body, placement)
    hands = place_points(points.hands, placement)
    face = place_points(points.face, placement)
    return Pose(body, hands, face, points.fps, size or points.size)


def place_frames(frames: np.ndarray, placement: Placement, size: tuple[int, int]) -> np.ndarray:
    """Shrink whole frames and place them on black (APV-Gen eq. 6), antialiased.

    Args:
        frames: (T,h,w,C) uint8, or float, which becomes float32.
        placement: of the clip.
        size: (H,W) of the returned (T,H,W,C).
    """
    count, source_height, source_width, channels = frames.shape
    height, width = size
    scale_x, scale_y = placement.scale
    left, top = placement.offset
    rows = _resampling(source_height, height, scale_y, top)
    columns = _resampling(source_width, width, scale_x, left)
    dtype = np.uint8 if frames.dtype == np.uint8 else np.float32
    placed = np.zeros((count, height, width, channels), dtype)
    for t, frame in enumerate(frames):
        source = frame.astype(np.float32)
        shrunk = _along_first_axis(rows, source)
        turned = shrunk.swapaxes(0, 1)
        picture = _along_first_axis(columns, turned)
        if dtype == np.uint8:
            picture = np.rint(picture)
            picture = np.clip(picture, 0, 255)
        placed[t] = picture.swapaxes(0, 1)
    return placed


def loss_mask(placement: Placement, size: tuple[int, int]) -> np.ndarray:
    """Place ones the size of the frame (APV-Gen eq. 8): w (H,W) float32, zero elsewhere.

    A pixel that the frame's edge crosses has the share of it that the frame covers.
    """
    height, width = size
    scale_x, scale_y = placement.scale
    left, top = placement.offset
    rows = _coverage(height, scale_y, top)
    columns = _coverage(width, scale_x, left)
    mask = np.outer(rows, columns)
    return mask.astype(np.float32)


def latent_mask(placement: Placement, grid: tuple[int, int]) -> np.ndarray:
    """Return w of eq. 8 on a latent grid (h,w): each cell's mean of the mask in pixels."""
    return loss_mask(placement, grid)


def _along_first_axis(matrix: csr_array, values: np.ndarray) -> np.ndarray:
    """Multiply an array's first axis by a matrix."""
    flat = values.reshape(len(values), -1)
    product = matrix @ flat
    return product.reshape(-1, *values.shape[1:])


def _coverage(pixels: int, scale: float, offset: float) -> np.ndarray:
    """Measure the share of each of an axis's pixels that the placed frame covers: (pixels,)."""
    edges = np.arange(pixels + 1) / pixels
    start = np.maximum(edges[:-1], offset)
    stop = np.minimum(edges[1:], offset + scale)
    lengths = np.clip(stop - start, 0, None)
    return lengths * pixels


def _resampling(source: int, pixels: int, scale: float, offset: float) -> csr_array:
    """Return the matrix (pixels, source) that places one axis of a frame.

    A pixel's center is looked up in the source. A tent as wide as two pixels of the coarser of both
    grids averages around it; a pixel on the frame's edge is as dark as black covers it.
    """
    coverage = _coverage(pixels, scale, offset)
    covered = np.flatnonzero(coverage)
    centers = (covered + 0.5) / pixels
    fractions = (centers - offset) / scale
    places = fractions * source - 0.5  # whole numbers are source pixels' centers
    places = np.clip(places, 0, source - 1)
    source_pixels_per_pixel = source / (scale * pixels)
    reach = max(1.0, source_pixels_per_pixel)
    farthest = math.ceil(reach)
    steps = np.arange(-farthest, farthest + 1)
    nearest = np.rint(places).astype(int)
    taps = nearest[:, None] + steps
    distances = np.abs(taps - places[:, None])
    weights = np.clip(1 - distances / reach, 0, None)
    is_outside = (taps < 0) | (taps >= source)
    weights[is_outside] = 0
    weights /= weights.sum(1, keepdims=True)
    weights *= coverage[covered, None]
    values = weights.ravel()
    values = values.astype(np.float32)
    out_pixels = np.repeat(covered, len(steps))
    in_pixels = np.clip(taps, 0, source - 1)
    places_in_matrix = (out_pixels, in_pixels.ravel())
    return csr_array((values, places_in_matrix), shape=(pixels, source))
