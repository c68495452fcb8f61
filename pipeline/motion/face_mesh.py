"""Find a head in space from the 468 points of its face mesh, and project the mesh of a moved head.

This is MediaPipe's face geometry and AniPortrait's projection, computed from the landmarks alone:
any detector with these 468 points will do. Space is in cm, x to the right of the image, y up, z
towards the viewer, with the camera in the origin. The mesh lives in a square crop of the picture,
as the published network saw faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator

from pipeline.motion.face_animation import BROW, LID_DOWN, LID_UP
from pipeline.values import InputError, Keypoints

VERTICES = 468
FIELD_OF_VIEW_DEG = 63  # vertical
FOCUS = 1 / np.tan(np.radians(FIELD_OF_VIEW_DEG / 2))
NEAR_CM = 1.0
FAR_CM = 10000.0
# A face is large above this share of the picture.
LARGE_FACE = 0.15
CROP_FACES = 1.5  # side of the crop around a small face, in faces

_FACE68 = (
    # jaw, the person's right to left
    "127 234 93 132 58,172 136 149,150 148,176 152 377,400 378,379 365 288,397 361 323 454 356 "
    "70 63 105 66 55,107 285,336 296 334 293 300 "  # brows
    "6,168 197 5 1,4 98 97 2 326 327 "  # nose
    "33 160 158 133 153 144 362 385 387 263 373 380 "  # eyes
    "61 39 37 0 267 269 291 321,405 314 17 84 91,181 "  # outer lip
    "78 82 13 312 308 317 14 87"  # inner lip
)
# 68 groups of one or two mesh points, each averaged
IBUG = tuple(tuple(int(i) for i in group.split(",")) for group in _FACE68.split())
FIRST_OF_IBUG = np.array([group[0] for group in IBUG])
LAST_OF_IBUG = np.array([group[-1] for group in IBUG])  # the first again where there is one
# Lids from the outer to the inner corner, the person's right eye first
UPPER_LIDS = np.array([246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398])
LOWER_LIDS = np.array([7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382])
EYE_CORNERS = np.array([[33, 133], [362, 263]])
BROWS = np.array(
    [46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336]
)


Crop = tuple[float, float, float, float]  # left, top, width and height in pixels


@dataclass(frozen=True)
class Geometry:
    """Hold the canonical head.

    `vertices` (468,3) cm; the points `ids` (N,) place it, with their `weights` (N,).
    """

    vertices: np.ndarray
    ids: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Head:
    """Hold one face in space.

    matrix: (4,4), canonical head -> camera.
    vertices: (468,3) cm, in the frame of the canonical head.
    size: (H,W) of the picture in pixels.
    crop: the part of the picture that the camera sees.
    """

    matrix: np.ndarray
    vertices: np.ndarray
    size: tuple[int, int]
    crop: Crop


def face68(mesh: np.ndarray) -> np.ndarray:
    """Return the 68 iBUG points (...,68,c) of mesh points (...,468 or more,c); two points are
    averaged."""
    first = mesh[..., FIRST_OF_IBUG, :]
    last = mesh[..., LAST_OF_IBUG, :]
    return (first + last) / 2


def square(landmarks: np.ndarray, size: tuple[int, int]) -> Crop:
    """Return AniPortrait's crop around landmarks (K,2 or more) in fractions of a picture of `size`
    (H,W).

    Where the face is large it is the square in the middle of the picture, else 1.5 faces around the
    face.
    """
    height, width = size
    points = landmarks[:VERTICES, :2]
    low = points.min(0)
    high = points.max(0)
    face = (high - low) * (width, height)
    if face.prod() >= LARGE_FACE * height * width:
        side = float(min(size))
        return (width - side) / 2, (height - side) / 2, side, side
    side = CROP_FACES * float(face.max())
    center = (low + high) / 2 * (width, height)
    left, top = center - side / 2
    return float(left), float(top), side, side


def locate(
    landmarks: np.ndarray, size: tuple[int, int], geometry: Geometry, crop: Crop | None = None
) -> Head:
    """Find the head that shows the landmarks of a picture (MediaPipe's face geometry).

    Two similarity fits of the canonical head find the scale of the depth, a third finds the place.

    Args:
        landmarks: (K,3) x, y and z as MediaPipe gives them: fractions of the picture, z in picture
            widths; the 468 mesh points come first.
        size: (H,W) of the picture in pixels.
        geometry: the canonical head.
        crop: the part of the picture that the camera sees; None for all of it.
    """
    if landmarks.ndim != 2 or len(landmarks) < VERTICES or landmarks.shape[1] != 3:
        raise InputError(f"a face mesh needs landmarks (468,3) or more, got {landmarks.shape}")
    if not np.isfinite(landmarks).all():
        raise InputError("the face mesh has landmarks that are not finite; detect the face anew")
    crop = crop or (0.0, 0.0, float(size[1]), float(size[0]))
    flat = _on_near_plane(landmarks[:VERTICES], size, crop)
    first = _canonical_scale(flat * (1, 1, -1), geometry)
    second = _canonical_scale(_unproject(flat, first), geometry)
    solid = _unproject(flat, first * second)
    matrix = _fit_head(solid, geometry)
    away = (solid - matrix[:3, 3]).T
    vertices = np.linalg.solve(matrix[:3, :3], away).T
    return Head(matrix, vertices, size, crop)


def _on_near_plane(landmarks: np.ndarray, size: tuple[int, int], crop: Crop) -> np.ndarray:
    """Return the landmarks (468,3) in cm on the near plane of the camera, with their depths."""
    left, top, width, height = crop
    pixels = landmarks.astype(np.float64) * (size[1], size[0], size[1])
    x, y, z = ((pixels - (left, top, 0)) / (width, height, width)).T
    tall = 2 * NEAR_CM / FOCUS  # what the camera sees at the near plane
    wide = tall * width / height
    return np.stack([(x - 0.5) * wide, (0.5 - y) * tall, z * wide], 1)


def _fit_head(points: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the similarity (4,4) that brings the canonical head nearest to points (468,3)."""
    canonical = geometry.vertices[geometry.ids]
    return similarity(canonical, points[geometry.ids], geometry.weights)


def _canonical_scale(points: np.ndarray, geometry: Geometry) -> float:
    """Return the size of points (468,3) over that of the canonical head."""
    first_column = _fit_head(points, geometry)[:3, 0]
    return float(np.linalg.norm(first_column))


def _unproject(flat: np.ndarray, scale: float) -> np.ndarray:
    """Bring points (468,3) on the near plane, with their depths, to camera space at 1 / scale."""
    depth = flat[:, 2:]
    distance = (depth - flat[:, 2].mean() + NEAR_CM) / scale
    return np.concatenate([flat[:, :2] * distance, -distance], 1)


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the (4,4) turn, scale and shift that bring source (N,3) nearest to target (N,3).

    Weighted Procrustes, closed form; weights (N,).
    """
    share = (weights / weights.sum())[:, None]
    center = (source * share).sum(0)
    around = (source - center) * share
    u, _, v = np.linalg.svd(target.T @ around)
    if np.linalg.det(u @ v) < 0:
        u[:, -1] *= -1
    turn = u @ v
    turned = around @ turn.T
    scale = (turned * target).sum() / (around * source).sum()
    linear = turn * scale
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    missing = target - source @ linear.T
    matrix[:3, 3] = (missing * share).sum(0)
    return matrix


def from_face68(face: np.ndarray, size: tuple[int, int], geometry: Geometry) -> np.ndarray:
    """Guess the landmarks (468,3), fractions, from 68 points (68,2): bend the canonical head to
    show them.

    This serves detectors without a mesh. The depth is the canonical one, at the size of the face,
    as if the face looked straight.
    """
    picture = np.array(size[::-1], float)
    flat = geometry.vertices * (1, -1, 1)
    canonical = face68(flat)[:, :2]
    shown = face * picture
    bend = RBFInterpolator(canonical, shown, kernel="thin_plate_spline", smoothing=1e-3)
    pixels = bend(flat[:, :2])
    shown_spread = np.linalg.norm(shown - shown.mean(0))
    canonical_spread = np.linalg.norm(canonical - canonical.mean(0))
    unit = shown_spread / canonical_spread
    depth = -flat[:, 2:] * unit / size[1]
    return np.concatenate([pixels / picture, depth], 1)


def project(head: Head, vertices: np.ndarray) -> np.ndarray:
    """Return the mesh points (T,468,2), fractions of the picture, of vertices (T,468,3)
    (AniPortrait)."""
    left, top, width, height = head.crop
    turn = head.matrix[..., :3, :3]
    place = head.matrix[..., None, :3, 3]
    space = vertices @ np.swapaxes(turn, -1, -2) + place
    distance = -space[..., 2:] * (FAR_CM / (FAR_CM - NEAR_CM))  # as the published matrix has it
    focus = np.array([FOCUS * height / width, -FOCUS])
    in_crop = (focus * space[..., :2] / distance + 1) / 2
    pixels = in_crop * (width, height) + (left, top)
    return pixels / (head.size[1], head.size[0])


def blink(vertices: np.ndarray, lids: np.ndarray, brow: np.ndarray) -> np.ndarray:
    """Close the lids and raise the brows of vertices (T,468,3) by (T,) shares.

    The movements are those of `face_animation` for 68 points.
    """
    moved = vertices.copy()
    upper = vertices[:, UPPER_LIDS]
    lower = vertices[:, LOWER_LIDS]
    travel = lids[:, None, None] * (lower - upper)
    moved[:, UPPER_LIDS] += LID_DOWN * travel
    moved[:, LOWER_LIDS] -= LID_UP * travel
    eyes = vertices[:, EYE_CORNERS].mean(2)
    eye_distance = np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1)
    moved[:, BROWS, 1] += BROW * brow[:, None] * eye_distance[:, None]
    return moved


def carry(
    mesh: np.ndarray, before: Keypoints, after: Keypoints, depth: np.ndarray | None = None
) -> np.ndarray:
    """Move a mesh as the 68 points of its face moved; NaN where the face is not seen.

    The map of each frame is the best linear map of the visible points and, where it is given, of
    their depth. It is exact for splicing, and for a head that is turned in that depth.

    Args:
        mesh: (T,468,2), fractions of the picture.
        before: the face, where the mesh lies.
        after: the face, where the mesh shall lie.
        depth: (468,) of the mesh points, or None.
    """
    if depth is None:
        depth = np.zeros(mesh.shape[1])
    depth68 = face68(depth[:, None])
    seen = before.visible & after.visible
    counted = seen[..., None]
    depths = np.broadcast_to(depth68, (*seen.shape, 1))
    ones = np.ones((*seen.shape, 1))
    points = np.concatenate([before.xy, depths], 2)
    points = np.concatenate([points, ones], 2) * counted
    linear = np.linalg.pinv(points) @ np.where(counted, after.xy, 0.0)
    by_depth = depth[:, None] * linear[:, None, 2]
    moved = mesh @ linear[:, :2] + by_depth + linear[:, None, 3]
    enough = seen.sum(1) >= 4
    return np.where(enough[:, None, None], moved, np.nan).astype(mesh.dtype)
