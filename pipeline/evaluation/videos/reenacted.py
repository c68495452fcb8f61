"""The rows of `evaluate reenact` for results of any method whose true clip is known.

A result's first seconds are compared with its truth at the rate and in the places of `evaluate
reenact`: person, face and hands are where they are in the true frames.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np

from pipeline.analysis import detectors
from pipeline.evaluation.reenact import regions
from pipeline.evaluation.reenact.cases import FPS, Case, joined, look, mask_of, silent_motion
from pipeline.evaluation.reenact.figures import measure
from pipeline.evaluation.videos.clip import NO_TRUTH, Clip, Figure, figure
from pipeline.evaluation.videos.gauges import frames_of, resized
from pipeline.values import Detection, InputError

SECONDS = 3.0  # as `evaluate reenact` measures by default: frames are held, and detected one by one
LEAST_FRAMES = 2
PREFIX = "reenacted: "
NO_PERSON = "nobody is seen in the true clip's first seconds"
NOT_SHOWN = "no true frame shows it"
TRUTH_ROW = f"{PREFIX}figures beside the truth"


def reenacted_figures(clip: Clip) -> dict[str, Figure]:
    """Return all figures of `evaluate reenact` of a clip; one row with a reason without a truth."""
    if clip.case.truth is None:
        return {TRUTH_ROW: Figure(math.nan, why=NO_TRUTH)}
    result = first_frames(clip.case.video)
    truth = first_frames(clip.case.truth)
    count = min(len(result), len(truth))
    if count < LEAST_FRAMES:
        return {TRUTH_ROW: Figure(math.nan, why=NO_TRUTH)}
    frames = np.stack(result[:count])
    true_frames = [resized(true, frames[0]) for true in truth[:count]]
    case = truth_case(clip.case.name, np.stack(true_frames))
    if case is None:
        return {TRUTH_ROW: Figure(math.nan, why=NO_PERSON)}
    try:
        figures = measure(case, frames).named()
    except InputError as error:  # without scikit-image
        return {TRUTH_ROW: Figure(math.nan, why=str(error))}
    total = max(count, round(clip.seconds * FPS))
    return {
        f"{PREFIX}{name}": figure(value, count, total, NOT_SHOWN) for name, value in figures.items()
    }


def first_frames(path: Path) -> list[np.ndarray]:
    """Return the frames of a video's first seconds."""
    count = round(SECONDS * FPS)
    return list(itertools.islice(frames_of(path, FPS), count))


def truth_case(name: str, truth: np.ndarray) -> Case | None:
    """Return true frames (T, h, w, 3) as a case of `evaluate reenact`; None without a person.

    Places follow from what the detector sees in each frame. Unchanged is what is as in the first.
    """
    height, width = truth.shape[1:3]
    size = (height, width)
    detector = detectors.load()
    sights = [look(detector, frame) for frame in truth]
    seen = joined(sights, size)
    first = first_sight(sights)
    if first is None:
        return None
    masks = np.stack([mask_of(sight, size) for sight in sights])
    return Case(
        name=name,
        image=truth[0],
        motion=silent_motion(seen, first),
        truth=truth,
        seen=seen,
        regions=regions.places(masks, seen, size),
        still=regions.still_background(truth, masks, 0),
    )


def first_sight(sights: list[Detection | None]) -> Detection | None:
    """Return the first sight of a person."""
    return next((sight for sight in sights if sight is not None), None)
