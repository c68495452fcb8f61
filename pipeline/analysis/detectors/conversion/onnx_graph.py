"""An ONNX graph in the making, and how TFLite's tensors lie in it.

TFLite keeps channels last, ONNX Runtime is fast with channels first. So every value of four axes is
kept channels first; input and outputs of the file stay channels last.
"""

from __future__ import annotations

import numpy as np
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    checker,
    helper,
    numpy_helper,
)

from pipeline.analysis.detectors.conversion.tflite_file import TfliteFile

OPSET = 20
FORMAT_VERSION = 9  # of the file format; onnxruntime reads it since 1.15
INPUT = "image"
CHANNELS_FIRST = (0, 3, 1, 2)
CHANNELS_LAST = (0, 2, 3, 1)

Attribute = int | float | str | list[int] | tuple[int, ...]


class OnnxGraph:
    """Nodes and constants so far, and the ONNX name of each TFLite tensor."""

    def __init__(self, file: TfliteFile) -> None:
        self.file = file
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._names: dict[int, str] = {}
        self._names[file.input] = self.add("Transpose", [INPUT], perm=CHANNELS_FIRST)

    def add(self, kind: str, inputs: list[str], **attributes: Attribute) -> str:
        """Add a node with one output; return the output's name."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        node = helper.make_node(kind, inputs, [name])
        for key, value in sorted(attributes.items()):
            attribute = helper.make_attribute(key, value)
            node.attribute.append(attribute)
        self._nodes.append(node)
        return name

    def add_constant(self, values: np.ndarray) -> str:
        """Add a constant; float16 stays so in the file, which so stays small, and is cast."""
        name = f"constant_{len(self._constants)}"
        contiguous = np.ascontiguousarray(values)
        self._constants.append(numpy_helper.from_array(contiguous, name))
        if values.dtype == np.float16:
            return self.add("Cast", [name], to=TensorProto.FLOAT)
        return name

    def value(self, tensor: int, rank: int | None = None) -> str:
        """Return the name of a value, channels first where it has four axes.

        A constant is laid so that it broadcasts over a value of `rank` axes.
        """
        if tensor in self._names:
            return self._names[tensor]
        values = self.constant(tensor)
        if values.ndim == 4:
            values = values.transpose(CHANNELS_FIRST)
        elif rank == 4 and values.ndim == 3:
            values = values.transpose(2, 0, 1)
        elif rank == 4 and values.ndim == 1 and values.size > 1:
            values = values.reshape(-1, 1, 1)
        return self.add_constant(values)

    def constant(self, tensor: int) -> np.ndarray:
        """Return the values of a tensor that must be constant."""
        values = self.file.constant(tensor)
        if values is None:
            raise ValueError(f"tensor {tensor} is computed, where a constant is needed")
        return values

    def channels_last(self, tensor: int) -> str:
        """Return the name of a value with its axes as in TFLite."""
        name = self.value(tensor)
        if len(self.file.shape(tensor)) != 4:
            return name
        return self.add("Transpose", [name], perm=CHANNELS_LAST)

    def set_value(self, tensor: int, name: str) -> None:
        """Say which ONNX value a tensor is."""
        self._names[tensor] = name

    def set_channels_last(self, tensor: int, name: str) -> None:
        """Say which ONNX value with TFLite's axes a tensor is."""
        if len(self.file.shape(tensor)) == 4:
            name = self.add("Transpose", [name], perm=CHANNELS_FIRST)
        self._names[tensor] = name

    def model(self, title: str) -> ModelProto:
        """Return the finished model, checked; any number of pictures may go in at a time."""
        outputs = []
        for number, tensor in enumerate(self.file.outputs):
            name = f"output_{number}"
            result = self.channels_last(tensor)
            self._nodes.append(helper.make_node("Identity", [result], [name]))
            outputs.append(self._described(name, tensor))
        inputs = [self._described(INPUT, self.file.input)]
        graph = helper.make_graph(self._nodes, title, inputs, outputs, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=FORMAT_VERSION)
        checker.check_model(model)
        return model

    def _described(self, name: str, tensor: int) -> ValueInfoProto:
        """Return the declaration of an input or output, any number of pictures first."""
        shape: list[str | int | None] = ["N", *self.file.shape(tensor)[1:]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
