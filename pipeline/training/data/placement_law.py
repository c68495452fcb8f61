"""Where faces lie in full-body clips: the law of FDA's placements, measured (APV-Gen, eq. 2-5).

FDA places whole frames of face clips, so the face region of a body clip is what such a frame would
show of it: a box around the face in which the face has the share that it has in face clips.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.media import json_text
from pipeline.training.data.fda_sampling import PAPER, PlacementLaw
from pipeline.values import InputError, Pose

LEAST_POINTS = 30  # visible face points of a frame that is measured
QUANTITIES = ("width", "height", "top")
LEAST_SCALE = 0.02  # of the law: less is no picture


@dataclass(frozen=True)
class FaceBox:
    """The box of the 68 face points: mean share of width and height, and its upper edge."""

    width: float
    height: float
    top: float


# The face in portraits, where no face clips are given: the mean of six studio clips and four
# close-ups. With it eight clips of dancers and presenters have a law of .36, .24 and .12, near the
# paper's; their boxes of face points alone (.13, .09 and .22) would be nowhere near it.
PORTRAIT = FaceBox(width=0.355, height=0.385, top=0.404)


@dataclass(frozen=True)
class MeasuredLaw:
    """A law, and what it was measured on.

    body, face: mean boxes of both kinds of clips. spread: standard deviations over the body clips
    of a_x, a_y, b_y. clips, frames: of body clips with a face. notes: sentences on limits.
    """

    law: PlacementLaw
    body: FaceBox
    face: FaceBox
    spread: tuple[float, float, float]
    clips: int
    frames: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `law` is what `read` reads."""
        return asdict(self)


def face_boxes(pose: Pose) -> np.ndarray:
    """Return width, height and top (n,3) of the face in the frames that show one."""
    seen = pose.face.visible
    shown = seen.sum(1) >= LEAST_POINTS
    xy = pose.face.xy[shown]
    visible = seen[shown][..., None]
    low = np.where(visible, xy, np.inf).min(1)
    high = np.where(visible, xy, -np.inf).max(1)
    sides = high - low
    return np.column_stack([sides, low[:, 1]])


def measure(body: list[np.ndarray], face: list[np.ndarray]) -> MeasuredLaw:
    """Return the law of clips' face boxes, each (n,3) of one clip; every clip counts the same.

    Args:
        body: of full-body clips.
        face: of face clips; without any, PORTRAIT stands for them.
    """
    means = _means(body)
    if not len(means):
        raise InputError("no face was seen in any body clip; give clips whose faces can be seen")
    portrait = PORTRAIT
    face_means = _means(face)
    if len(face_means):
        portrait = FaceBox(*face_means.mean(0).tolist())
    scales = means[:, :2] / (portrait.width, portrait.height)
    tops = means[:, 2] - scales[:, 1] * portrait.top
    quantities = np.column_stack([scales, tops])
    average = quantities.mean(0).tolist()
    spread = quantities.std(0).tolist()
    law, notes = _possible(average)
    frames = sum(len(boxes) for boxes in body)
    body_box = FaceBox(*means.mean(0).tolist())
    return MeasuredLaw(law, body_box, portrait, tuple(spread), len(means), frames, notes)


def _means(clips: list[np.ndarray]) -> np.ndarray:
    """Return the mean box (n,3) of each clip that shows a face."""
    means = [boxes.mean(0) for boxes in clips if len(boxes)]
    return np.array(means).reshape(-1, len(QUANTITIES))


def _possible(average: list[float]) -> tuple[PlacementLaw, tuple[str, ...]]:
    """Return the law of mean a_x, a_y, b_y; shares that leave the picture are brought back."""
    notes = []
    delta = PAPER.delta
    smallest = min(average[:2])
    if smallest < delta + LEAST_SCALE:
        delta = round(smallest / 2, 4)
        notes.append(f"delta is {delta:g} instead of {PAPER.delta:g}: the faces are that small")
    shares = []
    for name, share in zip(QUANTITIES, average[:2], strict=False):
        most = 1 - delta
        if share > most:
            notes.append(f"the mean {name} of {share:.3f} is lowered to {most:g}: close-ups")
        shares.append(round(min(share, most), 4))
    law = PlacementLaw(shares[0], shares[1], round(average[2], 4), delta)
    return law, tuple(notes)


def write(path: Path, measured: MeasuredLaw) -> None:
    """Write the law and its figures as JSON."""
    text = json.dumps(measured.to_dict(), indent=1)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the law cannot be written to {path} ({error.strerror}); choose another file"
        ) from error


def read(path: Path) -> PlacementLaw:
    """Read a law that `write` wrote, or its four numbers alone."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"the law {path} cannot be read ({error.strerror})") from error
    try:
        return _law_from(json_text.parse(content))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} holds no placement law ({error}); make one with "
            "`python -m pipeline train data-stats`"
        ) from error


def _law_from(values: Mapping[str, Any]) -> PlacementLaw:
    """Make a law from JSON."""
    numbers = values.get("law", values)
    arguments = {}
    for place in fields(PlacementLaw):
        value = numbers[place.name]
        if type(value) not in (int, float):
            raise ValueError(f"{place.name} is {value!r:.40}")
        arguments[place.name] = float(value)
    return PlacementLaw(**arguments)
