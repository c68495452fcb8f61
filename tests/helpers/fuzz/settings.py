"""Odd settings: values of every option, names of files, typed as on a command line or as saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.studio.option_rows import Option, options_of
from pipeline.studio.request import FILE_FIELDS, Machine, OutputFiles, Request

ODD_WORDS = (
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e400",
    "1e-320",
    "-0.0",
    "0",
    "-1",
    "0x10",
    "1_000",
    " 1 ",
    "\u0663",  # an Arabic digit, which Python takes for 3
    "1,5",
    "10000000000000000000000",
    "9" * 5000,
    "",
    "auto",
    "none",
    "True",
    "--",
    "\n",
    "%s{0}",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    float("nan"),
    float("inf"),
    float("-inf"),
    -1,
    0,
    1e308,
    10**400,
    -(10**30),
    0.5,
    "1",
    "",
    b"1",
    [],
    [1],
    {},
    (1.0, 2.0),
    complex(1, 1),
    np.float32(1),
    np.int64(3),
    np.array([1, 2]),
)
PEOPLE = ("0", "1", "2", "-1", "99", "9" * 30, "0.5,0.5", "2,2", "nan,nan", "inf,0", "1,2,3", ",", "1e9,1e9", "a")  # fmt: skip
MODELS = ("mini", "Mini", "", ".", "/", "no-such-model", "/dev/null", "controlnext-svd", "a/b/c")
DEVICES = ("cpu", "auto", "cuda", "cuda:99", "mps", "meta", "xla", "", "cpu:1", "gpu", "cuda:-1")
ACCENT_ROWS: tuple[Any, ...] = (
    [],
    [[0.1, 0.5]],
    [[0.1, 0.5, 1]],
    [[9, 9]],
    [[float("nan"), 1]],
    [["0", "1"]],
    [None],
    "rows",
    {"time": 1},
    [[0.2, 1]] * 5000,
)
# Options whose odd values would only make the run long, or fetch weights
LEFT_ALONE = ("detector", "audio2pose", *FILE_FIELDS)
MAX_CHANGED = 5
VALID_SHARE = 0.5  # of the values: a run has to get past the checks of the first odd one
USUAL_SIDES = (64, 128, 144, 200, 256, 2048)


def preview_options() -> list[Option]:
    """Return the options of `preview` that are changed."""
    rows = [*options_of(Request), *options_of(Machine)]
    return [row for row in rows if "preview" in row.commands and row.name not in LEFT_ALONE]


def odd_words(rng: np.random.Generator) -> dict[str, str]:
    """Return some options with words as a user types them."""
    rows = preview_options()
    count = int(rng.integers(1, MAX_CHANGED + 1))
    chosen = rng.choice(len(rows), count, replace=False)
    return {rows[i].name: _word(rng, rows[i]) for i in sorted(chosen)}


def odd_values(rng: np.random.Generator) -> dict[str, Any]:
    """Return some options with values of any type, as a page or saved settings hand them over."""
    words = odd_words(rng)
    values: dict[str, Any] = {}
    for name, word in words.items():
        odd = ODD_VALUES[rng.integers(len(ODD_VALUES))]
        values[name] = odd if rng.random() < 0.5 else _typed(word)
    if rng.random() < 0.3:
        values["accent_rows"] = ACCENT_ROWS[rng.integers(len(ACCENT_ROWS))]
    return values


def _typed(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _word(rng: np.random.Generator, row: Option) -> str:
    """Return a word for an option: valid, at a limit, beyond it, or nonsense."""
    special: Mapping[str, tuple[str, ...]] = {
        "person": PEOPLE,
        "model": MODELS,
        "device": DEVICES,
    }
    if row.name in special:
        return _one(rng, special[row.name])
    is_valid = rng.random() < VALID_SHARE
    if row.choices:
        odd = (*ODD_WORDS, *(choice.upper() for choice in row.choices))
        return _one(rng, row.choices if is_valid else odd)
    if row.low is None or row.high is None:
        return _one(rng, ODD_WORDS)
    if not is_valid:
        beyond = (f"{row.low - 1:g}", f"{row.high + 1:g}", f"{row.high * 1e6:g}")
        return _one(rng, (*beyond, *ODD_WORDS))
    if row.name in ("height", "width"):
        return str(rng.choice(USUAL_SIDES))
    limits = (f"{row.low:g}", f"{row.high:g}")
    if row.whole:
        return _one(rng, (str(int(row.low)), str(int(row.high)), "3"))
    return _one(rng, (*limits, f"{rng.uniform(row.low, row.high)}"))


def _one(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[rng.integers(len(words))]


# ---- names


ODD_NAMES = (
    "with space.{}",
    "line\nbreak.{}",
    "\u00fcml\u00e4ut \u4e2d\u6587 \U0001f600.{}",
    "not_utf8_\udcff.{}",  # a byte that is no UTF-8, as Linux allows in names
    "%d_%s{{0}}.{}",
    "-dash.{}",
    "concat:a|b.{}",
    "http:host.{}",
    "[brackets]*?.{}",
    "quote'\".{}",
    "n" * 200 + ".{}",
    ".hidden.{}",
    "no_ending",
    "two.{}.txt",
    "UPPER.TXT",
)
OUTPUTS = (
    "out.mp4",
    "out.mov",
    "out.mkv",
    "out.webm",
    "out.gif",
    "out.webp",
    "frames/",
    "out.avi",
    "out.txt",
    "out",
    ".mp4",
    "",
    ".",
    "/dev/null",
    "/dev/full",
    "/proc/self/x.mp4",
    "missing/out.mp4",
    "OUT.MP4",
    "out.mp4/",
    "out.npz",
    "\udcff.mp4",
    "line\nbreak.mp4",
    "n" * 300 + ".mp4",
    "~/nowhere/out.mp4",
    "a%20b.mp4",
    "pipe:1",
    "file:out.mp4",
)


def odd_name(rng: np.random.Generator, ending: str) -> str:
    """Return the name of an input file."""
    return _one(rng, ODD_NAMES).format(ending)


def odd_outputs(rng: np.random.Generator, folder: Path) -> dict[str, str]:
    """Return where outputs go: some of them in odd places, some twice in one."""
    chosen: dict[str, str] = {}
    for row in options_of(OutputFiles):
        is_needed = row.required or rng.random() < 0.3
        if is_needed and "preview" in row.commands:
            name = _one(rng, OUTPUTS)
            is_place = name.startswith(("/", "~", ".")) or not name
            chosen[row.name] = name if is_place else f"{folder}/{name}"
    return chosen


def generate_words(rng: np.random.Generator) -> dict[str, str]:
    """Return some options that only `generate` has, with words as a user types them."""
    tables = (Request, Machine)
    rows = [row for table in tables for row in options_of(table) if row.commands == ("generate",)]
    typed = [row for row in rows if row.switch is None]
    chosen = rng.choice(len(typed), int(rng.integers(1, 4)), replace=False)
    return {typed[i].name: _word(rng, typed[i]) for i in sorted(chosen)}
