"""Read a TFLite file: its operators, shapes and constants, also sparse ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import tflite

ELEMENT_TYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.UINT8: np.uint8,
    tflite.TensorType.INT64: np.int64,
    tflite.TensorType.INT8: np.int8,
}
# Tables in which a sparse axis keeps its numbers, by the type that the file names.
INDEX_TABLES = {
    tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
    tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
    tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
}
KINDS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()}

Options = TypeVar("Options")


@dataclass(frozen=True)
class Operator:
    """One operator: its kind such as "CONV_2D", and the numbers of its tensors (-1 = none)."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    table: Any

    def options(self, kind: type[Options]) -> Options:
        """Read the operator's options as the schema's class `kind`."""
        place = self.table.BuiltinOptions()
        options: Any = kind()
        options.Init(place.Bytes, place.Pos)
        return options


class TfliteFile:
    """The first subgraph of a file."""

    def __init__(self, data: bytes) -> None:
        self._model = tflite.Model.GetRootAs(data, 0)
        self._graph = self._model.Subgraphs(0)
        self._constants: dict[int, np.ndarray] = {}

    @property
    def input(self) -> int:
        """The number of the tensor that takes the picture."""
        return self._graph.Inputs(0)

    @property
    def outputs(self) -> list[int]:
        """The numbers of the tensors that hold the results."""
        return [self._graph.Outputs(i) for i in range(self._graph.OutputsLength())]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor, batch first, channels last."""
        table = self._graph.Tensors(tensor)
        sides = []
        for axis in range(table.ShapeLength()):
            side = table.Shape(axis)
            sides.append(side)
        return tuple(sides)

    def operators(self) -> Iterator[Operator]:
        """Yield the operators in the order of work."""
        for i in range(self._graph.OperatorsLength()):
            table = self._graph.Operators(i)
            codes = self._model.OperatorCodes(table.OpcodeIndex())
            code = max(codes.BuiltinCode(), codes.DeprecatedBuiltinCode())
            inputs = []
            for k in range(table.InputsLength()):
                tensor = table.Inputs(k)
                inputs.append(tensor)
            output = table.Outputs(0)
            yield Operator(KINDS[code], tuple(inputs), output, table)

    def constant(self, tensor: int) -> np.ndarray | None:
        """Return the values of a constant, dense; None where the tensor is computed."""
        if tensor in self._constants:
            return self._constants[tensor]
        table = self._graph.Tensors(tensor)
        buffer = self._model.Buffers(table.Buffer())
        if buffer.DataLength() == 0:
            return None
        data = buffer.DataAsNumpy()
        kind = ELEMENT_TYPES[table.Type()]
        values = np.frombuffer(data.tobytes(), kind)
        shape = self.shape(tensor)
        sparsity = table.Sparsity()
        if sparsity is not None:
            values = _dense(sparsity, values, shape)
        shaped = values.reshape(shape)
        self._constants[tensor] = shaped
        return shaped

    def set_constant(self, tensor: int, values: np.ndarray) -> None:
        """Say what a tensor holds that an operator computes from constants alone."""
        self._constants[tensor] = values


def _dense(sparsity: Any, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Lay the stored values of a sparse constant in a dense array, zero elsewhere.

    The axes are walked in the file's traversal order. Axes behind the array's own divide a block
    and refine the axis that the block map names.
    """
    rank = len(shape)
    positions = np.zeros(1, np.int64)
    places = np.zeros((1, rank), np.int64)
    for level in range(sparsity.DimMetadataLength()):
        axis_table = sparsity.DimMetadata(level)
        parents, steps, positions = _descend(axis_table, positions)
        places = places[parents]
        axis = sparsity.TraversalOrder(level)
        if axis < rank:
            places[:, axis] = steps
        else:
            refined = sparsity.BlockMap(axis - rank)
            block = axis_table.DenseSize()
            places[:, refined] *= block
            places[:, refined] += steps
    if len(positions) != len(values):
        raise ValueError(f"a sparse constant has {len(values)} values, its axes {len(positions)}")
    dense = np.zeros(shape, values.dtype)
    everywhere = tuple(places.T)
    dense[everywhere] = values[positions]
    return dense


def _descend(axis: Any, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Go from the entries at `positions` (n,) to their entries along one more axis.

    Return for each new entry (m,) its parent among the n, its place along the axis and its position
    in storage.
    """
    numbers = np.arange(len(positions))
    if axis.Format() == tflite.DimensionType.DENSE:
        size = axis.DenseSize()
        parents = np.repeat(numbers, size)
        along = np.arange(size)
        steps = np.tile(along, len(positions))
        stored = positions[parents] * size + steps
        return parents, steps, stored
    segments = _index_table(axis.ArraySegmentsType(), axis.ArraySegments())
    indices = _index_table(axis.ArrayIndicesType(), axis.ArrayIndices())
    starts = segments[positions]
    ends = segments[positions + 1]
    counts = ends - starts
    parents = np.repeat(numbers, counts)
    before = np.cumsum(counts) - counts
    new_numbers = np.arange(len(parents))
    within = new_numbers - before[parents]
    stored = starts[parents] + within
    return parents, indices[stored], stored


def _index_table(kind: int, place: Any) -> np.ndarray:
    """Read the numbers (n,) of a sparse axis."""
    table = INDEX_TABLES[kind]()
    table.Init(place.Bytes, place.Pos)
    values = table.ValuesAsNumpy()
    return values.astype(np.int64)
