"""Which part of the person a pixel belongs to: a random walker with priors.

Grady, "Multilabel random walker image segmentation using prior models", CVPR 2005: from each pixel
a walker crosses to its 8 neighbors, more easily between like colors, or is absorbed by what the
priors (`part_priors`) expect there; a pixel's share in a part is the chance to end there. The
equations are solved on a small picture of the person alone; a guided filter (He, Sun, Tang, TPAMI
2013) draws the shares to the edges of the full picture.
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from pipeline.render.warp.anatomy import Anatomy, Part
from pipeline.render.warp.held_things import give_things
from pipeline.render.warp.part_priors import expect
from pipeline.render.warp.part_shapes import scaled
from pipeline.render.warp.pixel_graph import neighbor_weights

ROWS = 256  # of the picture that the equations are solved on
LIGHT_WEIGHT = 0.7  # lightness counts less than hue: folds and shadows are no borders
INSIDE = 0.15  # alpha from which on a pixel takes part
# A bilateral filter takes the weave out of cloth.
SMOOTH_DIAMETER_PX = 5
SMOOTH_COLOR = 0.05  # of the range [0, 1]
SMOOTH_PX = 2
TRUST = 0.012  # of the prior against the neighbors, whose weights are up to 1
LEAST_TRUST = 1e-6
LEAST_LIKELY = 1e-12
WIDTH = 0.07  # head heights over which a prior falls to a third
DEEPEST = -0.12  # head heights: further inside a shape it is no more likely
FORGET_FROM = 0.1  # head heights from all shapes from which on priors count less ...
FORGET_OVER = 0.2  # ... and over which they fall to a third
GUIDE_RADIUS_PX = 2  # in the small picture
GUIDE_EPSILON = 1e-4
SEEN_SHARE = 0.01  # a part with smaller shares is not there
# The parts whose shares are drawn to the picture's edges together.
GROUPS = (
    (Part.HEAD,),
    (Part.R_UPPER_ARM, Part.R_FOREARM, Part.R_HAND),
    (Part.L_UPPER_ARM, Part.L_FOREARM, Part.L_HAND),
    (Part.R_THIGH, Part.R_SHIN, Part.L_THIGH, Part.L_SHIN),
)


def cut_parts(picture: np.ndarray, alpha: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Return shares (12,H,W) float32 of a picture's parts; they sum to 1 everywhere.

    Outside the person a pixel has the shares of the nearest one inside.

    Args:
        picture: (H,W,3) float32 in [0, 1].
        alpha: (H,W) float32 in [0, 1].
        anatomy: the person's points in pixels of the picture.
    """
    small, small_alpha = shrunk(picture, alpha, ROWS)
    height, width = small_alpha.shape
    shares = walk(small, small_alpha, scaled(anatomy, (height, width)))
    return _enlarged(shares, picture)


def shrunk(picture: np.ndarray, alpha: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return picture and alpha with at most `rows` rows."""
    height, width = alpha.shape
    rows = min(rows, height)
    columns = max(2, round(width * rows / height))
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    small_alpha = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
    return small, small_alpha


def walk(picture: np.ndarray, alpha: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Return shares (12,h,w) of a small picture; the anatomy is in its pixels."""
    inside = alpha > INSIDE
    shares = np.zeros((len(Part), *alpha.shape), np.float32)
    if not inside.any():
        shares[Part.TORSO] = 1
        return shares
    lab = _features(picture)
    priors = expect(lab, alpha, anatomy)
    weights = neighbor_weights(lab, inside, anatomy.unit)
    shares[:, inside] = _solve(weights, priors.distances[:, inside], priors.seeds[:, inside])
    give_things(shares, inside, priors.distances, anatomy.unit)
    return _spread(shares, inside)


def _features(picture: np.ndarray) -> np.ndarray:
    """(h,w,3) smoothed Lab over 100, lightness lowered."""
    smooth = cv2.bilateralFilter(picture, SMOOTH_DIAMETER_PX, SMOOTH_COLOR, SMOOTH_PX)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB) / 100
    lab[..., 0] *= LIGHT_WEIGHT
    return lab


def _solve(weights: sparse.csr_matrix, distances: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(12,n) shares of n pixels from the (n,n) weights of neighbors and their priors (12,n)."""
    expected, trust = _expected(distances)
    possible = np.isfinite(distances)
    is_sure = seeds.any(0)
    shares = np.where(is_sure, seeds, expected).astype(np.float32)
    limbs = [part for part in Part if part != Part.TORSO and possible[part].any()]
    free = np.flatnonzero(~is_sure)
    if len(free):
        rows = weights[free]
        degree = rows @ np.ones(len(is_sure)) + trust[free]
        matrix = sparse.diags(degree) - rows[:, free]
        absorbed = shares[limbs][:, free] * trust[free]
        arrived = rows @ seeds[limbs].T.astype(np.float32)
        solver = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        found = solver.solve((absorbed.T + arrived).astype(float))
        shares[np.ix_(limbs, free)] = found.T
    shares[~possible] = 0
    return _with_torso(shares)


def _expected(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(12,n) shares that distances (12,n) speak for, and how much each pixel's prior counts."""
    depth = distances.clip(DEEPEST)
    likely = np.exp(-depth / WIDTH) + LEAST_LIKELY
    total = likely.sum(0)
    nearest = distances.min(0)
    beyond = nearest - FORGET_FROM
    trust = TRUST * np.exp(-beyond.clip(0) / FORGET_OVER)
    return likely / total, trust + LEAST_TRUST


def _with_torso(shares: np.ndarray) -> np.ndarray:
    """Give the torso of shares (12,...) what the others leave, so that they sum to 1."""
    shares = shares.clip(0, 1)
    shares[Part.TORSO] = 0
    total = shares.sum(0)
    shares[Part.TORSO] = (1 - total).clip(0)
    return shares / total.clip(1)


def _spread(shares: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give pixels outside the person the shares (12,h,w) of the nearest inside."""
    outside = (~inside).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(inside)
    index = np.zeros(labels.max() + 1, np.int32)
    index[labels[rows, columns]] = np.arange(len(rows))
    nearest = index[labels]
    return shares[:, rows[nearest], columns[nearest]]


def _enlarged(shares: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return shares (12,h,w) at the picture's size, drawn to its edges."""
    height, width = picture.shape[:2]
    scale = np.array([height, width]) / shares.shape[1:]
    full = np.zeros((len(shares), height, width), np.float32)
    for group in GROUPS:
        parts = [part for part in group if shares[part].max() > SEEN_SHARE]
        if parts:
            rows, columns = _window(shares[parts].max(0), scale, (height, width))
            guide = np.ascontiguousarray(picture[rows, columns])
            radius = max(1, round(GUIDE_RADIUS_PX * scale[0]))
            guided = cv2.ximgproc.createGuidedFilter(guide, radius, GUIDE_EPSILON)
            for part in parts:
                large = cv2.resize(shares[part], (width, height), interpolation=cv2.INTER_LINEAR)
                full[part, rows, columns] = guided.filter(large[rows, columns])
    return _with_torso(full)


def _window(share: np.ndarray, scale: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a picture of `size` around the places of a share (h,w) above 0."""
    places = np.argwhere(share > SEEN_SHARE)
    margin = 3 * GUIDE_RADIUS_PX
    first = places.min(0) - margin
    last = places.max(0) + margin
    start = np.floor(first * scale).clip(0)
    end = np.ceil(last * scale).clip(0, size)
    top, left = start.astype(int)
    bottom, right = end.astype(int)
    return slice(top, bottom), slice(left, right)
