"""What one method's frames of one clip are worth: pictures against the truth, and what is found.

`measure` is all of it. `picture_figures` alone needs no detector and takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.analysis import detectors
from pipeline.evaluation.metrics import structure
from pipeline.evaluation.reenact import found_again
from pipeline.evaluation.reenact.cases import Case, joined, look, mask_of
from pipeline.evaluation.reenact.regions import change

PLACES = ("whole", "person", "face", "hands")
SHARP_PLACES = ("person", "face", "hands")
DEBRIS_LEVELS = 24  # gray levels: a change of the background beyond it is seen
LOOK_STEP = 2  # the detector looks at every second measured frame, which halves the time
PERMILLE = 1000


@dataclass(frozen=True)
class Figures:
    """The figures of one method on one clip; METRICS.md defines them.

    A figure is NaN where the clip shows nothing to measure it on.

    Args:
        psnr: dB by place.
        ssim: Structural similarity by place.
        gmsd: Gradient magnitude similarity deviation by place.
        sharpness: Over the truth's, by place.
        debris: Permille of the person's area.
        found: Intersection over union of the silhouettes, and shares that are found again.
    """

    psnr: dict[str, float]
    ssim: dict[str, float] = field(default_factory=dict)
    gmsd: dict[str, float] = field(default_factory=dict)
    sharpness: dict[str, float] = field(default_factory=dict)
    debris: float = math.nan
    found: dict[str, float] = field(default_factory=dict)

    def named(self) -> dict[str, float]:
        """Return all figures by one name each, such as "PSNR face" and "debris"."""
        kinds = {
            "PSNR": self.psnr,
            "SSIM": self.ssim,
            "GMSD": self.gmsd,
            "sharpness": self.sharpness,
        }
        values = {}
        for kind, by_place in kinds.items():
            for place, value in by_place.items():
                values[f"{kind} {place}"] = value
        return {**values, "debris": self.debris, **self.found}


def measure(case: Case, frames: np.ndarray) -> Figures:
    """Return all figures of frames (T, h, w, 3) uint8, rendered for a case."""
    pictures = picture_figures(case, frames)
    return Figures(
        psnr=pictures.psnr,
        ssim=by_place(case, frames, structure.ssim_map, np.mean),
        gmsd=by_place(case, frames, structure.gradient_similarity, np.std),
        sharpness={place: sharpness(case, frames, place) for place in SHARP_PLACES},
        debris=pictures.debris,
        found=found_figures(case, frames),
    )


def picture_figures(case: Case, frames: np.ndarray) -> Figures:
    """Return PSNR and debris alone."""
    return Figures(
        psnr=by_place(case, frames, squared_error, decibels), debris=debris(case, frames)
    )


def by_place(
    case: Case,
    frames: np.ndarray,
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
    pool: Callable[[np.ndarray], float],
) -> dict[str, float]:
    """Return a figure by place: the mean over frames of a pooled map.

    Args:
        case: The truth and its regions.
        frames: What is compared with it.
        compare: Makes a map (h, w) of a frame and its truth.
        pool: Makes a figure of the map's values inside a place.
    """
    values: dict[str, list[float]] = {place: [] for place in PLACES}
    for row, frame in enumerate(frames):
        compared = compare(frame, case.truth[row])
        for place in PLACES:
            inside = compared if place == "whole" else compared[case.regions[place][row]]
            if inside.size >= structure.LEAST_PIXELS:
                values[place].append(float(pool(inside)))
    return {place: mean(figures) for place, figures in values.items()}


def mean(values: list[float]) -> float:
    """Return the mean, NaN without any value."""
    return math.fsum(values) / len(values) if values else math.nan


def squared_error(frame: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the squared error (h, w) of a frame in [0, 1], mean over the colors."""
    difference = (frame.astype(np.float32) - truth) / 255
    return np.square(difference).mean(2)


def decibels(squares: np.ndarray) -> float:
    """Return the PSNR in dB of squared errors, at most 100."""
    return -10 * math.log10(max(float(squares.mean()), structure.LEAST_ERROR))


def debris(case: Case, frames: np.ndarray) -> float:
    """Return how much unchanged background a method changes, in permille of the person's area."""
    shares = []
    for row, frame in enumerate(frames):
        area = int(np.count_nonzero(case.regions["person"][row]))
        if area < structure.LEAST_PIXELS:
            continue
        is_changed = change(frame, case.truth[row]) > DEBRIS_LEVELS
        count = int(np.count_nonzero(is_changed & case.still[row]))
        shares.append(PERMILLE * count / area)
    return mean(shares)


def sharpness(case: Case, frames: np.ndarray, place: str) -> float:
    """Return the mean energy of fine edges in a place over the truth's; 1 is right."""
    result = 0.0
    truth = 0.0
    for row, frame in enumerate(frames):
        region = case.regions[place][row]
        if np.count_nonzero(region) < structure.LEAST_PIXELS:
            continue
        result += structure.edge_energy(frame, region)
        truth += structure.edge_energy(case.truth[row], region)
    return result / truth if truth > 0 else math.nan


def found_figures(case: Case, frames: np.ndarray) -> dict[str, float]:
    """Return what the detector finds again in every LOOK_STEP-th frame."""
    detector = detectors.load()
    rows = slice(0, None, LOOK_STEP)
    sights = [look(detector, frame) for frame in frames[rows]]
    overlaps = [
        overlap(mask_of(sight, case.size), person)
        for sight, person in zip(sights, case.regions["person"][rows], strict=True)
    ]
    shares = found_again.shares(case.seen[rows], joined(sights, case.size))
    return {"silhouette IoU": mean([value for value in overlaps if value >= 0]), **shares}


def overlap(one: np.ndarray, truth: np.ndarray) -> float:
    """Return the intersection over union of two masks (h, w) bool; -1 where the truth is empty."""
    if not truth.any():
        return -1.0
    return float(np.count_nonzero(one & truth) / np.count_nonzero(one | truth))
