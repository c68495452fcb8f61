"""DWPose in ONNX: a YOLOX person detector and a whole-body SimCC network, as the published weights need it.

Facts and numbers: RTMPose and DWPose (Yang et al. 2023) as ControlNeXt-SVD v2 calls them. That code feeds RGB
although the detector was trained on BGR; so do we, since the video weights saw its key points.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import cv2
import numpy as np

from pipeline.analysis.detectors import onnx, tracking
from pipeline.analysis.detectors.detection import Sighting, in_picture
from pipeline.analysis.detectors.onnx import Network
from pipeline.models import registry
from pipeline.values import BODY, FACE, HANDS, VISIBLE, Detection, Video

MAX_PEOPLE = 16  # of a frame, largest first: each costs a run of the pose network
SQUARE = 640  # side of the detector's input
GREY = 114  # of its margin
STRIDES = (8, 16, 32)  # of its three grids, finest first
CELLS = sum((SQUARE // stride) ** 2 for stride in STRIDES)
CLASSES = 80  # COCO's; 0 is the person
MIN_PERSON = 0.3  # score of a box; the published pre-selection at 0.1 keeps none that this drops
MAX_OVERLAP = 0.45  # shared area over joint area of two boxes, beyond which the weaker goes
FARTHEST = 1e6  # pixels from the corner at which a box makes no sense
CROP = (288, 384)  # width and height of the pose network's input
MARGIN = 1.25  # a crop's side over its box's
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
POINTS = 133  # COCO-WholeBody: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand
BINS = 2  # SimCC bins per pixel of the crop
LEFT_SHOULDER, RIGHT_SHOULDER, NECK = 5, 6, 17
# OpenPose's 18 among the 134 that there are with the neck in place 17; behind them nothing moves
OPENPOSE = (0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
FACE_FROM, HANDS_FROM = 24, 92  # after 6 points of the feet, which no picture shows


class DWPose:
    """Body, hands and face of all people with scores, and no masks; the files are opened at the first run."""

    name = "dwpose"

    def __init__(self) -> None:
        onnx.runtime()
        files = registry.located("dwpose")
        width, height = CROP
        self._finder = Network(files["detector"], (3, SQUARE, SQUARE), ((CELLS, 5 + CLASSES),))
        simcc = ((POINTS, width * BINS), (POINTS, height * BINS))
        self._poser = Network(files["pose"], (3, height, width), simcc)
        self.version = f"1-{self._finder.mark}-{self._poser.mark}"

    def image(self, image: np.ndarray) -> Detection:
        """All people of a picture (H, W, 3) uint8, largest first; raises ValueError where there is none."""
        return tracking.picture(image, lambda picture: self._people([picture])[0])

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yields frames done; returns all people, largest first, with score 0 where one is out of sight."""
        return tracking.clip(video, self._people, onnx.AT_ONCE[onnx.provider()])

    def _people(self, frames: np.ndarray | list[np.ndarray]) -> list[list[Sighting]]:
        """The people of each frame; the crops of all of them share the calls of the pose network."""
        found = self._finder.run(letterbox(frame) for frame in frames)
        regions = [_regions(raw, frame) for (raw,), frame in zip(found, frames, strict=True)]
        wanted = [(frame, box) for frame, own in zip(frames, regions, strict=True) for box in own]
        answers = self._poser.run(crop(frame, box) for frame, box in wanted)
        seen = (
            sighting(*with_neck(*decode(x, y, box)), frame.shape[:2])
            for (x, y), (frame, box) in zip(answers, wanted, strict=True)
        )
        return [list(_plausible([next(seen) for _ in own])) for own in regions]


def letterbox(image: np.ndarray) -> np.ndarray:
    """(3, 640, 640) float32 detector input: the picture shrunk or grown to fit, top left, on grey."""
    canvas = np.full((SQUARE, SQUARE, 3), GREY, np.uint8)
    factor = _factor(image)
    height, width = (max(1, int(side * factor)) for side in image.shape[:2])
    canvas[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas.transpose(2, 0, 1).astype(np.float32)


def boxes(raw: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(N, 4) x0, y0, x1, y1 in pixels of the people in the detector's output (8400, 85), best first."""
    raw = np.asarray(raw, np.float64)
    score = raw[:, 4] * raw[:, 5]
    grid, stride = _grid()
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged file may hold any number
        centre, half = (raw[:, :2] + grid) * stride, np.exp(raw[:, 2:4]) * stride / 2
        corners = np.concatenate([centre - half, centre + half], 1) / _factor(image)
    kept = np.flatnonzero((score > MIN_PERSON) & (np.abs(corners) < FARTHEST).all(1))
    kept = kept[np.argsort(-score[kept], kind="stable")]
    return _distinct(corners[kept])


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Column and row (8400, 2) and stride (8400, 1) of each cell, grid after grid, row after row."""
    cells, strides = [], []
    for stride in STRIDES:
        side = SQUARE // stride
        row, column = np.divmod(np.arange(side * side), side)
        cells.append(np.stack([column, row], 1))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def _distinct(corners: np.ndarray) -> np.ndarray:
    """The boxes, best first, without those that overlap a better one; sides count pixels, so 1 is added."""
    area = (corners[:, 2:] - corners[:, :2] + 1).prod(1)
    left, kept = np.arange(len(corners)), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(corners[best, :2], corners[left, :2])
        high = np.minimum(corners[best, 2:], corners[left, 2:])
        shared = np.maximum(0, high - low + 1).prod(1)
        left = left[shared / (area[best] + area[left] - shared) <= MAX_OVERLAP]
    return corners[kept]


def _factor(image: np.ndarray) -> float:
    return min(SQUARE / image.shape[0], SQUARE / image.shape[1])


def _regions(raw: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The largest MAX_PEOPLE boxes in the picture, best first; the whole picture where there is none."""
    found = boxes(raw, image)
    if not len(found):
        return np.array([[0.0, 0.0, *image.shape[1::-1]]])
    area = (found[:, 2:] - found[:, :2]).prod(1)
    return found[np.sort(np.argsort(-area, kind="stable")[:MAX_PEOPLE])]


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(3, 384, 288) float32 pose input: the box with its margin, black outside the picture, normalised.

    OpenCV's own warp rounds places to 1/32 pixel before version 5: up to 3 grey levels from the published.
    """
    centre, size = _window(box)
    (left, right), (top, bottom) = (
        _taps(*axis) for axis in zip(CROP, centre, size, image.shape[1::-1], strict=True)
    )
    rows = sum(image[at] * share[:, None, None] for at, share in (top, bottom))
    cut = np.rint(sum(rows[:, at] * share[:, None] for at, share in (left, right)))
    return ((cut - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)


def _taps(
    count: int, centre: float, size: float, side: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For the pixels before and after each of `count` places along an axis: which (count,), their shares."""
    place = (np.arange(count) / count - 0.5) * size + centre
    before = np.floor(place)
    for pixel, share in ((before, before + 1 - place), (before + 1, place - before)):
        inside = (pixel >= 0) & (pixel < side)
        yield np.where(inside, pixel, 0).astype(int), np.where(inside, share, 0).astype(np.float32)


def _window(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and size in pixels of the box with its margin, widened or heightened to 3:4."""
    width, height = (box[2:] - box[:2]) * MARGIN
    aspect = CROP[0] / CROP[1]
    return (box[:2] + box[2:]) / 2, np.array(
        [max(width, height * aspect), max(height, width / aspect)]
    )


def decode(
    simcc_x: np.ndarray, simcc_y: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (133, 2) in pixels of the picture and scores (133,) of SimCC (133, 576) and (133, 768)."""
    place = np.stack([simcc_x.argmax(1), simcc_y.argmax(1)], 1).astype(np.float64)
    score = np.minimum(simcc_x.max(1), simcc_y.max(1))
    place[~(score > 0)] = -1  # also where a damaged file gives no number
    centre, size = _window(box)
    return place / BINS / CROP * size + centre - size / 2, np.nan_to_num(score.astype(np.float64))


def with_neck(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 134 points (134, 2) and scores that the published code has: OpenPose's 18, feet, face, hands.

    The neck is the shoulders' mean, seen when both are.
    """
    sides = [LEFT_SHOULDER, RIGHT_SHOULDER]
    seen = float((scores[sides] > VISIBLE).all())
    points, scores = (
        np.insert(points, NECK, points[sides].mean(0), 0),
        np.insert(scores, NECK, seen),
    )
    order = [*OPENPOSE, *range(len(OPENPOSE), POINTS + 1)]
    return points[order], scores[order]


def split(points: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Body (18, 3), hands (42, 3) and face (68, 3) of 134 points: fractions of the (H, W) picture, score."""
    rows = np.concatenate([points / size[::-1], scores[:, None]], 1)
    yield rows[:BODY]
    yield rows[HANDS_FROM : HANDS_FROM + HANDS]
    yield rows[FACE_FROM : FACE_FROM + FACE]


def sighting(points: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> Sighting:
    """The person as all detectors give one: scores within 0 to 1, points outside the picture missing."""
    return Sighting(*(in_picture(part) for part in split(points, scores, size)))


def _plausible(people: list[Sighting]) -> Iterator[Sighting]:
    """Those with a shoulder in sight, each once: the whole picture may hold nobody, two boxes one person."""
    kept: list[Sighting] = []
    for person in people:
        if person.body[[2, 5], 2].max() > VISIBLE and not any(
            person.same_person(other) for other in kept
        ):
            kept.append(person)
            yield person
