"""Pose, hands and face of one person from look to look, in pixels of the picture.

This follows MediaPipe's graph `holistic_landmark` (Google, Apache-2.0): the pose says where hands
and face are; a second network or a face detector puts these regions right; where they still fit,
the regions of the last look are used instead, which keeps the points steady.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.analysis.detectors import holistic_networks, landmark_regions
from pipeline.analysis.detectors.box_detectors import CLOSE_FACE_DETECTOR
from pipeline.analysis.detectors.detection import picture_size
from pipeline.analysis.detectors.holistic_networks import (
    BODY_POINTS,
    FACE_POINTS,
    HAND_POINTS,
    sigmoid,
)
from pipeline.analysis.detectors.one_euro import OneEuro
from pipeline.analysis.detectors.regions import Region

MIN_POSE = 0.5  # presence of the pose in its region
MIN_HAND = 0.5
MIN_FACE = 0.5
MIN_WRIST = 0.1  # visibility of a wrist whose hand is searched
LOOK_SECONDS = 1 / 30  # between two looks, whatever the clip's rate: MediaPipe's Python interface
POSE_POINTS = 39  # the body's 33, two that place the next look, four that are not used
POSE_NUMBERS = 5  # x, y, z, visibility, presence
WITHOUT_MASK = 3  # outputs of the pose network before the features that make a mask
# Of the circle that places the next look; pictures that are seen once are filtered, too.
CIRCLE_FILTER = {"least_cutoff_hz": 0.01, "speed_gain": 10.0, "speed_cutoff_hz": 1.0}
LEAST_CIRCLE_PX = 1e-6
KERNEL_CELLS = 4  # of the heat map, on each side of a point
MIN_HEAT = 0.5  # a heat map that is nowhere that sure moves no point


@dataclass(frozen=True)
class PersonPoints:
    """What a look shows of a person. Points are in pixels of the picture."""

    pose: np.ndarray  # (33,3) x, y, visibility
    left: np.ndarray | None  # (21,2) hand
    right: np.ndarray | None
    face: np.ndarray | None  # (468,2)
    next_region: Region  # where to look next
    mask: np.ndarray | None  # (H,W)


class PersonLooks:
    """Looks at one person again and again; `want_mask` cuts the person out, too."""

    def __init__(self, want_mask: bool) -> None:
        self._want_mask = want_mask
        self._circle_filter = OneEuro(LOOK_SECONDS, **CIRCLE_FILTER)
        self._left: np.ndarray | None = None
        self._right: np.ndarray | None = None
        self._face: np.ndarray | None = None

    def look(self, image: np.ndarray, region: Region) -> PersonPoints | None:
        """Look into a region of a picture (H,W,3); None where no person is there."""
        side = holistic_networks.side_of("pose_landmark_full")
        picture = region.crop(image, side)
        count = None if self._want_mask else WITHOUT_MASK
        numbers, presence, heat, *features = holistic_networks.run(
            "pose_landmark_full", picture, count
        )
        if presence[0] <= MIN_POSE:
            self._forget()
            return None
        points = numbers.reshape(POSE_POINTS, POSE_NUMBERS).astype(np.float64)
        in_region = refined(points[:, :2] / side, heat)
        places = region.to_picture(in_region)
        visibility = sigmoid(points[:BODY_POINTS, 3])
        pose = np.column_stack([places[:BODY_POINTS], visibility])
        left_rows, right_rows = landmark_regions.POSE_HANDS
        self._left = _hand(image, pose[list(left_rows)], self._left)
        self._right = _hand(image, pose[list(right_rows)], self._right)
        self._face = _face(image, pose[:, :2], self._face)
        circle = places[BODY_POINTS : BODY_POINTS + 2]
        center, rim = self._smooth(circle)
        next_region = landmark_regions.person(center, rim)
        cut_out = None
        if self._want_mask:
            mask = holistic_networks.person_mask(*features)
            cut_out = region.mask_in_picture(mask, picture_size(image))
        return PersonPoints(pose, self._left, self._right, self._face, next_region, cut_out)

    def _forget(self) -> None:
        """Begin anew with the next look."""
        self._left = None
        self._right = None
        self._face = None
        self._circle_filter.reset()

    def _smooth(self, circle: np.ndarray) -> np.ndarray:
        """Return center and rim (2,2) of the next look's circle, steadied over time."""
        x, y = circle[1] - circle[0]
        diameter = 2 * float(np.hypot(x, y))
        if diameter <= LEAST_CIRCLE_PX:
            return circle
        return self._circle_filter(circle, diameter)


def _hand(image: np.ndarray, pose: np.ndarray, before: np.ndarray | None) -> np.ndarray | None:
    """Return a hand (21,2) whose wrist, little and index finger (3,3) the pose gives.

    before: the hand that the last look saw.
    """
    if pose[0, 2] <= MIN_WRIST:
        return None
    wrist, little, index = pose[:, :2]
    rough = landmark_regions.rough_hand(wrist, little, index)
    side = holistic_networks.side_of("hand_recrop")
    picture = rough.crop(image, side)
    (ends,) = holistic_networks.run("hand_recrop", picture)
    ends_in_region = ends.reshape(2, 2) / side
    center, rim = rough.to_picture(ends_in_region)
    region = landmark_regions.hand(center, rim)
    if before is not None:
        again = landmark_regions.hand_again(before)
        if landmark_regions.is_kept(again, before, region, landmark_regions.HAND_TOLERANCE):
            region = again
    points, presence = _look(image, region, "hand_landmark_full", HAND_POINTS)
    return None if presence[0] <= MIN_HAND else points


def _face(image: np.ndarray, pose: np.ndarray, before: np.ndarray | None) -> np.ndarray | None:
    """Return the face mesh (468,2) of a pose (33,2).

    before: the mesh that the last look saw.
    """
    faces = CLOSE_FACE_DETECTOR.find(image, landmark_regions.head(pose))
    if not faces:
        return None
    best = faces[0]
    region = landmark_regions.face(best.key_points)
    if before is not None:
        again = landmark_regions.face_again(before)
        if landmark_regions.is_kept(again, before, region, landmark_regions.FACE_TOLERANCE):
            region = again
    points, presence = _look(image, region, "face_landmark", FACE_POINTS)
    return None if sigmoid(presence).item() <= MIN_FACE else points


def _look(
    image: np.ndarray, region: Region, network: str, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (count,2) that a network sees in a region, and its word on presence."""
    side = holistic_networks.side_of(network)
    picture = region.crop(image, side)
    numbers, presence, *_ = holistic_networks.run(network, picture)
    points = numbers.reshape(count, 3)
    return region.to_picture(points[:, :2] / side), presence


def refined(places: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Move each place (K,2), in fractions, to the middle of the heat around it.

    heat: (h,w,K) logits, one map per point.
    """
    rows, columns, count = heat.shape
    size = np.array([columns, rows])
    cells = (places * size).astype(int)
    x, x_inside = _window(cells[:, 0], columns)
    y, y_inside = _window(cells[:, 1], rows)
    maps = np.arange(count)[:, None, None]
    window_rows = y.clip(0, rows - 1)
    window_columns = x.clip(0, columns - 1)
    logits = heat[window_rows[:, :, None], window_columns[:, None, :], maps]
    is_in_map = y_inside[:, :, None] & x_inside[:, None, :]
    everywhere = sigmoid(logits.astype(np.float64))
    share = np.where(is_in_map, everywhere, 0)
    column_share = share.sum(1)
    row_share = share.sum(2)
    own_cell_inside = (cells >= 0) & (cells < size)
    most = share.max((1, 2))
    is_sure = own_cell_inside.all(1) & (most >= MIN_HEAT)
    total = np.where(is_sure, row_share.sum(1), 1)
    x_sum = (column_share * x).sum(1)
    y_sum = (row_share * y).sum(1)
    sums = np.stack([x_sum, y_sum], 1)
    middle = sums / total[:, None]
    return np.where(is_sure[:, None], middle / size, places)


def _window(cells: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells (K,9) about each cell (K,), and which of them are among the `count`."""
    steps = np.arange(-KERNEL_CELLS, KERNEL_CELLS + 1)
    window = cells[:, None] + steps
    inside = (window >= 0) & (window < count)
    return window, inside
