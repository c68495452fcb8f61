"""The 478 face mesh points of one person in a picture, by MediaPipe's bundled model, offline."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.analysis.detectors.mediapipe_graphs import mediapipe
from pipeline.analysis.detectors.stderr import quiet
from pipeline.motion.face_mesh import face68
from pipeline.values import Keypoints

ROOM = 2.0  # side of the part of the picture in which the face is looked for, in faces
APART = 0.25  # mean distance, in face sizes, from which the mesh is somebody else's


def landmarks(image: np.ndarray, face: Keypoints) -> np.ndarray | None:
    """Mesh points (478,3) of the person whose 68 points (1,68) are given, or None where no mesh is found.

    x, y and z as MediaPipe gives them for the whole picture (H,W,3): fractions, z in picture widths; the last
    ten are the irises. Raises ValueError where mediapipe is not installed.
    """
    height, width = image.shape[:2]
    seen = face.xy[0, face.visible[0]] * (width, height)
    if len(seen) < 2:
        return None
    size = float(np.ptp(seen, axis=0).max())
    left, top = np.floor(seen.mean(0) - ROOM * size / 2).astype(int)
    side = max(1, round(ROOM * size))
    found = _run(_cut(image, left, top, side))
    if found is None:
        return None
    mesh = np.array([(p.x * side + left, p.y * side + top, p.z * side) for p in found.landmark])
    apart = np.linalg.norm(face68(mesh)[face.visible[0], :2] - seen, axis=1).mean()
    return mesh / (width, height, width) if apart < APART * size else None


def _cut(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """A square of the picture; what lies outside of it is black."""
    height, width = image.shape[:2]
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    tile = np.zeros((side, side, 3), np.uint8)
    tile[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return tile


def _run(tile: np.ndarray) -> Any | None:
    """MediaPipe's landmarks of the largest face in a picture, or None."""
    with quiet():
        graph = mediapipe().solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=1, refine_landmarks=True
        )
        try:
            found = graph.process(tile).multi_face_landmarks
        finally:
            graph.close()
    return found[0] if found else None
