"""The 468-point face mesh in space: where the head is, what it looks like, how it looks when it has moved.

MediaPipe's face geometry and AniPortrait's projection, computed from the landmarks alone, so that any
detector with these 468 points will do. Space: x to the image's right, y up, z towards the viewer, in cm, the
camera in the origin. The mesh of a picture lives in a square crop of it, as the published network saw faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator

from pipeline.motion.face_animation import BROW, LID_DOWN, LID_UP
from pipeline.values import InputError, Keypoints

VERTICES = 468
FOCUS = 1 / np.tan(np.radians(31.5))  # a vertical field of view of 63 degrees
NEAR = 1.0
FAR = 10000.0
# share of the picture above which a face is large; side of the crop in faces
LARGE_FACE = 0.15
ROOM = 1.5

_FACE68 = (
    # jaw, the person's right to left
    "127 234 93 132 58,172 136 149,150 148,176 152 377,400 378,379 365 288,397 361 323 454 356 "
    "70 63 105 66 55,107 285,336 296 334 293 300 "  # brows
    "6,168 197 5 1,4 98 97 2 326 327 "  # nose
    "33 160 158 133 153 144 362 385 387 263 373 380 "  # eyes
    "61 39 37 0 267 269 291 321,405 314 17 84 91,181 "  # outer lip
    "78 82 13 312 308 317 14 87"  # inner lip
)
# 68 groups of mesh points, each averaged
IBUG = tuple(tuple(int(i) for i in group.split(",")) for group in _FACE68.split())
# Lids from the outer to the inner corner, the person's right eye first
UPPER_LIDS = np.array([246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398])
LOWER_LIDS = np.array([7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382])
EYE_CORNERS = np.array([[33, 133], [362, 263]])
BROWS = np.array(
    [46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336]
)


@dataclass(frozen=True)
class Geometry:
    """The canonical head: `vertices` (468,3) cm; the points `ids` (N,) and `weights` (N,) that place it."""

    vertices: np.ndarray
    ids: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Head:
    """One face in space: `matrix` (4,4) canonical head -> camera, `vertices` (468,3) in the canonical frame.

    `size` (H,W) is the picture's, in pixels; `crop` is left, top, width and height of the part of it that the
    camera sees, in pixels.
    """

    matrix: np.ndarray
    vertices: np.ndarray
    size: tuple[int, int]
    crop: tuple[float, float, float, float]


def face68(mesh: np.ndarray) -> np.ndarray:
    """The 68 iBUG points (...,68,c) of mesh points (...,468 or more,c); two mesh points are averaged."""
    return np.stack([mesh[..., list(group), :].mean(-2) for group in IBUG], -2)


def square(landmarks: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, width and height in pixels of AniPortrait's crop around landmarks (K,>=2), fractions.

    Of a picture in which the face is large, the square in its middle; else 1.5 faces around the face.
    """
    low = landmarks[:VERTICES, :2].min(0)
    high = landmarks[:VERTICES, :2].max(0)
    height, width = size
    face = (high - low) * (width, height)
    if face.prod() >= LARGE_FACE * height * width:
        side = float(min(size))
        return (width - side) / 2, (height - side) / 2, side, side
    side = ROOM * float(face.max())
    left, top = (low + high) / 2 * (width, height) - side / 2
    return float(left), float(top), side, side


def locate(
    landmarks: np.ndarray,
    size: tuple[int, int],
    geometry: Geometry,
    crop: tuple[float, float, float, float] | None = None,
) -> Head:
    """The head that shows landmarks (K,3) of a picture of `size` (H,W) (MediaPipe's face geometry).

    landmarks: x, y and z as MediaPipe gives them: fractions of the picture, z in picture widths, the 468 mesh
    points first. The depth scale is found by two similarity fits of the canonical head, the place by a third.
    """
    if landmarks.ndim != 2 or len(landmarks) < VERTICES or landmarks.shape[1] != 3:
        raise InputError(f"a face mesh needs landmarks (468,3) or more, got {landmarks.shape}")
    if not np.isfinite(landmarks).all():
        raise InputError("the face mesh has landmarks that are not finite; detect the face anew")
    crop = crop or (0.0, 0.0, float(size[1]), float(size[0]))
    left, top, width, height = crop
    pixels = landmarks[:VERTICES].astype(np.float64) * (size[1], size[0], size[1])
    x, y, z = ((pixels - (left, top, 0)) / (width, height, width)).T
    tall = 2 * NEAR / FOCUS  # of what the camera sees at the near plane
    wide = tall * width / height
    flat = np.stack([(x - 0.5) * wide, (0.5 - y) * tall, z * wide], 1)
    first = _scale(flat * (1, 1, -1), geometry)
    second = _scale(_unproject(flat, first), geometry)
    solid = _unproject(flat, first * second)
    matrix = similarity(geometry.vertices[geometry.ids], solid[geometry.ids], geometry.weights)
    turn = matrix[:3, :3]
    place = matrix[:3, 3]
    return Head(matrix, np.linalg.solve(turn, (solid - place).T).T, size, crop)


def _scale(points: np.ndarray, geometry: Geometry) -> float:
    fit = similarity(geometry.vertices[geometry.ids], points[geometry.ids], geometry.weights)
    return float(np.linalg.norm(fit[:3, 0]))


def _unproject(flat: np.ndarray, scale: float) -> np.ndarray:
    """Points (468,3) on the near plane, with their depths, brought to camera space at 1 / scale."""
    depth = (flat[:, 2:] - flat[:, 2].mean() + NEAR) / scale
    return np.concatenate([flat[:, :2] * depth, -depth], 1)


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The (4,4) turn, scale and shift that bring source (N,3) nearest to target (weighted Procrustes)."""
    share = (weights / weights.sum())[:, None]
    centre = (source * share).sum(0)
    around = (source - centre) * share
    u, _, v = np.linalg.svd(target.T @ around)
    if np.linalg.det(u @ v) < 0:
        u[:, -1] *= -1
    turned = around @ (u @ v).T
    matrix = np.eye(4)
    matrix[:3, :3] = u @ v * ((turned * target).sum() / (around * source).sum())
    matrix[:3, 3] = ((target - source @ matrix[:3, :3].T) * share).sum(0)
    return matrix


def from_face68(face: np.ndarray, size: tuple[int, int], geometry: Geometry) -> np.ndarray:
    """Landmarks (468,3), fractions, guessed from 68 points (68,2): the canonical head bent to show them.

    For detectors without a mesh. Depth is the canonical one, at the face's size, as if it looked straight.
    """
    scale = np.array(size[::-1], float)
    flat = geometry.vertices * (1, -1, 1)
    own = face68(flat)[:, :2]
    shown = face * scale
    bend = RBFInterpolator(own, shown, kernel="thin_plate_spline", smoothing=1e-3)
    pixels = bend(flat[:, :2])
    unit = np.linalg.norm(shown - shown.mean(0)) / np.linalg.norm(own - own.mean(0))
    return np.concatenate([pixels / scale, -flat[:, 2:] * unit / size[1]], 1)


def project(head: Head, vertices: np.ndarray) -> np.ndarray:
    """Mesh points (T,468,2), fractions of the picture, of the head's vertices (T,468,3) (AniPortrait)."""
    left, top, width, height = head.crop
    matrix = head.matrix
    space = vertices @ np.swapaxes(matrix[..., :3, :3], -1, -2) + matrix[..., None, :3, 3]
    distance = -space[..., 2:] * (FAR / (FAR - NEAR))  # as the published matrix has it
    focus = np.array([FOCUS * height / width, -FOCUS])
    seen = (focus * space[..., :2] / distance + 1) / 2
    return (seen * (width, height) + (left, top)) / (head.size[1], head.size[0])


def blink(vertices: np.ndarray, lids: np.ndarray, brow: np.ndarray) -> np.ndarray:
    """Vertices (T,468,3) with lids closed and brows raised by (T,) shares, as `motion.face` does with 68."""
    out = vertices.copy()
    upper = vertices[:, UPPER_LIDS]
    lower = vertices[:, LOWER_LIDS]
    shut = lids[:, None, None] * (lower - upper)
    out[:, UPPER_LIDS] += LID_DOWN * shut
    out[:, LOWER_LIDS] -= LID_UP * shut
    eyes = vertices[:, EYE_CORNERS].mean(2)
    out[:, BROWS, 1] += (
        BROW * brow[:, None] * np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1)[:, None]
    )
    return out


def carry(
    mesh: np.ndarray, before: Keypoints, after: Keypoints, depth: np.ndarray | None = None
) -> np.ndarray:
    """The mesh (T,468,2), fractions, moved as the 68 points of its face moved from `before` to `after`.

    Per frame the best linear map of the visible points and, where `depth` (468,) is given, of their depth:
    exact for splicing, and for a head that is turned in that depth. NaN where the face is not seen.
    """
    depth = np.zeros(mesh.shape[1]) if depth is None else depth
    depth68 = face68(depth[:, None])
    seen = before.visible & after.visible
    points = np.concatenate([before.xy, np.broadcast_to(depth68, (*seen.shape, 1))], 2)
    points = np.concatenate([points, np.ones((*seen.shape, 1))], 2) * seen[..., None]
    linear = np.linalg.pinv(points) @ np.where(seen[..., None], after.xy, 0.0)
    out = mesh @ linear[:, :2] + depth[:, None] * linear[:, None, 2] + linear[:, None, 3]
    return np.where((seen.sum(1) >= 4)[:, None, None], out, np.nan).astype(mesh.dtype)
