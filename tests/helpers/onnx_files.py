"""Tiny ONNX files in the published layout, written byte by byte: the onnx package is not needed for
that."""

from pathlib import Path

import numpy as np

FLOAT, INT64 = 1, 7  # ONNX element types
INTEGER, INTEGERS = 2, 7  # ONNX attribute types


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a whole number, or text, or a message of its own bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _array(name: str, values: np.ndarray) -> bytes:
    kind = INT64 if values.dtype == np.int64 else FLOAT
    dims = b"".join(_field(1, side) for side in values.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sides = b"".join(_field(1, _field(1 if isinstance(side, int) else 2, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, sides)))


def _node(kind: str, takes: list[str], gives: str, *attributes: bytes) -> bytes:
    names = b"".join(_field(1, name) for name in takes) + _field(2, gives)
    return names + _field(4, kind) + b"".join(_field(5, attribute) for attribute in attributes)


def write(
    path: Path,
    picture: tuple[int, int, int],
    outputs: dict[str, np.ndarray],
    batch: int | str = "batch",
    gain: float = 0.0,
) -> Path:
    """A network whose outputs are fixed arrays (rows, columns) plus `gain` times the mean of each
    picture."""
    axes = (
        _field(1, "axes") + b"".join(_field(8, axis) for axis in (1, 2, 3)) + _field(20, INTEGERS)
    )
    keep = _field(1, "keepdims") + _field(3, 1) + _field(20, INTEGER)
    graph = _field(1, _node("ReduceMean", ["images"], "mean", axes, keep))
    graph += _field(1, _node("Reshape", ["mean", "shape"], "flat"))
    graph += _field(1, _node("Mul", ["flat", "gain"], "shift"))
    for name in outputs:
        graph += _field(1, _node("Add", ["shift", f"{name}_fixed"], name))
    graph += _field(2, "tiny")
    graph += _field(5, _array("shape", np.array([-1, 1, 1], np.int64)))
    graph += _field(5, _array("gain", np.array(gain, np.float32)))
    for name, values in outputs.items():
        graph += _field(5, _array(f"{name}_fixed", values[None].astype(np.float32)))
    graph += _field(11, _value("images", (batch, *picture)))
    for name, values in outputs.items():
        graph += _field(12, _value(name, (batch, *values.shape)))
    path.write_bytes(_field(1, 7) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path
