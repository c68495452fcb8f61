"""The face mesh of a mouth under cloth: it moves with the jaw and does not open."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.analysis.covered_mouth import CLOTH_JAW, CLOTH_MOUTH, OUTER_LIPS
from pipeline.motion.face_mesh import face68
from pipeline.motion.keypoints import CHIN, NOSE_ROOT

# In widths of the mouth: the rim of lips that lies outside their outline, and how far around them
# the cloth moves as they do
LIP_RIM = 0.1
AROUND_LIPS = 0.3
UNDER_NOSE = 33


def mesh_under_cloth(mesh: np.ndarray, rest: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a talking mesh (T,468,2) as `covered_mouth.under_cloth` does with the 68 points.

    Args:
        mesh: fractions of the picture, in the place of the reference's face.
        rest: (468,2) the mesh of the silent face.
        size: (H,W) of the picture.
    """
    height, width = size
    pixels = rest * (width, height)
    face = face68(pixels)
    way = mesh - rest
    slower = CLOTH_JAW * way
    points = face68(slower)
    at_mouth = CLOTH_MOUTH * points[:, [CHIN]]
    mouth = _share_of_mouth(pixels, face)
    moved_lips = mouth * at_mouth
    moved_jaw = (1 - mouth) * slower
    under = moved_lips + moved_jaw
    cloth = _share_below_nose(pixels, face)
    free = (1 - cloth) * way
    moved = rest + cloth * under + free
    return moved.astype(mesh.dtype)


def _share_of_mouth(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return (n,1) how far points (n,2) belong to the lips of a face (68,2): 1 in them."""
    lips = face[list(OUTER_LIPS)]
    outline = lips.astype(np.float32)
    across = np.ptp(outline[:, 0])
    depths = []
    for x, y in points.tolist():
        depth = cv2.pointPolygonTest(outline, (x, y), True)
        depths.append(depth)
    outside = -np.array(depths) / across
    shares = 1 - (outside - LIP_RIM) / AROUND_LIPS
    limited = shares.clip(0, 1)
    return limited[:, None]


def _share_below_nose(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return (n,1) how far points (n,2) lie below the nose of a face (68,2): 0 at its root."""
    root = face[NOSE_ROOT]
    down = face[UNDER_NOSE] - root
    along = (points - root) @ down
    shares = along / (down @ down)
    limited = shares.clip(0, 1)
    return limited[:, None]
