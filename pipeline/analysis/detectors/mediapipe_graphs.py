"""MediaPipe's bundled graphs, wired so that every person of a picture is seen.

The public holistic graph follows one person. Its parts take a region of interest, so one `Locator`
lists the regions of all people of a picture and one `Follower` per person runs pose, hands and face
inside its region of the whole picture; nothing is cropped and all results are fractions of the
whole picture.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.analysis.detectors.detection import Sighting, in_picture
from pipeline.analysis.detectors.left_right import OTHER_SIDE, SideGuard
from pipeline.motion.face_mesh import face68
from pipeline.motion.keypoints import (
    CHIN,
    EARS,
    EYES,
    L_SHOULDER,
    LEFT_EYE,
    NECK,
    NOSE,
    NOSE_ROOT,
    NOSE_TIP,
    R_SHOULDER,
    RIGHT_EYE,
)
from pipeline.values import BODY, FACE, HANDS, VISIBLE, InputError

MIN_PERSON = 0.5  # score of the pose detection graph, its own default
MIN_TILE = 0.6  # the same in a tile, where a detail of the picture may look like a person
MIN_POSE = 0.5  # presence of the pose in its region
MIN_FACE = 0.5  # score of the face detection graphs
MIN_SHOULDER = 0.5  # at least one shoulder must be seen this well: hallucinated people have none
TILE = 0.6  # side of a tile as a share of the picture's side, so neighbours overlap by a fifth
FACE_TO_BODY = 6.0  # a standing person fits a square of this many face heights
SHOULDERS = 11  # the first of the 33 landmarks below the head
FRONTAL = 0.5  # distance of the eyes over bridge to chin: straight 0.6, profile on hair up to 0.45
ROI_MARGIN = 1.25  # the pose graph's own enlargement of its region

# OpenPose order: nose, neck (computed), right arm, left arm, right leg, left leg, eyes, ears.
OPENPOSE = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)

LOCATE = """
input_stream: "image"
output_stream: "detections"
node {
  calculator: "PoseDetectionCpu" input_stream: "IMAGE:image"
  output_stream: "DETECTIONS:detections"
}
"""
FOLLOW = """
input_stream: "image"
input_stream: "rect"
output_stream: "raw"
output_stream: "next_rect"
output_stream: "left"
output_stream: "right"
output_stream: "face"
output_stream: "mask"
input_side_packet: "complexity"
input_side_packet: "smooth"
input_side_packet: "want_mask"
input_side_packet: "refine"
node {
  calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image"
  output_stream: "SIZE:size"
}
node {
  calculator: "PoseLandmarkByRoiCpu" input_stream: "IMAGE:image" input_stream: "ROI:rect"
  input_side_packet: "MODEL_COMPLEXITY:complexity"
  input_side_packet: "ENABLE_SEGMENTATION:want_mask"
  output_stream: "LANDMARKS:raw" output_stream: "AUXILIARY_LANDMARKS:raw_aux"
  output_stream: "WORLD_LANDMARKS:raw_world" output_stream: "SEGMENTATION_MASK:raw_mask"
}
node {
  calculator: "PoseLandmarkFiltering"
  input_side_packet: "ENABLE:smooth" input_stream: "IMAGE_SIZE:size"
  input_stream: "NORM_LANDMARKS:raw" input_stream: "AUX_NORM_LANDMARKS:raw_aux"
  input_stream: "WORLD_LANDMARKS:raw_world" output_stream: "FILTERED_NORM_LANDMARKS:pose"
  output_stream: "FILTERED_AUX_NORM_LANDMARKS:aux" output_stream: "FILTERED_WORLD_LANDMARKS:world"
}
node {
  calculator: "PoseLandmarksToRoi" input_stream: "LANDMARKS:aux" input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:next_rect"
}
node {
  calculator: "FromImageCalculator" input_stream: "IMAGE:raw_mask"
  output_stream: "IMAGE_CPU:mask"
}
node {
  calculator: "HandLandmarksLeftAndRightCpu"
  input_stream: "IMAGE:image" input_stream: "POSE_LANDMARKS:raw"
  output_stream: "LEFT_HAND_LANDMARKS:left" output_stream: "RIGHT_HAND_LANDMARKS:right"
}
node {
  calculator: "SplitNormalizedLandmarkListCalculator" input_stream: "raw" output_stream: "pose_face"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] { ranges { begin: 0 end: 11 } } }
}
node {
  calculator: "FaceLandmarksFromPoseCpu" input_stream: "IMAGE:image"
  input_stream: "FACE_LANDMARKS_FROM_POSE:pose_face" input_side_packet: "REFINE_LANDMARKS:refine"
  output_stream: "FACE_LANDMARKS:face"
}
"""


def mediapipe() -> ModuleType:
    """Import mediapipe with its offline models; refuse with the remedy where it is absent."""
    os.environ.setdefault("GLOG_minloglevel", "2")  # its C++ log would fill the user's terminal
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import mediapipe
        from mediapipe.python import solution_base  # noqa: F401  (absent from 0.10.30 on)
    except ImportError as error:
        raise InputError(
            f"the holistic detector needs mediapipe 0.10.21, which cannot be imported ({error}); "
            "use Python 3.11 or 3.12 and run `pip install -r requirements.txt`"
        ) from error
    return mediapipe


def _graph(text: str, outputs: list[str], **options: Any) -> Any:
    """Start the MediaPipe graph that the text describes.

    `.process` runs a frame, `.close` frees the graph.
    """
    mediapipe()
    from google.protobuf import text_format
    from mediapipe.framework import calculator_pb2
    from mediapipe.python.solution_base import SolutionBase

    config = text_format.Parse(text, calculator_pb2.CalculatorGraphConfig())
    return SolutionBase(graph_config=config, outputs=outputs, **options)


@dataclass(frozen=True)
class Region:
    """A turned square around a person: center and side in pixels, angle in radians."""

    x: float
    y: float
    side: float
    angle: float

    def rect(self, size: tuple[int, int]) -> Any:
        """The NormalizedRect message for a picture of `size` (H, W)."""
        from mediapipe.framework.formats import rect_pb2

        height, width = size
        return rect_pb2.NormalizedRect(
            x_center=self.x / width,
            y_center=self.y / height,
            width=self.side / width,
            height=self.side / height,
            rotation=self.angle,
        )


class Locator:
    """Lists the regions of all people, by a pose detection graph and two face detection graphs."""

    def __init__(self) -> None:
        params = {"posedetectioncpu__TensorsToDetectionsCalculator.min_score_thresh": MIN_PERSON}
        self._poses = _graph(LOCATE, ["detections"], calculator_params=params)
        self._faces: list[Any] = []

    def people(self, image: np.ndarray) -> list[Region]:
        """Detect regions in the whole picture, best first."""
        return [region for _, region in self._detect(image)]

    def around_faces(self, image: np.ndarray) -> list[Region]:
        """Detect regions around the faces, for bodies that are too small or too close."""
        found = []
        for x, y, face in self._find_faces(image):
            half = FACE_TO_BODY * face / 2
            window = (x - half, y - half * 0.5, x + half, y + half * 1.5)
            found += self._detect_in(image, window, MIN_PERSON)
        return [region for _, region in found]

    def in_tiles(self, image: np.ndarray) -> list[Region]:
        """Detect regions in overlapping tiles: small figures, but at times a limb."""
        height, width = image.shape[:2]
        found = []
        for top in (0.0, (1 - TILE) / 2, 1 - TILE):
            for left in (0.0, (1 - TILE) / 2, 1 - TILE):
                window = (left * width, top * height, (left + TILE) * width, (top + TILE) * height)
                found += self._detect_in(image, window, MIN_TILE)
        return [region for _, region in found]

    def anywhere(self, image: np.ndarray) -> list[Region]:
        """Detect by faces and tiles, for people whom the whole picture does not show."""
        return self.around_faces(image) + self.in_tiles(image)

    def close(self) -> None:
        for graph in [self._poses, *self._faces]:
            graph.close()

    def _detect(self, image: np.ndarray) -> list[tuple[float, Region]]:
        height, width = image.shape[:2]
        found = self._poses.process({"image": image}).detections or []
        return [(d.score[0], _region(d, width, height)) for d in found if d.score[0] >= MIN_PERSON]

    def _detect_in(
        self, image: np.ndarray, window: tuple[float, float, float, float], least: float
    ) -> list[tuple[float, Region]]:
        """Detect regions inside a window x0, y0, x1, y1 in pixels.

        What lies outside the picture is black.
        """
        height, width = image.shape[:2]
        x0, y0, x1, y1 = (round(v) for v in window)
        inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
        tile = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        top, left = max(-y0, 0), max(-x0, 0)
        tile[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        found = [(score, region) for score, region in self._detect(tile) if score >= least]
        return [(score, Region(r.x + x0, r.y + y0, r.side, r.angle)) for score, r in found]

    def _find_faces(self, image: np.ndarray) -> list[tuple[float, float, float]]:
        """Return x, y and height in pixels of the faces that both face graphs find."""
        if not self._faces:
            detection = mediapipe().solutions.face_detection
            self._faces = [detection.FaceDetection(MIN_FACE, model) for model in (0, 1)]
        height, width = image.shape[:2]
        faces = []
        for graph in self._faces:
            for found in graph.process(image).detections or []:
                box = found.location_data.relative_bounding_box
                x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
                faces.append((x, y, box.height * height))
        return faces


def _region(detection: Any, width: int, height: int) -> Region:
    """Return PoseDetectionToRoi's region: hips in the center, upright, as large as the body."""
    center, rim = detection.location_data.relative_keypoints[:2]
    x, y = center.x * width, center.y * height
    dx, dy = rim.x * width - x, rim.y * height - y
    angle = np.pi / 2 - np.arctan2(-dy, dx)
    angle -= 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))
    return Region(x, y, 2 * float(np.hypot(dx, dy)) * ROI_MARGIN, float(angle))


class Follower:
    """Pose, hands and face of one person: `see` looks inside a region.

    With `fps` it is one person of a clip, steadied over time; without, each picture is seen by
    itself.
    """

    def __init__(self, fps: float | None = None, want_mask: bool = False) -> None:
        self._mask = want_mask
        self._sides = None if fps is None else SideGuard()
        threshold = (
            "poselandmarkbyroicpu__tensorstoposelandmarksandsegmentation"
            "__ThresholdingCalculator.threshold"
        )
        sides = {
            "complexity": 1,
            "smooth": fps is not None,
            "want_mask": want_mask,
            "refine": False,
        }
        outputs = ["raw", "next_rect", "left", "right", "face", *(["mask"] if want_mask else [])]
        self._graph = _graph(
            FOLLOW, outputs, side_inputs=sides, calculator_params={threshold: MIN_POSE}
        )

    def see(self, image: np.ndarray, rect: Any) -> Sighting | None:
        """Look for a plausible person inside the NormalizedRect; None where there is none."""
        result = self._graph.process({"image": image, "rect": rect})
        pose = (
            None
            if result.raw is None
            else np.array([(p.x, p.y, p.visibility) for p in result.raw.landmark])
        )
        if pose is None or pose[[11, 12], 2].max() < MIN_SHOULDER:
            if self._sides is not None:
                self._sides.reset()
            return None
        face = _face(result.face)
        hands = [_hand(side) for side in (result.left, result.right)]
        if self._sides is not None:
            size = np.array([image.shape[1], image.shape[0], 1])
            side = rect.width * size[0]
            order = self._sides.order(pose * size, side, _frontal(face * size))
            if order is None:
                pose[SHOULDERS:, 2], hands = 0, [_hand(None)] * 2
            else:
                hands = hands[::-1] if order is OTHER_SIDE else hands
                pose = pose[order]
        body = _with_head(_body(in_picture(pose)), face)
        mask = (
            np.asarray(result.mask, np.float32).copy()
            if self._mask and result.mask is not None
            else None
        )
        return Sighting(body, np.concatenate(hands), face, mask, result.next_rect)

    def close(self) -> None:
        self._graph.close()


def _body(pose: np.ndarray) -> np.ndarray:
    """Return the OpenPose body (18,3) of the 33 points.

    The neck is the shoulders' mean, seen when both are.
    """
    body = pose[list(OPENPOSE)]
    right, left = body[R_SHOULDER], body[L_SHOULDER]
    seen = min(right[2], left[2]) > VISIBLE
    body[NECK] = (*(right[:2] + left[:2]) / 2, 1.0) if seen else 0.0
    assert body.shape == (BODY, 3)
    return body


def _frontal(face: np.ndarray) -> bool:
    """Tell whether a face looks at the camera: profiles are detected even on hair."""
    if not face[:, 2].all():
        return False
    eyes = np.linalg.norm(face[RIGHT_EYE, :2].mean(axis=0) - face[LEFT_EYE, :2].mean(axis=0))
    return bool(eyes > FRONTAL * np.linalg.norm(face[CHIN, :2] - face[NOSE_ROOT, :2]))


def _with_head(body: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The body with nose and eyes of the face mesh, where there is one, and its ears moved along.

    The pose model sees the head in a few pixels: on the astronaut its nose lies on the upper lip.
    """
    if not face[:, 2].any():
        return body
    own = body[[NOSE, *EYES], :2]
    right_eye = face[RIGHT_EYE, :2].mean(axis=0)
    left_eye = face[LEFT_EYE, :2].mean(axis=0)
    finer = np.stack([face[NOSE_TIP, :2], right_eye, left_eye])
    moved = body.copy()
    moved[[NOSE, *EYES], :2] = finer
    moved[list(EARS), :2] += (finer - own).mean(axis=0)
    return in_picture(moved)


def _listed(landmarks: Any) -> np.ndarray:
    return np.array([(p.x, p.y, 1.0) for p in landmarks.landmark])


def _hand(landmarks: Any | None) -> np.ndarray:
    """Return the hand (21,3); missing where it is absent or mostly outside the picture."""
    return _present(None if landmarks is None else _listed(landmarks), HANDS // 2)


def _face(landmarks: Any | None) -> np.ndarray:
    """Return the iBUG face (68,3) of the 468 mesh points, by a mirror-symmetric table."""
    if landmarks is None:
        return np.zeros((FACE, 3))
    return _present(face68(_listed(landmarks)), FACE)


def _present(points: np.ndarray | None, count: int) -> np.ndarray:
    if points is None:
        return np.zeros((count, 3))
    points = in_picture(points)
    return points if (points[:, 2] > 0).mean() >= 0.5 else np.zeros((count, 3))
