"""`evaluate photos --framing`: the head's size and place in the framing of each photograph.

Every photograph is met by every clip, without speech and without a renderer: the driving body is
put on the photograph's, and its face is compared with the photograph's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.analysis.driving import Driving, open_driving
from pipeline.analysis.framing import detect_reference
from pipeline.analysis.progress import finish
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.motion import retarget, timing
from pipeline.motion.retarget.face_size import face_boxes
from pipeline.motion.retarget.report import SAME_HEAD
from pipeline.values import InputError, Pose

FPS = 10.0
SECONDS = 6.4
DETECTOR = "holistic"
MOST_OUTSIDE = 0.0
MOST_UNTOLD = 0.0


@dataclass(frozen=True)
class Landing:
    """How one clip's person landed in one photograph.

    Args:
        reference: Name of the photograph.
        driving: Name of the clip.
        height: The face's median height over the photograph's.
        smallest: The head's smallest size over the photograph's, as the person goes away.
        largest: The same as the person comes closer.
        outside: Share of the frames in which the face leaves the picture.
        untold: Whether a part that the photograph shows leaves the picture, or the person comes
            closer, without a word.
    """

    reference: str
    driving: str
    height: float
    smallest: float
    largest: float
    outside: float
    untold: bool

    @property
    def title(self) -> str:
        """The pair's name in rows."""
        return f"{self.reference}, {self.driving}"


def land(people: Sequence[Pose], reference: Pose) -> tuple[float, float, retarget.Report]:
    """Put a driver on a reference: the face's height over its own, the share of frames with the
    face outside, and the alignment's report; NaN where no face is seen."""
    filled = [timing.fill_gaps(person) for person in people]
    pose, report = retarget.retarget(filled, reference)
    boxes = face_boxes(pose)
    goal = face_boxes(reference)
    if not (boxes.seen.any() and goal.seen.any()):
        return float("nan"), float("nan"), report
    heights = boxes.height[boxes.seen] / goal.height[0]
    further = _beyond(pose) > _beyond(reference)
    outside = further.any(1)
    share = outside[boxes.seen].mean()
    return float(np.median(heights)), float(share), report


def _beyond(pose: Pose) -> np.ndarray:
    """Measure how far a face lies beyond the picture's left, top, right and lower edge (T,4)."""
    seen = pose.face.visible[..., None]
    xy = np.where(seen, pose.face.xy, 0.5)
    low = xy.min(1)
    high = xy.max(1)
    ways = np.concatenate([-low, high - 1], 1)
    return np.maximum(ways, 0)


def is_told(report: retarget.Report) -> bool:
    """Tell whether the report's sentences name all that leaves the picture, and a size that
    changes."""
    sentences = " ".join(report.warnings)
    smallest, largest = report.head_sizes
    changes = largest > SAME_HEAD or smallest < 1 / SAME_HEAD
    leaves = report.outside > 0
    if leaves and "outside the frame" not in sentences:
        return False
    return not changes or "comes closer" in sentences


def table(landings: Sequence[Landing]) -> list[Row]:
    """Return the rows: each pair's height, then what must hold for all."""
    rows = []
    worst = 1.0
    outside = 0.0
    untold = 0
    for landing in landings:
        name = f"{landing.title}: height of the face over its own"
        rows.append(Row(name, landing.height))
        worst = max(worst, landing.height, 1 / landing.height)
        outside = max(outside, landing.outside)
        untold += landing.untold
    untold_share = untold / len(landings)
    rows += [
        Row("largest height, or 1 over the smallest", worst, SAME_HEAD),
        Row("largest share of frames with the face outside", outside, MOST_OUTSIDE),
        Row("share of pairs with something untold", untold_share, MOST_UNTOLD),
    ]
    return rows


def report(references: Sequence[Path], clips: Sequence[Path]) -> tuple[Report, str]:
    """Measure all pairs; return their report and its heading.

    A pair without a face is named in a note. Raises InputError where no pair is left.
    """
    drivers = {}
    for clip in clips:
        drivers[clip.stem] = _people(open_driving(clip, DETECTOR))
    landings = []
    notes = []
    for path, driving in itertools.product(references, drivers):
        picture = media.to_picture(media.read_image(path))
        try:
            detection = detect_reference(picture, DETECTOR)
        except InputError as error:
            notes.append(f"{path.stem}: {error}")
            continue
        height, outside, alignment = land(drivers[driving], detection.people[0])
        if np.isnan(height):
            notes.append(f"{path.stem}, {driving}: no face to compare")
            continue
        smallest, largest = alignment.head_sizes
        untold = not is_told(alignment)
        landing = Landing(path.stem, driving, height, smallest, largest, outside, untold)
        landings.append(landing)
    if not landings:
        reasons = "; ".join(dict.fromkeys(notes))
        raise InputError(f"no pair of photograph and clip can be measured: {reasons}")
    facts = {"landings": [asdict(landing) for landing in landings]}
    told = list(dict.fromkeys(notes))
    heading = f"{len(landings)} pairs of photograph and clip, in the photograph's framing"
    return Report(table(landings), DEFINITIONS["photos"], facts, notes=told), heading


def _people(driving: Driving) -> tuple[Pose, ...]:
    frames = round(SECONDS * FPS)
    work = driving.people(FPS, frames, DETECTOR)
    return finish(work).people
