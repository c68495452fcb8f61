"""controlnet-aux's OpenPose detector for those who have its weights (CMU licence: non-commercial use)."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from functools import cached_property
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.analysis.detectors import tracking
from pipeline.analysis.detectors.detection import Sighting, shrunk
from pipeline.values import BODY, FACE, HANDS, VISIBLE, Detection, InputError, Video

WEIGHTS = "lllyasviel/Annotators"  # body_pose_model.pth, hand_pose_model.pth, facenet.pth: 510 MB
MAX_SIDE = (
    1024  # the body network itself works on 184 rows; hands and face are cut from this picture
)
# Without network or files; torch on a file cut off or scrambled; the library on one with other keys
UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, KeyError, UnpicklingError)
REMEDY = "run `pip install -r requirements-gpu.txt`, or use --detector holistic"


class OpenPose:
    """Body, hands and face of all people by OpenPose; it gives no scores (1 where found) and no masks."""

    name = "openpose"
    version = "3"

    def __init__(self) -> None:
        self._library = _library()

    @cached_property
    def _network(self) -> Any:
        """The networks, read when first used: kept detections need no half gigabyte of weights."""
        return _network(self._library)

    def image(self, image: np.ndarray) -> Detection:
        """All people of a picture (H, W, 3) uint8, largest first; raises ValueError where there is none."""
        return tracking.picture(image, self._people)

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yields frames done; returns all people, largest first, with score 0 where one is out of sight."""
        return tracking.clip(video, lambda frames: [self._people(frame) for frame in frames], 1)

    def _people(self, image: np.ndarray) -> list[Sighting]:
        found = self._network.detect_poses(
            shrunk(image, MAX_SIDE), include_hand=True, include_face=True
        )
        return [sighting(person) for person in found]


def sighting(person: Any) -> Sighting:
    """A PoseResult in this project's order: the body's 18 are the same, two pupils of 70 are dropped."""
    body = _points(person.body.keypoints, BODY)
    hands = [_points(hand, HANDS // 2) for hand in (person.left_hand, person.right_hand)]
    if min(body[2, 2], body[5, 2]) > VISIBLE:  # the same neck rule for all detectors, contract C
        body[1] = (*(body[2, :2] + body[5, :2]) / 2, 1.0)
    else:
        body[1] = 0
    return Sighting(
        body,
        np.concatenate(hands),
        _points(None if person.face is None else person.face[:FACE], FACE),
    )


def _points(keypoints: Sequence[Any] | None, count: int) -> np.ndarray:
    """(count, 3) x, y, score; score 0 where a key point is None, negative or outside the picture."""
    points = np.zeros((count, 3))
    for row, keypoint in zip(points, keypoints or (), strict=False):
        if keypoint is not None and 0 <= keypoint.x <= 1 and 0 <= keypoint.y <= 1:
            row[:] = keypoint.x, keypoint.y, np.clip(keypoint.score, 0, 1)
    return points


def _library() -> ModuleType:
    """controlnet-aux, imported; a torchvision that does not fit its torch raises RuntimeError there."""
    try:
        import controlnet_aux
    except (ImportError, RuntimeError, AttributeError) as error:
        raise InputError(
            f"the openpose detector needs controlnet-aux and a matching torchvision ({error}); {REMEDY}"
        ) from error
    return controlnet_aux


def _network(library: ModuleType) -> Any:
    """The OpenPose networks from APV_OPENPOSE (a folder) or the hub, on the GPU where there is one."""
    import torch

    source = os.environ.get("APV_OPENPOSE", WEIGHTS)
    try:
        network = library.OpenposeDetector.from_pretrained(source)
    except UNREADABLE as error:
        raise InputError(
            f"the weights of the openpose detector cannot be read from {source} ({type(error).__name__}); "
            "connect to the network once, set APV_OPENPOSE to a folder with them, or use --detector holistic"
        ) from error
    return network.to("cuda") if torch.cuda.is_available() else network
