"""Detect people with DWPose in ONNX: a YOLOX person detector and a whole-body SimCC network.

Numbers are those of RTMPose and DWPose (Yang et al. 2023) as ControlNeXt-SVD v2 calls them. That
code feeds RGB although the detector was trained on BGR. This code does the same, since the video
weights saw those key points.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.analysis.detectors import onnx, tracking
from pipeline.analysis.detectors.detection import Sighting, in_picture
from pipeline.analysis.detectors.onnx import Network
from pipeline.models import registry
from pipeline.motion.keypoints import L_SHOULDER, R_SHOULDER
from pipeline.values import BODY, FACE, HANDS, VISIBLE, Detection, Video

MAX_PEOPLE = 16  # of a frame, largest first: each costs a run of the pose network
SQUARE_PX = 640  # side of the detector's input
GRAY = 114  # of its margin
STRIDES = (8, 16, 32)  # of its three grids, finest first
CELLS = sum((SQUARE_PX // stride) ** 2 for stride in STRIDES)
CLASSES = 80  # COCO's; 0 is the person
MIN_PERSON = 0.3  # score of a box; the published pre-selection at 0.1 keeps none that this drops
MAX_OVERLAP = 0.45  # shared area over joint area of two boxes, beyond which the weaker goes
FARTHEST_PX = 1e6  # distance from the corner at which a box makes no sense
CROP_WIDTH = 288  # of the pose network's input
CROP_HEIGHT = 384
CROP = (CROP_WIDTH, CROP_HEIGHT)
MARGIN = 1.25  # a crop's side over its box's
MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])
POINTS = 133  # COCO-WholeBody: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand
BINS = 2  # SimCC bins per pixel of the crop
LEFT_SHOULDER = 5
RIGHT_SHOULDER = 6
NECK = 17
# OpenPose's 18 among the 134 that there are with the neck in place 17; behind them nothing moves
OPENPOSE = (0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
ALL_POINTS = [*OPENPOSE, *range(len(OPENPOSE), POINTS + 1)]
FACE_FROM = 24  # after 6 points of the feet, which no picture shows
HANDS_FROM = FACE_FROM + FACE
REMEDY = (
    "delete it and run `python -m pipeline models --download dwpose`, or set `detector` to holistic"
)


class DWPose:
    """Body, hands and face of all people with scores, no masks.

    The files are opened at the first run.
    """

    name = "dwpose"

    def __init__(self) -> None:
        onnx.runtime()
        files = registry.located("dwpose")
        detector_input = (3, SQUARE_PX, SQUARE_PX)
        detector_outputs = ((CELLS, 5 + CLASSES),)
        self._detector = Network(files["detector"], detector_input, detector_outputs, REMEDY)
        pose_input = (3, CROP_HEIGHT, CROP_WIDTH)
        pose_outputs = ((POINTS, CROP_WIDTH * BINS), (POINTS, CROP_HEIGHT * BINS))
        self._pose = Network(files["pose"], pose_input, pose_outputs, REMEDY)
        self.version = f"1-{self._detector.mark}-{self._pose.mark}"

    def image(self, image: np.ndarray) -> Detection:
        """Detect all people of a picture (H,W,3) uint8, largest first.

        Refuse a picture without any.
        """
        return tracking.picture(image, lambda picture: self._people([picture])[0])

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yield the frames done.

        Return all people, largest first, with score 0 where one is out of sight.
        """
        at_once = onnx.AT_ONCE[onnx.provider()]
        return tracking.clip(video, self._people, at_once)

    def _people(self, frames: np.ndarray | Sequence[np.ndarray]) -> list[list[Sighting]]:
        """Detect the people of each frame.

        The crops of all of them share the calls of the pose network.
        """
        detections = self._detector.run(letterbox(frame) for frame in frames)
        regions = []
        for (raw,), frame in zip(detections, frames, strict=True):
            regions.append(_regions(raw, frame))
        jobs = []
        for frame, frame_regions in zip(frames, regions, strict=True):
            jobs += [(frame, box) for box in frame_regions]
        people = []
        outputs = self._pose.run(crop(frame, box) for frame, box in jobs)
        for (simcc_x, simcc_y), (frame, box) in zip(outputs, jobs, strict=True):
            points, scores = decode(simcc_x, simcc_y, box)
            points, scores = with_neck(points, scores)
            people.append(sighting(points, scores, frame.shape[:2]))
        result = []
        start = 0
        for frame_regions in regions:
            stop = start + len(frame_regions)
            result.append(_plausible(people[start:stop]))
            start = stop
        return result


def letterbox(image: np.ndarray) -> np.ndarray:
    """Resize the picture to the detector's input (3,640,640) float32: top left, on gray."""
    canvas = np.full((SQUARE_PX, SQUARE_PX, 3), GRAY, np.uint8)
    factor = _factor(image)
    height = max(1, int(image.shape[0] * factor))
    width = max(1, int(image.shape[1] * factor))
    canvas[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas.transpose(2, 0, 1).astype(np.float32)


def _factor(image: np.ndarray) -> float:
    """Return the factor that fits a picture into the detector's input."""
    return min(SQUARE_PX / image.shape[0], SQUARE_PX / image.shape[1])


def boxes(raw: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Read the people from the detector's output (8400,85), best first.

    Return (N,4) x0, y0, x1, y1 in pixels.
    """
    raw = np.asarray(raw, np.float64)
    score = raw[:, 4] * raw[:, 5]
    grid, stride = _grid()
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged file may hold any number
        center = (raw[:, :2] + grid) * stride
        half = np.exp(raw[:, 2:4]) * stride / 2
        corners = np.concatenate([center - half, center + half], 1) / _factor(image)
    near = (np.abs(corners) < FARTHEST_PX).all(1)
    chosen = np.flatnonzero((score > MIN_PERSON) & near)
    order = np.argsort(-score[chosen], kind="stable")
    return _distinct(corners[chosen[order]])


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Return column and row (8400,2) and stride (8400,1) of each cell.

    The cells stand grid after grid, row after row.
    """
    cells = []
    strides = []
    for stride in STRIDES:
        side = SQUARE_PX // stride
        row, column = np.divmod(np.arange(side * side), side)
        cells.append(np.stack([column, row], 1))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def _distinct(corners: np.ndarray) -> np.ndarray:
    """Drop the boxes that overlap a better one; they come best first.

    Sides count pixels, so 1 is added to the difference of two corners.
    """
    low_corners = corners[:, :2]
    high_corners = corners[:, 2:]
    area = (high_corners - low_corners + 1).prod(1)
    remaining = np.arange(len(corners))
    distinct = []
    while len(remaining):
        best = remaining[0]
        others = remaining[1:]
        distinct.append(best)
        low = np.maximum(low_corners[best], low_corners[others])
        high = np.minimum(high_corners[best], high_corners[others])
        sides = np.maximum(0, high - low + 1)
        shared = sides.prod(1)
        joint = area[best] + area[others] - shared
        overlap = shared / joint
        remaining = others[overlap <= MAX_OVERLAP]
    return corners[distinct]


def _regions(raw: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the largest MAX_PEOPLE boxes, best first; the whole picture where there is none."""
    people = boxes(raw, image)
    if not len(people):
        height, width = image.shape[:2]
        return np.array([[0.0, 0.0, width, height]])
    area = (people[:, 2:] - people[:, :2]).prod(1)
    largest = np.argsort(-area, kind="stable")[:MAX_PEOPLE]
    return people[np.sort(largest)]


@dataclass(frozen=True)
class _Taps:
    """The pixels before and after each place along an axis: which (n,), and their shares (n,)."""

    before: np.ndarray
    before_share: np.ndarray
    after: np.ndarray
    after_share: np.ndarray


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cut the pose network's input (3,384,288) float32 out of the picture.

    It shows the box with its margin, black outside the picture. OpenCV's own warp rounds places to
    1/32 pixel before version 5, which differs by up to 3 gray levels from the published code.
    """
    center, size = _window(box)
    height, width = image.shape[:2]
    columns = _taps(CROP_WIDTH, center[0], size[0], width)
    rows = _taps(CROP_HEIGHT, center[1], size[1], height)
    above = image[rows.before] * rows.before_share[:, None, None]
    below = image[rows.after] * rows.after_share[:, None, None]
    tall = above + below
    left = tall[:, columns.before] * columns.before_share[:, None]
    right = tall[:, columns.after] * columns.after_share[:, None]
    pixels = np.rint(left + right)
    normalized = (pixels - MEAN) / STD
    return normalized.transpose(2, 0, 1).astype(np.float32)


def _taps(count: int, center: float, size: float, side: int) -> _Taps:
    """Sample `count` places along `size` pixels about `center` of an axis of `side` pixels."""
    place = (np.arange(count) / count - 0.5) * size + center
    before = np.floor(place)
    after = before + 1
    before_pixel, before_share = _inside(before, after - place, side)
    after_pixel, after_share = _inside(after, place - before, side)
    return _Taps(before_pixel, before_share, after_pixel, after_share)


def _inside(pixel: np.ndarray, share: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Give pixels outside of 0 to `side` the share 0."""
    inside = (pixel >= 0) & (pixel < side)
    kept_pixel = np.where(inside, pixel, 0).astype(int)
    kept_share = np.where(inside, share, 0).astype(np.float32)
    return kept_pixel, kept_share


def _window(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return center and size in pixels of the box with its margin, widened or heightened to 3:4."""
    low = box[:2]
    high = box[2:]
    width, height = (high - low) * MARGIN
    aspect = CROP_WIDTH / CROP_HEIGHT
    center = (low + high) / 2
    size = np.array([max(width, height * aspect), max(height, width / aspect)])
    return center, size


def decode(
    simcc_x: np.ndarray, simcc_y: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Decode SimCC (133,576) and (133,768).

    Return points (133,2) in pixels of the picture and scores (133,).
    """
    best_bins = [simcc_x.argmax(1), simcc_y.argmax(1)]
    place = np.stack(best_bins, 1).astype(np.float64)
    score = np.minimum(simcc_x.max(1), simcc_y.max(1))
    place[~(score > 0)] = -1  # also where a damaged file gives no number
    center, size = _window(box)
    crop_place = place / BINS
    points = crop_place / CROP * size + center - size / 2
    exact_score = score.astype(np.float64)
    return points, np.nan_to_num(exact_score)


def with_neck(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add the neck and order the 134 points (134,2) and scores as the published code.

    The order is body, feet, face, hands. The neck is the shoulders' mean, seen when both are.
    """
    shoulders = [LEFT_SHOULDER, RIGHT_SHOULDER]
    neck_score = float((scores[shoulders] > VISIBLE).all())
    neck = points[shoulders].mean(0)
    points = np.insert(points, NECK, neck, 0)
    scores = np.insert(scores, NECK, neck_score)
    return points[ALL_POINTS], scores[ALL_POINTS]


def split(
    points: np.ndarray, scores: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split 134 points in pixels into body (18,3), hands (42,3), face (68,3).

    Rows hold x and y in fractions of the picture of `size` (H,W), and the score.
    """
    rows = np.concatenate([points / size[::-1], scores[:, None]], 1)
    body = rows[:BODY]
    hands = rows[HANDS_FROM : HANDS_FROM + HANDS]
    face = rows[FACE_FROM : FACE_FROM + FACE]
    return body, hands, face


def sighting(points: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> Sighting:
    """Return the person as all detectors give one.

    Scores lie in 0 to 1; points outside the picture are missing.
    """
    body, hands, face = split(points, scores, size)
    return Sighting(in_picture(body), in_picture(hands), in_picture(face))


def _plausible(people: list[Sighting]) -> list[Sighting]:
    """Keep each person once who shows a shoulder.

    The whole picture may hold nobody, two boxes one person.
    """
    plausible: list[Sighting] = []
    for person in people:
        shoulder_score = person.body[[R_SHOULDER, L_SHOULDER], 2].max()
        if shoulder_score <= VISIBLE:
            continue
        if not any(person.is_same_person(other) for other in plausible):
            plausible.append(person)
    return plausible
