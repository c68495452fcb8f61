"""The 478 face mesh points of one face, by the network that AniPortrait's own code uses."""

from __future__ import annotations

import numpy as np

from pipeline.analysis.detectors import holistic_networks, landmark_regions, regions
from pipeline.analysis.detectors.box_detectors import CLOSE_FACE_DETECTOR
from pipeline.analysis.detectors.detection import picture_size
from pipeline.analysis.detectors.holistic_networks import MESH_POINTS, sigmoid
from pipeline.analysis.detectors.regions import Region
from pipeline.motion.face_mesh import face68
from pipeline.values import Keypoints

NETWORK = "face_landmarks_detector"
SEARCH_FACES = 2.0  # side of the square in which the face is looked for, in sizes of the face
OTHER_FACE = 0.25  # mean distance, in sizes of the face, from which the mesh is somebody else's
MIN_FACE = 0.5  # presence of the face in its region


def detect_face_mesh(image: np.ndarray, face: Keypoints) -> np.ndarray | None:
    """Detect the mesh (478,3) of the person whose 68 points (1,68) are given, or return None.

    x, y and z are MediaPipe's for the whole picture (H,W,3): fractions, z in picture widths. The
    last ten points are the irises.
    """
    height, width = picture_size(image)
    visible = face.visible[0]
    points = face.xy[0, visible] * (width, height)
    if len(points) < 2:
        return None
    face_size = float(np.ptp(points, axis=0).max())
    x, y = points.mean(0)
    mesh = FaceMesh().see(image, Region(x, y, SEARCH_FACES * face_size))
    if mesh is None:
        return None
    mesh_points = face68(mesh)[visible, :2]
    distances = np.linalg.norm(mesh_points - points, axis=1)
    if distances.mean() >= OTHER_FACE * face_size:
        return None
    return mesh / (width, height, width)


class FaceMesh:
    """Looks at the largest face, first found and then followed from look to look."""

    def __init__(self) -> None:
        self._region: Region | None = None

    def see(self, image: np.ndarray, search: Region | None = None) -> np.ndarray | None:
        """Return the mesh (478,3) in pixels of a picture (H,W,3), z as x; None without a face.

        search: where a face is searched that is not followed yet; the whole picture by default.
        """
        if self._region is None:
            self._region = self._find(image, search or regions.whole(picture_size(image)))
        if self._region is None:
            return None
        region = self._region
        side = holistic_networks.side_of(NETWORK)
        picture = region.crop(image, side)
        numbers, presence, _ = holistic_networks.run(NETWORK, picture)
        if sigmoid(presence).item() <= MIN_FACE:
            self._region = None
            return None
        points = numbers.reshape(MESH_POINTS, 3) / side
        mesh = region.to_picture(points)
        flat_points = mesh[:, :2]
        self._region = landmark_regions.face_again(flat_points)
        return mesh

    def _find(self, image: np.ndarray, search: Region) -> Region | None:
        """Return where the best face of a region is."""
        faces = CLOSE_FACE_DETECTOR.find(image, search)
        if not faces:
            return None
        best = faces[0]
        right_eye, left_eye = best.key_points[:2]
        angle = regions.angle_between(right_eye, left_eye, regions.RIGHT)
        corners = best.points[:2]
        box = regions.box_of(corners, angle)
        return box.squared(landmark_regions.FACE_SCALE)
