"""Detect people with controlnet-aux's OpenPose, where its weights are.

Their CMU license is for non-commercial use.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from functools import cached_property
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.analysis.detectors import tracking
from pipeline.analysis.detectors.detection import Sighting, shrink
from pipeline.motion.keypoints import HAND_POINTS, L_SHOULDER, NECK, R_SHOULDER
from pipeline.values import BODY, FACE, VISIBLE, Detection, InputError, Video

WEIGHTS = "lllyasviel/Annotators"  # body_pose_model.pth, hand_pose_model.pth, facenet.pth: 510 MB
# The body network itself works on 184 rows; hands and face are cut from this picture.
MAX_SIDE_PX = 1024
# What reading weights raises: without network or files; torch on a file cut off or scrambled; the
# library on a file with other keys.
UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, KeyError, UnpicklingError)
REMEDY = "run `pip install -r requirements-gpu.txt`, or set `detector` to holistic"


class OpenPose:
    """Body, hands and face of all people by OpenPose.

    It gives no scores (1 where found) and no masks.
    """

    name = "openpose"
    version = "3"

    def __init__(self) -> None:
        self._library = _import_library()

    @cached_property
    def _network(self) -> Any:
        """The networks, read when first used: kept detections need no half gigabyte of weights."""
        return _load_network(self._library)

    def image(self, image: np.ndarray) -> Detection:
        """Detect all people of a picture (H,W,3) uint8, largest first.

        Refuse a picture without any.
        """
        return tracking.picture(image, self._people)

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yield the frames done.

        Return all people, largest first, with score 0 where one is out of sight.
        """
        return tracking.clip(video, lambda frames: [self._people(frame) for frame in frames], 1)

    def _people(self, image: np.ndarray) -> list[Sighting]:
        small = shrink(image, MAX_SIDE_PX)
        results = self._network.detect_poses(small, include_hand=True, include_face=True)
        return [sighting(person) for person in results]


def sighting(person: Any) -> Sighting:
    """Convert a PoseResult to this project's order: the same body of 18, without two pupils of 70.

    The neck follows the rule of all detectors: the shoulders' mean, seen when both are.
    """
    body = _points(person.body.keypoints, BODY)
    right = body[R_SHOULDER]
    left = body[L_SHOULDER]
    if min(right[2], left[2]) > VISIBLE:
        middle = (right[:2] + left[:2]) / 2
        body[NECK] = (*middle, 1.0)
    else:
        body[NECK] = 0
    left_hand = _points(person.left_hand, HAND_POINTS)
    right_hand = _points(person.right_hand, HAND_POINTS)
    face = None if person.face is None else person.face[:FACE]
    return Sighting(body, np.concatenate([left_hand, right_hand]), _points(face, FACE))


def _points(keypoints: Sequence[Any] | None, count: int) -> np.ndarray:
    """Return (count,3) x, y, score; score 0 where a key point is None or outside the picture."""
    points = np.zeros((count, 3))
    for row, keypoint in zip(points, keypoints or (), strict=False):
        if keypoint is not None and 0 <= keypoint.x <= 1 and 0 <= keypoint.y <= 1:
            row[:] = keypoint.x, keypoint.y, np.clip(keypoint.score, 0, 1)
    return points


def _import_library() -> ModuleType:
    """Import controlnet-aux.

    A torchvision that does not fit its torch raises RuntimeError there.
    """
    try:
        import controlnet_aux
    except (ImportError, RuntimeError, AttributeError) as error:
        raise InputError(
            "the openpose detector needs controlnet-aux and a matching torchvision "
            f"({error}); {REMEDY}"
        ) from error
    return controlnet_aux


def _load_network(library: ModuleType) -> Any:
    """Load the OpenPose networks onto the GPU, where there is one.

    They come from the folder APV_OPENPOSE or from the hub.
    """
    import torch

    source = os.environ.get("APV_OPENPOSE", WEIGHTS)
    try:
        network = library.OpenposeDetector.from_pretrained(source)
    except UNREADABLE as error:
        raise InputError(
            f"the weights of the openpose detector cannot be read from {source} "
            f"({type(error).__name__}); "
            "connect to the network once, set APV_OPENPOSE to a folder with them, "
            "or set `detector` to holistic"
        ) from error
    return network.to("cuda") if torch.cuda.is_available() else network
