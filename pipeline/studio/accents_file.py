"""Accents as a JSON file that people can edit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.motion.accents import checked
from pipeline.motion.prosody import Prosody
from pipeline.values import Audio, InputError

MAX_ACCENTS_BYTES = 1 << 20


def accent_rows(table: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(seconds, strength) of accents (N,2), to the millisecond: what settings keep."""
    return tuple((round(time, 3), round(strength, 3)) for time, strength in table.tolist())


def read_accents(path: str, audio: Audio) -> np.ndarray:
    """(N,2) seconds and strengths of a JSON file with a list of {"time": seconds, "strength": 0 to 1}."""
    try:
        return checked(_accent_table(path), audio.seconds + 0.01)
    except ValueError as error:
        raise InputError(f"accents file {path}: {error}") from error


def _accent_table(path: str) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_ACCENTS_BYTES + 1)
        table = json.loads(text.decode()) if len(text) <= MAX_ACCENTS_BYTES else None
    except FileNotFoundError:
        raise InputError("it does not exist; check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"it is not readable JSON ({error})") from error
    if not isinstance(table, list):
        raise InputError(f"it needs a list of accents, at most {MAX_ACCENTS_BYTES >> 20} MB")
    for row, accent in enumerate(table, 1):
        values = (
            [accent.get(key) for key in ("time", "strength")] if isinstance(accent, dict) else []
        )
        if not values or not all(type(v) in (int, float) and abs(v) < 1e6 for v in values):
            raise InputError(
                f'accent {row} needs numbers for "time", in seconds, and "strength", 0 to 1'
            )
    return np.array([(accent["time"], accent["strength"]) for accent in table], float).reshape(
        -1, 2
    )


def write_accents(prosody: Prosody, path: str) -> None:
    """Writes the detected accents, to the millisecond, in the form that `read_accents` reads."""
    rows = prosody.accents if prosody.curve is None else prosody.curve.detected_accents
    lines = [
        json.dumps({"time": time, "strength": strength}) for time, strength in accent_rows(rows)
    ]
    try:
        Path(path).write_text(
            "[\n  " + ",\n  ".join(lines) + "\n]\n" if lines else "[]\n", encoding="utf-8"
        )
    except OSError as error:
        raise InputError(f"accents file {path} cannot be written ({error.strerror})") from error
