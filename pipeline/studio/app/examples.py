"""Examples that run in one click."""

from __future__ import annotations

import logging

from pipeline import ROOT

log = logging.getLogger(__name__)

ASSETS = ROOT / "assets"
EXAMPLES = (  # label, reference image, speech, driving video or None, intensity
    (
        "Half body, beat gestures",
        "reference/half_jacket.png",
        "speech/welcome.wav",
        "driving/beats.mp4",
        1,
    ),
    (
        "Whole body, side steps",
        "reference/full_trousers.png",
        "speech/lecture.wav",
        "driving/steps.mp4",
        1,
    ),
    ("Pose-free, no driving video", "reference/half_glasses.png", "speech/weather.wav", None, 1),
    (
        "Hard accents, intensity 2",
        "reference/three_quarter.png",
        "speech/accents_no.wav",
        "driving/sway.mp4",
        2,
    ),
)


def examples() -> list[tuple]:
    """EXAMPLES with full paths; a row whose files are missing is left out with a warning."""
    rows = []
    for label, *files, intensity in EXAMPLES:
        paths = [None if name is None else ASSETS / name for name in files]
        missing = [path.name for path in paths if path and not path.is_file()]
        if missing:
            log.warning("example %r is left out: %s missing in assets", label, ", ".join(missing))
        else:
            rows.append((label, *(path and str(path) for path in paths), intensity))
    return rows
