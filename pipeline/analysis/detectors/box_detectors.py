"""Detect people and faces in a whole picture by single-shot detectors.

Each cell of a few grids proposes boxes with key points. MediaPipe joins boxes that overlap by their
mean, weighted by their scores (Bazarevsky et al., "BlazeFace", 2019).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.analysis.detectors import holistic_networks
from pipeline.analysis.detectors.regions import Region

MIN_OVERLAP = 0.3  # shared area over joint area of two boxes of one thing
# The numbers below are those of MediaPipe's graphs `pose_detection` and `face_detection_*`.
PEOPLE = "pose_detection"
CLOSE_FACES = "face_detection_short_range"
FAR_FACES = "face_detection_full_range_sparse"


@dataclass(frozen=True)
class BoxDetector:
    """One network of `holistic_networks`.

    grids: stride of each grid in pixels of the input, and the proposals of each of its cells.
    least_score: of a proposal.
    """

    name: str
    grids: tuple[tuple[int, int], ...]
    least_score: float

    def find(self, image: np.ndarray, region: Region) -> list[FoundBox]:
        """Find boxes in a region of a picture (H,W,3), best first."""
        side = holistic_networks.side_of(self.name)
        picture = region.crop_on_black(image, side)
        proposals, logits = holistic_networks.run(self.name, picture)
        scores = holistic_networks.sigmoid(logits[:, 0].astype(np.float64))
        anchors = _anchors(self.grids, side)
        good = scores >= self.least_score
        points = _decode(proposals[good], anchors[good], side)
        found = []
        for score, mean_points in _joined(points, scores[good]):
            in_picture = region.to_picture(mean_points)
            found.append(FoundBox(score, in_picture))
        return found


@dataclass(frozen=True)
class FoundBox:
    """A thing that was found: its score, two corners of its box and its key points in pixels."""

    score: float
    points: np.ndarray  # (2 + K, 2)

    @property
    def key_points(self) -> np.ndarray:
        """Return the key points (K,2)."""
        return self.points[2:]


PEOPLE_DETECTOR = BoxDetector(PEOPLE, ((8, 2), (16, 2), (32, 6)), 0.5)
CLOSE_FACE_DETECTOR = BoxDetector(CLOSE_FACES, ((8, 2), (16, 6)), 0.5)
FAR_FACE_DETECTOR = BoxDetector(FAR_FACES, ((4, 1),), 0.6)


@functools.cache
def _anchors(grids: tuple[tuple[int, int], ...], side: int) -> np.ndarray:
    """Return the cells' centers (A,2) in fractions of the input, one row per proposal."""
    centers = []
    for stride, proposals in grids:
        cells = side // stride
        numbers = np.arange(cells * cells)
        row, column = np.divmod(numbers, cells)
        corner = np.stack([column, row], 1)
        center = (corner + 0.5) / cells
        repeated = np.repeat(center, proposals, axis=0)
        centers.append(repeated)
    return np.concatenate(centers)


def _decode(proposals: np.ndarray, anchors: np.ndarray, side: int) -> np.ndarray:
    """Return corners and key points (N,2+K,2) of proposals (N,4+2K), in fractions of the input."""
    numbers = proposals.astype(np.float64) / side
    count, columns = numbers.shape
    pairs = numbers.reshape(count, columns // 2, 2)
    offset = pairs[:, 0]
    size = pairs[:, 1]
    key_offsets = pairs[:, 2:]
    center = anchors + offset
    half = size / 2
    low = center - half
    high = center + half
    corners = np.stack([low, high], 1)
    keys = anchors[:, None] + key_offsets
    return np.concatenate([corners, keys], 1)


def _joined(points: np.ndarray, scores: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the best score and the weighted mean (2+K,2) of boxes that overlap, best first."""
    order = np.argsort(-scores, kind="stable")
    points = points[order]
    scores = scores[order]
    while len(scores):
        overlaps = _overlaps(points, points[0])
        same = overlaps > MIN_OVERLAP
        same[0] = True
        mean = np.average(points[same], axis=0, weights=scores[same])
        best_score = float(scores[0])
        yield best_score, mean
        others = ~same
        points = points[others]
        scores = scores[others]


def _overlaps(points: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return shared area over joint area (N,) of boxes (N,2+K,2) with the best one's (2+K,2)."""
    lows = points[:, 0]
    highs = points[:, 1]
    best_low, best_high = best[:2]
    low = np.maximum(lows, best_low)
    high = np.minimum(highs, best_high)
    sides = (high - low).clip(0)
    shared = sides.prod(1)
    own_sides = highs - lows
    own = own_sides.prod(1)
    best_sides = best_high - best_low
    joint = own + best_sides.prod() - shared
    nothing = np.zeros_like(shared)
    return np.divide(shared, joint, out=nothing, where=joint > 0)
