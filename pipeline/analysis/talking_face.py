"""Put what a speech network predicts on the reference's own face.

Every speech network offers `predict(audio, fps, frames)`. The type of its prediction decides how it
becomes 68 points: `put_on_face` has one case per type.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline import ROOT
from pipeline.analysis.detectors.face_mesh import detect_face_mesh
from pipeline.models.aniportrait import MeshMotion
from pipeline.models.audio2pose import FaceMotion
from pipeline.motion import face_animation, face_mesh
from pipeline.motion.gestures.head import HeadMotion
from pipeline.values import Audio, InputError, Keypoints, Pose

BLOCK_FRAMES = 1000  # meshes projected at a time: 11 MB each array in double precision
GEOMETRY_FILE = ROOT / "assets" / "face_geometry.npz"

log = logging.getLogger(__name__)


class SpeechNetwork(Protocol):
    """A network that predicts a face from speech."""

    def predict(self, audio: Audio, fps: float, frames: int) -> FaceMotion | MeshMotion:
        """Predict the face of `frames` video frames at `fps`."""


@dataclass(frozen=True)
class TalkingFace:
    """A face that speaks, in the place that it has in the reference image.

    points: (T,68). tokens: (T,n,d) speech features. mesh: (T,468,2) float32 fractions, or None.
    rest_mesh: (468,2), where the mesh of a silent face lies; None without a mesh.
    """

    points: Keypoints
    tokens: np.ndarray
    mesh: np.ndarray | None = None
    rest_mesh: np.ndarray | None = None

    def mesh_at(self, face: Keypoints) -> np.ndarray | None:
        """Move the mesh (T,468,2) to where the 68 points went: into a driving head, or with a turn.

        Exact where the whole face was spliced; where only the lips were, the mesh follows the mixed
        face.
        """
        if self.mesh is None:
            return None
        depth = geometry().vertices[:, 2]
        parts = []
        for rows in _blocks(len(face)):
            part = face_mesh.carry(self.mesh[rows], self.points[rows], face[rows], depth)
            parts.append(part)
        return np.concatenate(parts)


def predict_face(
    network: SpeechNetwork,
    audio: Audio,
    reference: Pose,
    head: HeadMotion,
    amplitude: float,
    picture: np.ndarray | None,
) -> TalkingFace:
    """Predict the face from the speech and put it on the reference's.

    Args:
        network: the speech network.
        audio: the speech.
        reference: the reference's pose, one frame, at the frame rate of the result.
        head: blinks and brows; the result has as many frames.
        amplitude: factor on the movement of the mouth.
        picture: (H,W,3) uint8, the reference image; None where only its points are known.
    """
    frames = len(head.blink)
    prediction = network.predict(audio, reference.fps, frames)
    return put_on_face(prediction, reference, head, amplitude, picture)


@functools.singledispatch
def put_on_face(
    prediction: object,
    reference: Pose,
    head: HeadMotion,
    amplitude: float,
    picture: np.ndarray | None,
) -> TalkingFace:
    """Put a prediction on the face of `reference`; the arguments are those of `predict_face`."""
    raise TypeError(f"a prediction of type {type(prediction).__name__} cannot be put on a face")


@put_on_face.register(FaceMotion)
def _(
    prediction: FaceMotion,
    reference: Pose,
    head: HeadMotion,
    amplitude: float,
    picture: np.ndarray | None,
) -> TalkingFace:
    rest = reference.face.xy[0]
    animated = face_animation.animate(
        rest, reference.size, prediction.params, head.blink, head.brow, amplitude
    )
    reference_score = np.broadcast_to(reference.face.score, animated.score.shape)
    score = np.minimum(animated.score, reference_score)
    return TalkingFace(Keypoints(animated.xy, score), prediction.tokens)


@put_on_face.register(MeshMotion)
def _(
    prediction: MeshMotion,
    reference: Pose,
    head: HeadMotion,
    amplitude: float,
    picture: np.ndarray | None,
) -> TalkingFace:
    """Move the detector's 68 points as far as the mesh moves.

    In silence both stay where they are.
    """
    if not (np.isfinite(amplitude) and amplitude >= 0):
        raise InputError(f"mouth amplitude must be 0 or more, got {amplitude}")
    reference_head = _locate_head(reference, picture)
    rest_mesh = face_mesh.project(reference_head, reference_head.vertices[None])
    rest_points = face_mesh.face68(rest_mesh)
    meshes = []
    points = []
    for rows in _blocks(len(prediction.offsets)):
        offsets = prediction.offsets[rows].astype(np.float64)
        vertices = reference_head.vertices + amplitude * offsets
        vertices = face_mesh.blink(vertices, head.blink[rows], head.brow[rows])
        mesh = face_mesh.project(reference_head, vertices)
        meshes.append(mesh.astype(np.float32))
        points.append(reference.face.xy + face_mesh.face68(mesh) - rest_points)
    xy = np.concatenate(points)
    score = np.broadcast_to(reference.face.score, xy.shape[:2])
    all_points = Keypoints(xy, score.copy())
    all_meshes = np.concatenate(meshes)
    return TalkingFace(all_points, prediction.tokens, all_meshes, rest_mesh[0])


def _locate_head(reference: Pose, picture: np.ndarray | None) -> face_mesh.Head:
    """Locate the reference's head in space by the mesh in its picture, else by its 68 points."""
    mesh = None
    if picture is not None:
        mesh = detect_face_mesh(picture, reference.face)
        if mesh is None:
            log.warning("the reference's face mesh is guessed from its 68 points")
    if mesh is None:
        mesh = face_mesh.from_face68(reference.face.xy[0], reference.size, geometry())
    square = face_mesh.square(mesh, reference.size)
    return face_mesh.locate(mesh, reference.size, geometry(), square)


@functools.cache
def geometry() -> face_mesh.Geometry:
    """Read the canonical head of MediaPipe's face geometry.

    Google, Apache-2.0; see assets/LICENSES.md.
    """
    with np.load(GEOMETRY_FILE, allow_pickle=False) as file:
        vertices = file["vertices"].astype(np.float64)
        weights = file["weights"].astype(float)
        return face_mesh.Geometry(vertices, file["ids"], weights)


def _blocks(frames: int) -> list[slice]:
    """Cut `frames` rows into blocks of at most BLOCK_FRAMES."""
    return [slice(start, start + BLOCK_FRAMES) for start in range(0, frames, BLOCK_FRAMES)]
