"""Accents as a JSON file that people can edit: [{"time": seconds, "strength": 0 to 1}, ...]."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.media import json_text
from pipeline.motion.accents import checked
from pipeline.motion.prosody import Prosody
from pipeline.values import Audio, InputError

MAX_BYTES = 1 << 20  # more than enough for ten minutes of speech
MAX_MEGABYTES = MAX_BYTES >> 20
DECIMALS = 3  # milliseconds
END_SLACK_SECONDS = 0.01  # an accent at the rounded end of the speech counts
KEYS = ("time", "strength")
WANTED = 'give [{"time": seconds, "strength": 0 to 1}, ...]'
SANE_NUMBER = 1e6  # a larger number is nonsense; NaN fails the comparison as well


def accent_rows(table: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return seconds and strengths of accents (N,2), to the millisecond, as settings keep them."""
    return tuple(
        (round(time, DECIMALS), round(strength, DECIMALS)) for time, strength in table.tolist()
    )


def read_accents(path: str, audio: Audio) -> np.ndarray:
    """Return seconds and strengths (N,2) of the accents in a file; all must lie in the speech."""
    try:
        return checked(_read_table(path), audio.seconds + END_SLACK_SECONDS)
    except InputError as error:
        raise InputError(f"accents file {path}: {error}") from error


def _read_table(path: str) -> np.ndarray:
    """Return the file's accents (N,2) as they are."""
    table = _read_json(path)
    if not isinstance(table, list):
        raise InputError(f"it holds no list of at most {MAX_MEGABYTES} MB; {WANTED}")
    rows = []
    for number, accent in enumerate(table, 1):
        if not _is_accent(accent):
            raise InputError(
                f'accent {number} needs numbers for "time", in seconds, and "strength", 0 to 1'
            )
        rows.append([accent[key] for key in KEYS])
    return np.array(rows, float).reshape(-1, 2)


def _read_json(path: str) -> Any:
    """Return what the file holds, or None where it is too large."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            return None
        return json_text.parse(text)
    except FileNotFoundError:
        raise InputError("it does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror}); check the path") from error
    except InputError as error:
        raise InputError(f"it is not readable JSON ({error}); {WANTED}") from error


def _is_accent(accent: Any) -> bool:
    """Say whether the entry has a sane number for each key."""
    if not isinstance(accent, dict):
        return False
    values = [accent.get(key) for key in KEYS]
    return all(type(value) in (int, float) and abs(value) < SANE_NUMBER for value in values)


def write_accents(prosody: Prosody, path: str) -> None:
    """Write the detected accents, to the millisecond, in the form that `read_accents` reads."""
    accents = prosody.accents if prosody.curve is None else prosody.curve.detected_accents
    lines = []
    for time, strength in accent_rows(accents):
        lines.append(json.dumps({"time": time, "strength": strength}))
    text = "[\n  " + ",\n  ".join(lines) + "\n]\n" if lines else "[]\n"
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"accents file {path} cannot be written ({error.strerror})") from error
