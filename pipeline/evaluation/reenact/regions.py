"""Where the person, the face, the hands and the unchanged background of true frames are."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from pipeline.training.losses import boxes
from pipeline.values import Keypoints, Pose

INSIDE = 0.5  # mask values above it are the person
# Pixels within this share of the picture's height of the person are not called background: the
# segmenter is no more exact, and compression smears colors over the outline.
BORDER_HEIGHTS = 0.005
# Background that differs from the reference frame by no more gray levels is unchanged. Half of what
# counts as debris, so that debris is the renderer's and not the clip's.
UNCHANGED_LEVELS = 12


def places(masks: np.ndarray, pose: Pose, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the regions (T, h, w) bool by name: the masks, and boxes as in `evaluate mini`."""
    face = _points(pose.face)
    hands = _points(pose.hands)
    found = boxes(face, hands, size)
    return {
        "person": masks,
        "face": _inside(found["face"]),
        "hands": _inside(found["hands"]),
    }


def _inside(box: torch.Tensor) -> np.ndarray:
    """Return where (T, h, w) bool a map (T, 1, h, w) is inside."""
    return box[:, 0].numpy() > INSIDE


def _points(points: Keypoints) -> torch.Tensor:
    """Return x, y and score (T, K, 3) of key points."""
    scores = points.score[..., None]
    stacked = np.concatenate([points.xy, scores], -1)
    return torch.from_numpy(stacked).float()


def still_background(truth: np.ndarray, masks: np.ndarray, reference: int) -> np.ndarray:
    """Return where (T, h, w) bool each frame shows the background that the reference frame shows.

    Args:
        truth: Frames (T, h, w, 3) uint8.
        masks: The person in each of them, (T, h, w) bool.
        reference: The row of the reference frame.
    """
    radius = max(1, round(BORDER_HEIGHTS * truth.shape[1]))
    side = 2 * radius + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    near_reference = _grown(masks[reference], disc)
    still = np.empty(masks.shape, bool)
    for row, frame in enumerate(truth):
        is_same = change(frame, truth[reference]) <= UNCHANGED_LEVELS
        is_near = _grown(masks[row], disc) | near_reference
        still[row] = is_same & ~is_near
    return still


def _grown(mask: np.ndarray, disc: np.ndarray) -> np.ndarray:
    """Grow a mask (h, w) bool by a disc."""
    grown = cv2.dilate(mask.astype(np.uint8), disc)
    return grown > 0


def change(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the change (h, w) of two pictures (h, w, 3), in levels of the most changed color."""
    differences = cv2.absdiff(one, other)
    return differences.max(2)
