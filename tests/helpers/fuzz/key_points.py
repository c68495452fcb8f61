"""Pose files and accents whose numbers, shapes or types are wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.media.pose_files import openpose
from tests.helpers.fuzz.originals import FRAMES, echomimic_arrays
from tests.helpers.stick_person import figure

Arrays = dict[str, np.ndarray]
ODD_NUMBERS = (
    float("nan"),
    float("inf"),
    float("-inf"),
    1e308,
    -1e308,
    1e30,
    1e9,
    1e6,
    65536.0,
    -1.0,
    2.0,
    1e-320,
    0.0,
    -0.0,
)
ODD_TYPES = ("float16", "float32", ">f8", "int8", "int64", "uint64", "bool", "complex128", "U9", "O", "M8[s]")  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    "",
    "0.5",
    [],
    {},
    [[]],
    10**400,
    -(10**30),
    float("nan"),
    float("inf"),
    1e308,
    -1,
    0,
    2.5,
)
MAX_FRAMES = 400


# ---- arrays


def write_arrays(rng: np.random.Generator, folder: Path) -> Path:
    """Write an `.npz` of this project or of EchoMimicV2 with a fault in one or two arrays."""
    pose = figure(FRAMES)
    if rng.random() < 0.7:
        path = folder / "pose.npz"
        pose.save(path)
        with np.load(path) as file:
            arrays = dict(file)
    else:
        path = folder / "echomimic.npz"
        arrays = echomimic_arrays(pose)
    for _ in range(int(rng.integers(1, 3))):
        fault = ARRAY_FAULTS[rng.integers(len(ARRAY_FAULTS))]
        fault(rng, arrays)
    np.savez(path, **arrays)
    return path


def _chosen(rng: np.random.Generator, arrays: Arrays) -> str:
    return str(rng.choice(sorted(arrays)))


def odd_number(rng: np.random.Generator, arrays: Arrays) -> None:
    """Put an odd number into some places of an array."""
    name = _chosen(rng, arrays)
    values = np.array(arrays[name], float)
    places = rng.random(values.shape) < rng.choice([0.01, 0.3, 1.0])
    arrays[name] = np.where(places, rng.choice(ODD_NUMBERS), values)


def scaled(rng: np.random.Generator, arrays: Arrays) -> None:
    """Stretch an array by a factor, as pixels in place of fractions."""
    name = _chosen(rng, arrays)
    factor = float(rng.choice([-1.0, 0.0, 1e-12, 1e-3, 10.0, 512.0, 1e6, 1e12]))
    with np.errstate(all="ignore"):
        arrays[name] = np.asarray(arrays[name]) * factor


def odd_type(rng: np.random.Generator, arrays: Arrays) -> None:
    """Keep an array as another type; as objects it would have to be unpickled."""
    name = _chosen(rng, arrays)
    kind = str(rng.choice(ODD_TYPES))
    values = np.asarray(arrays[name])
    if kind == "M8[s]":
        values = values.astype(np.int64)
    arrays[name] = values.astype(kind)


def odd_shape(rng: np.random.Generator, arrays: Arrays) -> None:
    """Give an array another shape."""
    name = _chosen(rng, arrays)
    values = np.asarray(arrays[name])
    shapes = (
        values[None],
        values.ravel(),
        values[..., None],
        values.T,
        values.reshape(-1)[:1],
        values.reshape(-1)[:0],
        np.repeat(np.atleast_1d(values), 2, axis=0),
        np.repeat(np.atleast_1d(values), 2, axis=-1),
        np.atleast_1d(values)[:1],
        np.atleast_1d(values)[:0],
        np.atleast_1d(values)[..., :1],
    )
    arrays[name] = shapes[rng.integers(len(shapes))]


def missing_array(rng: np.random.Generator, arrays: Arrays) -> None:
    """Leave an array out."""
    if len(arrays) > 1:
        del arrays[_chosen(rng, arrays)]


def other_length(rng: np.random.Generator, arrays: Arrays) -> None:
    """Give all arrays over time another number of frames."""
    frames = int(rng.choice([0, 1, 2, MAX_FRAMES]))
    for name, values in arrays.items():
        if np.ndim(values) > 1:
            repeated = np.resize(values, (max(frames, 1), *np.shape(values)[1:]))
            arrays[name] = repeated[:frames]


def unseen(rng: np.random.Generator, arrays: Arrays) -> None:
    """Make points missing: all of a kind, all of a moment, or at random."""
    scores = [name for name in sorted(arrays) if name.endswith("_score")]
    if not scores:
        return
    name = str(rng.choice(scores))
    values = np.array(arrays[name], float)
    kind = int(rng.integers(3))
    if kind == 0 or not values.size:
        values[...] = 0
    elif kind == 1:
        values[: len(values) // 2] = 0
    else:
        values[rng.random(values.shape) < 0.5] = 0
    arrays[name] = values


def collapsed(rng: np.random.Generator, arrays: Arrays) -> None:
    """Put all points of a kind on one place: no bone has a length."""
    places = [name for name in sorted(arrays) if np.ndim(arrays[name]) >= 3]
    if places:
        name = str(rng.choice(places))
        arrays[name] = np.full_like(np.asarray(arrays[name], float), 0.5)


def odd_facts(rng: np.random.Generator, arrays: Arrays) -> None:
    """Claim an odd frame rate or picture size."""
    if rng.random() < 0.5:
        arrays["fps"] = np.array(rng.choice([*ODD_NUMBERS, 0.001, 999.0, 25.0]))
        return
    sides = [(0, 0), (1, 1), (1, 65536), (65536, 65536), (-5, 9), (2**62, 2**62), (128, 96)]
    arrays["size"] = np.array(sides[rng.integers(len(sides))])


ARRAY_FAULTS: tuple[Callable[[np.random.Generator, Arrays], None], ...] = (
    odd_number,
    odd_number,
    scaled,
    odd_type,
    odd_shape,
    missing_array,
    other_length,
    unseen,
    unseen,
    collapsed,
    odd_facts,
)


# ---- JSON


def write_openpose(rng: np.random.Generator, folder: Path) -> Path:
    """Write OpenPose JSON, one list or a folder, with faults in some of its values."""
    pose = figure(FRAMES)
    frames: list[Any] = [openpose.frame(pose, row) for row in range(FRAMES)]
    for _ in range(int(rng.integers(1, 4))):
        frames = _with_json_fault(rng, frames)
    if rng.random() < 0.3 and isinstance(frames, list):
        path = folder / "frames"
        path.mkdir()
        for t, frame in enumerate(frames):
            (path / f"clip_{t:012d}_keypoints.json").write_text(_text(frame))
        return path
    path = folder / "openpose.json"
    path.write_text(_text(frames))
    return path


def write_accents(rng: np.random.Generator, folder: Path) -> Path:
    """Write a file of accents with faults in some of its values."""
    count = int(rng.choice([0, 1, 2, 50]))
    rows: Any = [{"time": t / 100, "strength": 1 - t / 50} for t in range(count)]
    for _ in range(int(rng.integers(0, 3))):
        rows = _with_json_fault(rng, rows)
    if rng.random() < 0.1:
        rows = {"accents": rows}
    path = folder / "accents.json"
    path.write_text(_text(rows))
    return path


def _text(value: Any) -> str:
    """Return JSON, with NaN and Infinity as Python writes them."""
    return json.dumps(value)


def _with_json_fault(rng: np.random.Generator, root: Any) -> Any:
    """Return a copy in which one value somewhere is odd, missing, doubled or repeated."""
    root = copy.deepcopy(root)
    parent, key = None, None
    value = root
    while isinstance(value, (list, dict)) and value and (parent is None or rng.random() < 0.8):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        parent = value
        key = keys[int(rng.integers(len(keys)))]
        value = parent[key]
    if parent is None:
        return ODD_VALUES[rng.integers(len(ODD_VALUES))]
    kind = int(rng.integers(4))
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent += [copy.deepcopy(value)] * int(rng.choice([1, 2, 50]))
    elif kind == 2 and isinstance(value, (int, float)):
        parent[key] = value * float(rng.choice([-1.0, 0.0, 1e3, 1e6, 1e12]))
    else:
        parent[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
    return root


def nested_json(rng: np.random.Generator, folder: Path) -> Path:
    """Write lists in lists, deeper than a parser likes, or a very long number."""
    path = folder / "deep.json"
    texts = ("[" * 100_000, "[" * 500 + "]" * 500, "[" + "9" * 10_000 + "]", "[1" * 9 + ",]" * 9)
    path.write_text(texts[rng.integers(len(texts))])
    return path
