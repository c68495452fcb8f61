"""The frozen list of clips: which half a clip belongs to, by the content of its file.

Thresholds and constants may be chosen on the tuning half. The held half is looked at last.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from pathlib import Path

from pipeline import ROOT

LIST = ROOT / "pipeline" / "evaluation" / "protocols" / "reenact_clips.tsv"
HALVES = ("tuning", "held")


@functools.cache
def halves(path: Path = LIST) -> dict[str, str]:
    """Return the half by the SHA-256 of each clip of the list."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table = csv.DictReader(lines, delimiter="\t")
    found = {}
    for entry in table:
        digest = entry["sha256"]
        found[digest] = entry["half"]
    return found


def half_of(clip: Path) -> str:
    """Return "tuning" or "held", "" for a clip that is not in the list."""
    if not clip.is_file():
        return ""
    with clip.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = halves()
    return known.get(digest, "")
