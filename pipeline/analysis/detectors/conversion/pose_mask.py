"""Cut the pose network in two: its points, and the mask that only pictures need.

The mask's head holds a thousandth of the weights and takes a third of the time. The features that
it reads leave the first network as one vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper
from onnx.numpy_helper import from_array
from onnx.shape_inference import infer_shapes

POINTS = ("output_0", "output_1", "output_3")  # of the whole network: points, presence, heat maps
MASK = "output_2"
FEATURES = "features"
POINTS_TITLE = "pose_landmark_full"
MASK_TITLE = "pose_mask"

Shapes = dict[str, list[int]]  # of the features (channels, height, width), by name


def split(model: ModelProto) -> dict[str, ModelProto]:
    """Return the two networks that make the pose network, by their titles."""
    points_nodes = _nodes_behind(model.graph, POINTS)
    known = {name for node in points_nodes for name in node.output}
    mask_nodes = []
    for node in _nodes_behind(model.graph, [MASK]):
        if node.output[0] not in known:
            mask_nodes.append(node)
    shapes = _feature_shapes(model, mask_nodes, known)
    points = _points_model(model, points_nodes, shapes)
    mask = _mask_model(model, mask_nodes, shapes)
    return {POINTS_TITLE: points, MASK_TITLE: mask}


def _nodes_behind(graph: GraphProto, names: Iterable[str]) -> list[NodeProto]:
    """Return the nodes that some values need, in the order of work."""
    needed = set(names)
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    nodes.reverse()
    return nodes


def _feature_shapes(model: ModelProto, nodes: Sequence[NodeProto], known: set[str]) -> Shapes:
    """Return the shapes of what `nodes` read of the `known` values, in the order of use."""
    features = {}
    for node in nodes:
        for name in node.input:
            if name in known:
                features[name] = [0]
    with_shapes = infer_shapes(model)
    for value in with_shapes.graph.value_info:
        if value.name in features:
            sides = value.type.tensor_type.shape.dim[1:]
            features[value.name] = [side.dim_value for side in sides]
    return features


def _points_model(model: ModelProto, nodes: list[NodeProto], shapes: Shapes) -> ModelProto:
    """Return the network of the points, which gives the features, too."""
    added = []
    for name in shapes:
        flatten = helper.make_node("Flatten", [name], [_flat(name)])
        added.append(flatten)
    joined = helper.make_node("Concat", [_flat(name) for name in shapes], [FEATURES], axis=1)
    added.append(joined)
    outputs = [output for output in model.graph.output if output.name in POINTS]
    outputs.append(_features_declared(shapes))
    inputs = list(model.graph.input)
    return _model(model, POINTS_TITLE, [*nodes, *added], inputs, outputs, [])


def _mask_model(model: ModelProto, nodes: list[NodeProto], shapes: Shapes) -> ModelProto:
    """Return the network that makes the mask of the features."""
    lengths = np.array([prod(shape) for shape in shapes.values()], np.int64)
    constants = [from_array(lengths, "lengths")]
    flat_names = [_flat(name) for name in shapes]
    added = [helper.make_node("Split", [FEATURES, "lengths"], flat_names, axis=1)]
    for name, shape in shapes.items():
        target = f"{name}_shape"
        any_number = 0  # of pictures
        target_values = np.array([any_number, *shape], np.int64)
        constants.append(from_array(target_values, target))
        reshape = helper.make_node("Reshape", [_flat(name), target], [name])
        added.append(reshape)
    outputs = [output for output in model.graph.output if output.name == MASK]
    inputs = [_features_declared(shapes)]
    return _model(model, MASK_TITLE, [*added, *nodes], inputs, outputs, constants)


def _flat(name: str) -> str:
    """Return the name of a feature as a vector."""
    return f"{name}_flat"


def _features_declared(shapes: Shapes) -> ValueInfoProto:
    """Return the declaration of the vector of all features."""
    length = sum(prod(shape) for shape in shapes.values())
    return helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", length])


def _model(
    whole: ModelProto,
    title: str,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    constants: list[TensorProto],
) -> ModelProto:
    """Return a model of `nodes`, with those constants of the whole one that they use, checked."""
    used = {name for node in nodes for name in node.input}
    own = [constant for constant in whole.graph.initializer if constant.name in used]
    graph = helper.make_graph(nodes, title, inputs, outputs, [*own, *constants])
    opsets = list(whole.opset_import)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=whole.ir_version)
    checker.check_model(model)
    return model
