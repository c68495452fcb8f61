"""The frozen lists of clips and photographs: which half a file belongs to, by its content.

Thresholds and constants may be chosen on the tuning half. The held half is looked at last.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from pipeline.values import InputError

PROTOCOLS = Path(__file__).resolve().parent / "protocols"
CLIPS = PROTOCOLS / "reenact_clips.tsv"
PHOTOS = PROTOCOLS / "photos.tsv"
HALVES = ("tuning", "held")


@functools.cache
def halves(path: Path) -> dict[str, str]:
    """Return the half by the SHA-256 of each file of a list."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table = csv.DictReader(lines, delimiter="\t")
    found = {}
    for entry in table:
        digest = entry["sha256"]
        found[digest] = entry["half"]
    return found


def half_of(file: Path, path: Path) -> str:
    """Return "tuning" or "held", "" for a file that is not in the list `path`."""
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    known = halves(path)
    return known.get(digest, "")


def keep_half(files: Sequence[Path], half: str | None, path: Path) -> list[Path]:
    """Return the files of one half of a list, all of them where no half is named.

    Raises InputError where none is left.
    """
    if half is None:
        return list(files)
    kept = [file for file in files if half_of(file, path) == half]
    if not kept:
        raise InputError(f"none of the files belongs to the {half} half of {path.name}")
    return kept
