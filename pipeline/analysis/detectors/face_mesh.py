"""The 478 face mesh points of one person in a picture, by MediaPipe's bundled model, offline."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.analysis.detectors.mediapipe_graphs import mediapipe
from pipeline.analysis.detectors.stderr import quiet
from pipeline.motion.face_mesh import face68
from pipeline.values import Keypoints

SEARCH_FACES = 2.0  # side of the square in which the face is looked for, in sizes of the face
OTHER_FACE = 0.25  # mean distance, in sizes of the face, from which the mesh is somebody else's


def detect_face_mesh(image: np.ndarray, face: Keypoints) -> np.ndarray | None:
    """Detect the mesh (478,3) of the person whose 68 points (1,68) are given, or return None.

    x, y and z are MediaPipe's for the whole picture (H,W,3): fractions, z in picture widths. The
    last ten points are the irises. Raises InputError where mediapipe is not installed.
    """
    height, width = image.shape[:2]
    visible = face.visible[0]
    points = face.xy[0, visible] * (width, height)
    if len(points) < 2:
        return None
    face_size = float(np.ptp(points, axis=0).max())
    search_size = SEARCH_FACES * face_size
    corner = points.mean(0) - search_size / 2
    left, top = np.floor(corner).astype(int)
    side = max(1, round(search_size))
    landmarks = _run(_square(image, left, top, side))
    if landmarks is None:
        return None
    rows = [(p.x * side + left, p.y * side + top, p.z * side) for p in landmarks.landmark]
    mesh = np.array(rows)
    mesh_points = face68(mesh)[visible, :2]
    distances = np.linalg.norm(mesh_points - points, axis=1)
    if distances.mean() >= OTHER_FACE * face_size:
        return None
    return mesh / (width, height, width)


def _square(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """Cut a square out of the picture; what lies outside the picture is black."""
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    tile = np.zeros((side, side, 3), np.uint8)
    target = tile[max(-top, 0) :, max(-left, 0) :]
    target[: inside.shape[0], : inside.shape[1]] = inside
    return tile


def _run(tile: np.ndarray) -> Any | None:
    """Return MediaPipe's landmarks of the largest face in a picture, or None."""
    with quiet():
        graph = mediapipe().solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=1, refine_landmarks=True
        )
        try:
            faces = graph.process(tile).multi_face_landmarks
        finally:
            graph.close()
    return faces[0] if faces else None
