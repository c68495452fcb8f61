"""Examples that run in one click."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pipeline import ROOT

log = logging.getLogger(__name__)

ASSETS = ROOT / "assets"


@dataclass(frozen=True)
class Example:
    """The inputs that one click fills in; files are named within `assets`, or in full."""

    label: str
    image: str
    audio: str
    video: str | None = None
    intensity: float = 1


EXAMPLES = (
    Example(
        "Half body, beat gestures",
        "reference/half_jacket.png",
        "speech/welcome.wav",
        "driving/beats.mp4",
    ),
    Example(
        "Whole body, side steps",
        "reference/full_trousers.png",
        "speech/lecture.wav",
        "driving/steps.mp4",
    ),
    Example(
        "Pose-free, no driving video",
        "reference/half_glasses.png",
        "speech/weather.wav",
    ),
    Example(
        "Hard accents, intensity 2",
        "reference/three_quarter.png",
        "speech/accents_no.wav",
        "driving/sway.mp4",
        intensity=2,
    ),
)


def examples() -> list[Example]:
    """Return EXAMPLES with full paths; leave out, with a warning, a row whose files are missing."""
    rows = []
    for row in EXAMPLES:
        names = [name for name in (row.image, row.audio, row.video) if name is not None]
        missing = [name for name in names if not (ASSETS / name).is_file()]
        if missing:
            files = ", ".join(missing)
            log.warning("example %r is left out: %s missing in assets", row.label, files)
            continue
        video = None if row.video is None else str(ASSETS / row.video)
        image, audio = str(ASSETS / row.image), str(ASSETS / row.audio)
        rows.append(Example(row.label, image, audio, video, row.intensity))
    return rows
