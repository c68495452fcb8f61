"""The shipped networks of the holistic detector: Google's models of MediaPipe as ONNX files.

`checkpoints/holistic/MODEL_CARD.md` says where they come from, `conversion` how they were made. All
take RGB pictures, channels last.
"""

from __future__ import annotations

import functools

import numpy as np

from pipeline import ROOT
from pipeline.analysis.detectors.onnx import Network

FOLDER = ROOT / "checkpoints" / "holistic"
REMEDY = "install APV Studio again"
BODY_POINTS = 33
HAND_POINTS = 21
FACE_POINTS = 468
MESH_POINTS = 478  # with five points of each iris
FEATURES = 16 * 128 * 128 + 48 * 64 * 64  # numbers of two layers of the pose network

# name -> side of the picture in pixels, shape of each output for one picture
SHAPES: dict[str, tuple[int, tuple[tuple[int, ...], ...]]] = {
    # people: four box numbers and four key points each; logits
    "pose_detection": (224, ((2254, 12), (2254, 1))),
    # 39 points of five numbers; presence; heat maps; what `pose_mask` needs
    "pose_landmark_full": (256, ((195,), (1,), (64, 64, 39), (FEATURES,))),
    # center of a hand, and a point of its rim
    "hand_recrop": (256, ((1, 1, 4),)),
    # 21 points of three numbers; presence; which hand; points in meters
    "hand_landmark_full": (224, ((63,), (1,), (1,), (63,))),
    # faces: four box numbers and six key points each; logits
    "face_detection_short_range": (128, ((896, 16), (896, 1))),
    "face_detection_full_range_sparse": (192, ((2304, 16), (2304, 1))),
    # 468 points of three numbers; presence
    "face_landmark": (192, ((1, 1, 1404), (1, 1, 1))),
    # 478 points of three numbers; presence; whether the tongue is out
    "face_landmarks_detector": (256, ((1, 1, 1434), (1, 1, 1), (1,))),
}


@functools.cache
def network(name: str) -> Network:
    """Return one of the networks; all that ask for it share one open file."""
    side, outputs = SHAPES[name]
    picture = (side, side, 3)
    return Network(FOLDER / f"{name}.onnx", picture, outputs, REMEDY)


@functools.cache
def mask_network() -> Network:
    """Return the network that makes a mask of the pose network's features."""
    return Network(FOLDER / "pose_mask.onnx", (FEATURES,), ((256, 256, 1),), REMEDY)


def side_of(name: str) -> int:
    """Return the side in pixels of the pictures that a network takes."""
    side, _ = SHAPES[name]
    return side


def run(name: str, picture: np.ndarray, count: int | None = None) -> tuple[np.ndarray, ...]:
    """Return the first `count` outputs of a network for one picture, all by default."""
    results = network(name).run([picture], count)
    return next(results)


def person_mask(features: np.ndarray) -> np.ndarray:
    """Return the mask (256,256) in [0, 1] of the pose network's features."""
    results = mask_network().run([features])
    (logits,) = next(results)
    return sigmoid(logits[..., 0])


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return logits as shares from 0 to 1; large ones do not overflow."""
    half = 0.5 * logits
    return 0.5 * (1 + np.tanh(half))
