"""CSIM: is the person in the frames that of the reference image?

The cosine between embeddings of faces, by any ONNX file that maps an aligned face to numbers
(ArcFace: Deng et al. 2019). Faces are aligned by five points that follow from the 68. deepface is
left out: its own download, detector and letterbox would decide the figure, and its pooled VGG-Face
is what makes published values incomparable; its ONNX files work here as files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.analysis.detectors import onnx
from pipeline.models.measuring_weights import Weights
from pipeline.motion.keypoints import LEFT_EYE, MOUTH_CORNERS, NOSE_TIP, RIGHT_EYE
from pipeline.values import InputError, Keypoints

# Eyes, nose and corners of the mouth of an aligned face, left to right in the picture, in pixels of
# 112 x 112: InsightFace's and OpenCV's.
ALIGNED_POINTS = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
ALIGNED_SIDE_PX = 112
LOW_PERCENTILE = 5
SEEN_SHARE = 0.5  # of the face's points, for a frame with a face
LEAST_EYES_PX = 2.0  # a face whose eyes are nearer has no direction
COLORS = 3
TINY = 1e-12


@dataclass(frozen=True)
class Scaling:
    """Gray levels become (level - middle) / reach."""

    middle: float
    reach: float


ARCFACE_SCALING = Scaling(127.5, 127.5)
SFACE_SCALING = Scaling(0.0, 1.0)  # the file scales by itself
SCALINGS = {"sface": SFACE_SCALING}


@dataclass(frozen=True)
class Similarity:
    """CSIM of a clip.

    Attributes:
        mean: of the cosines of the frames with a face, NaN without one; up.
        low: their 5th percentile: the worst moments.
        missing: share of the frames without a face, which no cosine stands for.
        frames: with a face.
    """

    mean: float
    low: float
    missing: float
    frames: int


class IdentityEmbedder:
    """An ONNX file: an aligned RGB face -> numbers."""

    def __init__(self, path: Path, scaling: Scaling = ARCFACE_SCALING) -> None:
        self.path = path
        self.scaling = scaling

    @classmethod
    def of(cls, weights: Weights) -> IdentityEmbedder:
        """Return the embedder of found weights; files of the user scale colors as ArcFace does."""
        scaling = SCALINGS.get(weights.name, ARCFACE_SCALING)
        return cls(weights.paths["identity"], scaling)

    @cached_property
    def _session(self) -> Any:
        try:
            return onnx.open_session(self.path)
        except onnx.errors() as error:
            raise InputError(f"{self.path} is no ONNX network that can be run ({error})") from error

    @cached_property
    def _shape(self) -> list[int | str | None]:
        """The shape of the input, batch first; refuse networks of another kind."""
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape)
        is_picture = len(inputs) == 1 and len(shape) == 4
        if not is_picture or COLORS not in (shape[1], shape[3]):
            raise InputError(
                f"{self.path} takes inputs of shape {shape}; an identity network takes one "
                "picture of three colors"
            )
        return shape

    @property
    def colors_first(self) -> bool:
        """Whether the file takes (N, 3, H, W), else (N, H, W, 3)."""
        return self._shape[1] == COLORS

    @cached_property
    def side(self) -> int:
        """The side of the square input in pixels, 112 where the file leaves it open."""
        sides = self._shape[2:] if self.colors_first else self._shape[1:3]
        height, width = (side if isinstance(side, int) else ALIGNED_SIDE_PX for side in sides)
        if height != width:
            raise InputError(f"{self.path} takes faces of {width} x {height}, not a square")
        return height

    def embed(self, face: np.ndarray) -> np.ndarray:
        """Return the unit embedding (d,) of an aligned RGB face (side, side, 3) uint8."""
        values = (face.astype(np.float32) - self.scaling.middle) / self.scaling.reach
        if self.colors_first:
            values = values.transpose(2, 0, 1)
        name = self._session.get_inputs()[0].name
        try:
            outputs = self._session.run(None, {name: values[None]})
        except onnx.errors() as error:
            raise InputError(f"{self.path} fails on a face ({error})") from error
        numbers = outputs[0].ravel().astype(np.float64)
        length = max(float(np.linalg.norm(numbers)), TINY)
        return numbers / length


def five_points(face: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """Return the eyes, the nose and the corners of the mouth (T, 5, 2) in pixels.

    Args:
        face: the 68 points.
        size: height and width of the picture.
    """
    height, width = size
    xy = face.xy * (width, height)
    right_eye = xy[:, RIGHT_EYE].mean(1)  # on the picture's left
    left_eye = xy[:, LEFT_EYE].mean(1)
    right_corner, left_corner = MOUTH_CORNERS
    points = [right_eye, left_eye, xy[:, NOSE_TIP], xy[:, right_corner], xy[:, left_corner]]
    return np.stack(points, 1)


def aligned(picture: np.ndarray, points: np.ndarray, side: int) -> np.ndarray:
    """Return a face (side, side, 3), turned and scaled so that its five points lie as trained."""
    target = ALIGNED_POINTS * (side / ALIGNED_SIDE_PX)
    place = similarity_transform(points, target)
    return cv2.warpAffine(picture, place, (side, side))


def similarity_transform(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the turn, scale and shift (2, 3) that brings points (K, 2) nearest to the target."""
    start = points @ (1, 1j)
    goal = target @ (1, 1j)
    spread = start - start.mean()
    turn = np.vdot(spread, goal) / np.vdot(spread, spread)
    shift = goal.mean() - turn * start.mean()
    return np.array(
        [
            [turn.real, -turn.imag, shift.real],
            [turn.imag, turn.real, shift.imag],
        ]
    )


def embed_frame(
    embedder: IdentityEmbedder, frame: np.ndarray, face: Keypoints
) -> np.ndarray | None:
    """Return the embedding (d,) of an RGB frame (H, W, 3) uint8, None where no face is seen.

    Args:
        embedder: the network.
        frame: the picture.
        face: its 68 points, of one frame.
    """
    height, width = frame.shape[:2]
    (points,) = five_points(face, (height, width))
    between_eyes = points[1] - points[0]
    is_seen = face.visible.mean() > SEEN_SHARE
    if not is_seen or np.linalg.norm(between_eyes) < LEAST_EYES_PX:
        return None
    upright = aligned(frame, points, embedder.side)
    return embedder.embed(upright)


def similarity(reference: np.ndarray, frames: list[np.ndarray | None]) -> Similarity:
    """Return CSIM of frames with the embedding (d,) of the reference."""
    cosines = [float(reference @ one) for one in frames if one is not None]
    missing = 1 - len(cosines) / max(1, len(frames))
    if not cosines:
        return Similarity(float("nan"), float("nan"), missing, 0)
    low = float(np.percentile(cosines, LOW_PERCENTILE))
    mean = float(np.mean(cosines))
    return Similarity(mean, low, missing, len(cosines))
