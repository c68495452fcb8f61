"""What a speech network predicts, on the reference's own face: one function, one case per kind of prediction.

Every audio2pose component offers `predict(audio, fps, frames)`; its value says how it becomes 68 points.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

import numpy as np

from pipeline import ROOT
from pipeline.analysis.detectors import face_mesh as facemesh
from pipeline.models.aniportrait import MeshMotion
from pipeline.models.audio2pose import FaceMotion
from pipeline.motion import face_animation, face_mesh
from pipeline.motion.gestures.head import HeadMotion
from pipeline.values import InputError, Keypoints, Pose

BLOCK = 1000  # frames whose meshes are projected at a time: 11 MB each in double precision
GEOMETRY = ROOT / "assets" / "face_geometry.npz"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpokenFace:
    """A speaking face in the reference's own place.

    points: (T,68). tokens: (T,n,d) speech features. mesh: (T,468,2) float32 fractions, or None.
    """

    points: Keypoints
    tokens: np.ndarray
    mesh: np.ndarray | None = None

    def mesh_at(self, face: Keypoints) -> np.ndarray | None:
        """The mesh (T,468,2) where the 68 points went: spliced into a driving head, or turned with the head.

        Exact for the splice of a whole face; of a splice of lips alone it follows the mixed face.
        """
        if self.mesh is None:
            return None
        depth = geometry().vertices[:, 2]
        parts = [
            face_mesh.carry(self.mesh[b], self.points[b], face[b], depth)
            for b in _blocks(len(face))
        ]
        return np.concatenate(parts)


@functools.singledispatch
def on_face(
    spoken: object, reference: Pose, head: HeadMotion, amplitude: float, picture: np.ndarray | None
) -> SpokenFace:
    """The prediction on the face of `reference` (one frame), with the blinks and brows of `head`.

    amplitude scales the movement. picture (H,W,3) shows the reference; None = only its points are known.
    """
    raise TypeError(f"a prediction of type {type(spoken).__name__} cannot be put on a face")


@on_face.register(FaceMotion)
def _(
    spoken: FaceMotion,
    reference: Pose,
    head: HeadMotion,
    amplitude: float,
    picture: np.ndarray | None,
) -> SpokenFace:
    shape = reference.face.xy[0]
    moved = face_animation.animate(
        shape, reference.size, spoken.params, head.blink, head.brow, amplitude
    )
    score = np.broadcast_to(reference.face.score, moved.score.shape)
    return SpokenFace(Keypoints(moved.xy, np.minimum(moved.score, score)), spoken.tokens)


@on_face.register(MeshMotion)
def _(
    spoken: MeshMotion,
    reference: Pose,
    head: HeadMotion,
    amplitude: float,
    picture: np.ndarray | None,
) -> SpokenFace:
    """The detector's own 68 points are moved as far as the mesh's: both agree where nothing is said."""
    if not (np.isfinite(amplitude) and amplitude >= 0):
        raise InputError(f"mouth amplitude must be 0 or more, got {amplitude}")
    own = _reference_head(reference, picture)
    rest = face_mesh.face68(face_mesh.project(own, own.vertices[None]))
    mesh, moved = [], []
    for rows in _blocks(len(spoken.offsets)):
        vertices = own.vertices + amplitude * spoken.offsets[rows].astype(np.float64)
        vertices = face_mesh.blink(vertices, head.blink[rows], head.brow[rows])
        seen = face_mesh.project(own, vertices)
        mesh.append(seen.astype(np.float32))
        moved.append(reference.face.xy + face_mesh.face68(seen) - rest)
    xy = np.concatenate(moved)
    score = np.broadcast_to(reference.face.score, xy.shape[:2])
    return SpokenFace(Keypoints(xy, score.copy()), spoken.tokens, np.concatenate(mesh))


def _reference_head(reference: Pose, picture: np.ndarray | None) -> face_mesh.Head:
    """The reference's head in space, from the mesh that is found in its picture, else from its 68 points."""
    found = None
    if picture is not None:
        try:
            found = facemesh.landmarks(picture, reference.face)
        except ValueError as error:  # no mediapipe: the points of another detector must do
            log.warning("the reference's face mesh is guessed from its 68 points: %s", error)
    if found is None:
        found = face_mesh.from_face68(reference.face.xy[0], reference.size, geometry())
    return face_mesh.locate(
        found, reference.size, geometry(), face_mesh.square(found, reference.size)
    )


@functools.cache
def geometry() -> face_mesh.Geometry:
    """The canonical head of MediaPipe's face geometry (Google, Apache-2.0: assets/LICENSES.md)."""
    with np.load(GEOMETRY, allow_pickle=False) as file:
        return face_mesh.Geometry(
            file["vertices"].astype(np.float64), file["ids"], file["weights"].astype(float)
        )


def _blocks(frames: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, frames, BLOCK)]
