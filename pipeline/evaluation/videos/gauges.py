"""One pass over a result's frames: gauges look at each frame, so that no clip is held in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from pipeline import media
from pipeline.evaluation.metrics import steadiness, structure
from pipeline.evaluation.mini.figures import mean
from pipeline.evaluation.videos.clip import NO_TRUTH, Clip, Figure, figure
from pipeline.values import InputError, Pose

NO_OUTSIDE = "the person, with a wide border, fills the picture or is not found"
NOT_STILL = "no pixel of the true clip stands still"
NO_SEAMS = "no seam is known: one segment, or the video does not tell its windows"
WHITE = 255


class Gauge(Protocol):
    """Looks at the frames of one clip in order."""

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Look at frame `row` (h, w, 3) uint8, and at the true one of the same size."""

    def figures(self) -> dict[str, Figure]:
        """Return what was measured."""


def stream(clip: Clip, gauges: Sequence[Gauge]) -> dict[str, Figure]:
    """Show all frames of a clip to the gauges and return their figures."""
    truths = _true_frames(clip)
    for row, frame in enumerate(frames_of(clip.case.video, clip.fps)):
        truth = next(truths, None)
        if truth is not None:
            truth = resized(truth, frame)
        for gauge in gauges:
            gauge.look(row, frame, truth)
    found = {}
    for gauge in gauges:
        found.update(gauge.figures())
    return found


def frames_of(path: Path, fps: float) -> Iterator[np.ndarray]:
    """Yield the frames (h, w, 3) uint8 that are on screen at the middle of each 1 / fps."""
    for chunk in media.read_video(path, fps=fps).chunks():
        yield from chunk


def _true_frames(clip: Clip) -> Iterator[np.ndarray]:
    """Yield the true frames, none where no truth is known."""
    if clip.case.truth is not None:
        yield from frames_of(clip.case.truth, clip.fps)


def resized(truth: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return a true frame in the size of the result's."""
    if truth.shape == frame.shape:
        return truth
    height, width = frame.shape[:2]
    shrinks = truth.shape[0] > height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(truth, (width, height), interpolation=interpolation)


class OutsideFlicker:
    """Unrest of the picture where the person is not."""

    def __init__(self, pose: Pose) -> None:
        self.pose = pose
        self.last: list[np.ndarray] = []
        self.values: list[float] = []

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Measure the frame before this one, beside both its neighbors."""
        if len(self.last) == 2:
            before, middle = self.last
            around = self.pose[row - 2 : row + 1]
            height, width = frame.shape[:2]
            region = steadiness.outside_person(around, (height, width))
            unrest = steadiness.unrest(before, middle, frame)
            self.values.append(steadiness.mean_inside(unrest, region))
        self.last = [*self.last[-1:], frame]

    def figures(self) -> dict[str, Figure]:
        """Return the mean over the frames with enough of it."""
        measured = int(np.count_nonzero(np.isfinite(self.values)))
        value = mean(self.values)
        found = figure(value, measured, len(self.pose), NO_OUTSIDE)
        return {"flicker outside the person, gray levels": found}


class StillFlicker:
    """Changes of pixels that do not change in the true clip."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.last: tuple[np.ndarray, np.ndarray] | None = None
        self.has_truth = False
        self.values: list[float] = []

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Measure the step from the last frame to this one."""
        if truth is None:
            self.last = None
            return
        self.has_truth = True
        if self.last is not None:
            last_frame, last_truth = self.last
            still = steadiness.is_still(last_truth, truth)
            change = steadiness.change(last_frame, frame)
            self.values.append(steadiness.mean_inside(change, still))
        self.last = (frame, truth)

    def figures(self) -> dict[str, Figure]:
        """Return the mean over the steps with enough still pixels."""
        measured = int(np.count_nonzero(np.isfinite(self.values)))
        why = NOT_STILL if self.has_truth else NO_TRUTH
        found = figure(mean(self.values), measured, self.frames, why)
        return {"flicker of true still pixels, gray levels": found}


class Seams:
    """Changes over the borders of segments, beside those around them."""

    def __init__(self, frames: int, borders: Sequence[int]) -> None:
        self.frames = frames
        self.borders = borders
        self.last: np.ndarray | None = None
        self.changes: list[float] = []

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Measure the step from the last frame to this one."""
        if self.last is not None and self.borders:
            change = steadiness.change(self.last, frame)
            self.changes.append(float(change.mean()))
        self.last = frame

    def figures(self) -> dict[str, Figure]:
        """Return the ratio; its frames are the seams."""
        ratio = steadiness.seam_ratio(np.array(self.changes), self.borders)
        if not math.isfinite(ratio):
            return {"seams, change over its surroundings": Figure(math.nan, why=NO_SEAMS)}
        coverage = len(self.borders) / max(self.frames, 1)
        return {"seams, change over its surroundings": Figure(ratio, len(self.borders), coverage)}


class TruthError:
    """PSNR and SSIM of whole frames beside the true ones."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.psnr: list[float] = []
        self.ssim: list[float] = []
        self.missing = ""  # why there is no SSIM

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Compare a frame with the true one."""
        if truth is None:
            return
        self.psnr.append(psnr(frame, truth))
        if self.missing:
            return
        try:
            similarity = structure.ssim_map(frame, truth)
        except InputError as error:
            self.missing = str(error)
        else:
            self.ssim.append(float(similarity.mean()))

    def figures(self) -> dict[str, Figure]:
        """Return the means over the frames with a truth."""
        return {
            "PSNR, dB": figure(mean(self.psnr), len(self.psnr), self.frames, NO_TRUTH),
            "SSIM": figure(mean(self.ssim), len(self.ssim), self.frames, self.missing or NO_TRUTH),
        }


def psnr(frame: np.ndarray, truth: np.ndarray) -> float:
    """Return the PSNR of a frame in dB, at most 100."""
    difference = (frame.astype(np.float32) - truth) / WHITE
    error = float(np.square(difference).mean())
    return -10 * math.log10(max(error, structure.LEAST_ERROR))
