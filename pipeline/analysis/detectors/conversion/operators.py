"""What each TFLite operator is in ONNX: one function per kind, listed in `CONVERTERS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tflite

from pipeline.analysis.detectors.conversion.onnx_graph import CHANNELS_FIRST, OnnxGraph
from pipeline.analysis.detectors.conversion.tflite_file import Operator

SIX = np.float32(6)  # upper end of RELU6
ZERO = np.float32(0)
SIMPLE = {"RELU": "Relu", "LOGISTIC": "Sigmoid", "HARD_SWISH": "HardSwish"}

Pair = tuple[int, int]  # along height and width


def convert(graph: OnnxGraph, operator: Operator) -> None:
    """Add one operator to the graph; raise NotImplementedError for a kind that no model has."""
    if operator.kind in SIMPLE:
        source = graph.value(operator.inputs[0])
        result = graph.add(SIMPLE[operator.kind], [source])
        graph.set_value(operator.output, result)
        return
    converter = CONVERTERS.get(operator.kind)
    if converter is None:
        raise NotImplementedError(f"TFLite's {operator.kind} has no ONNX form here")
    converter(graph, operator)


def _unpack(graph: OnnxGraph, operator: Operator) -> None:
    """DEQUANTIZE of float16 and DENSIFY: the constant is the same, already dense."""
    graph.file.set_constant(operator.output, graph.constant(operator.inputs[0]))


def _convolve(graph: OnnxGraph, operator: Operator) -> None:
    options = operator.options(tflite.Conv2DOptions)
    weights = graph.constant(operator.inputs[1])
    _add_convolution(graph, operator, options, weights.transpose(CHANNELS_FIRST), groups=1)


def _convolve_depthwise(graph: OnnxGraph, operator: Operator) -> None:
    options = operator.options(tflite.DepthwiseConv2DOptions)
    weights = graph.constant(operator.inputs[1])
    channels = graph.file.shape(operator.inputs[0])[3]
    _add_convolution(graph, operator, options, weights.transpose(3, 0, 1, 2), channels)


def _add_convolution(
    graph: OnnxGraph,
    operator: Operator,
    options: tflite.Conv2DOptions | tflite.DepthwiseConv2DOptions,
    weights: np.ndarray,
    groups: int,
) -> None:
    """Add a convolution with weights (outputs, inputs per group, height, width)."""
    strides = (options.StrideH(), options.StrideW())
    dilations = (options.DilationHFactor(), options.DilationWFactor())
    kernel = weights.shape[2:]
    height, width = graph.file.shape(operator.inputs[0])[1:3]
    pads = _pads(options.Padding(), (height, width), kernel, strides, dilations)
    inputs = [graph.value(operator.inputs[0]), graph.add_constant(weights)]
    inputs += _bias(graph, operator)
    result = graph.add(
        "Conv",
        inputs,
        strides=strides,
        dilations=dilations,
        pads=pads,
        group=groups,
        kernel_shape=kernel,
    )
    _set_activated(graph, operator, result, options.FusedActivationFunction())


def _bias(graph: OnnxGraph, operator: Operator) -> list[str]:
    """Return the name of the bias, the third input, where there is one."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return []
    return [graph.add_constant(graph.constant(operator.inputs[2]))]


def _pads(
    padding: int, size: Pair, kernel: Sequence[int], strides: Pair, dilations: Pair = (1, 1)
) -> list[int]:
    """Return ONNX's pads (top, left, bottom, right) of TFLite's "same" or "valid" padding."""
    if padding == tflite.Padding.VALID:
        return [0, 0, 0, 0]
    before = []
    after = []
    for axis in range(2):
        steps = -(-size[axis] // strides[axis]) - 1
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        total = max(steps * strides[axis] + reach - size[axis], 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return [*before, *after]


def _set_activated(graph: OnnxGraph, operator: Operator, name: str, activation: int) -> None:
    """Set the operator's output to a value behind its fused activation."""
    if activation == tflite.ActivationFunctionType.RELU:
        name = graph.add("Relu", [name])
    elif activation == tflite.ActivationFunctionType.RELU6:
        low = graph.add_constant(np.array(ZERO))
        high = graph.add_constant(np.array(SIX))
        name = graph.add("Clip", [name, low, high])
    elif activation != tflite.ActivationFunctionType.NONE:
        raise NotImplementedError(f"TFLite's activation {activation} has no ONNX form here")
    graph.set_value(operator.output, name)


def _add(graph: OnnxGraph, operator: Operator) -> None:
    _combine(graph, operator, "Add", operator.options(tflite.AddOptions))


def _multiply(graph: OnnxGraph, operator: Operator) -> None:
    _combine(graph, operator, "Mul", operator.options(tflite.MulOptions))


def _combine(
    graph: OnnxGraph, operator: Operator, kind: str, options: tflite.AddOptions | tflite.MulOptions
) -> None:
    rank = len(graph.file.shape(operator.output))
    inputs = [graph.value(tensor, rank) for tensor in operator.inputs]
    result = graph.add(kind, inputs)
    _set_activated(graph, operator, result, options.FusedActivationFunction())


def _pad(graph: OnnxGraph, operator: Operator) -> None:
    amounts = graph.constant(operator.inputs[1])
    if len(amounts) == 4:
        amounts = amounts[list(CHANNELS_FIRST)]
    before_then_after = amounts.T.ravel()
    before_then_after = before_then_after.astype(np.int64)
    pads = graph.add_constant(before_then_after)
    source = graph.value(operator.inputs[0])
    result = graph.add("Pad", [source, pads])
    graph.set_value(operator.output, result)


def _pool_maximum(graph: OnnxGraph, operator: Operator) -> None:
    _pool(graph, operator, "MaxPool")


def _pool_average(graph: OnnxGraph, operator: Operator) -> None:
    _pool(graph, operator, "AveragePool")


def _pool(graph: OnnxGraph, operator: Operator, kind: str) -> None:
    options = operator.options(tflite.Pool2DOptions)
    kernel = (options.FilterHeight(), options.FilterWidth())
    strides = (options.StrideH(), options.StrideW())
    height, width = graph.file.shape(operator.inputs[0])[1:3]
    pads = _pads(options.Padding(), (height, width), kernel, strides)
    source = graph.value(operator.inputs[0])
    result = graph.add(kind, [source], kernel_shape=kernel, strides=strides, pads=pads)
    _set_activated(graph, operator, result, options.FusedActivationFunction())


def _prelu(graph: OnnxGraph, operator: Operator) -> None:
    """PRELU as max(x, 0) - slope * max(-x, 0), with depthwise convolutions for the products.

    ONNX Runtime keeps these in its blocked layout, which its own PRelu leaves: the face mesh takes
    0.84 ms instead of 2.97.
    """
    source = graph.value(operator.inputs[0])
    slopes = graph.constant(operator.inputs[1])
    slopes = slopes.astype(np.float32).reshape(-1, 1, 1, 1)
    minus_one = -np.ones(slopes.shape, np.float16)
    negated = _scale_channels(graph, source, minus_one)
    below = graph.add("Relu", [negated])
    scaled = _scale_channels(graph, below, -slopes)
    above = graph.add("Relu", [source])
    result = graph.add("Add", [above, scaled])
    graph.set_value(operator.output, result)


def _scale_channels(graph: OnnxGraph, source: str, factors: np.ndarray) -> str:
    """Multiply each channel by a factor (channels,1,1,1)."""
    inputs = [source, graph.add_constant(factors)]
    return graph.add("Conv", inputs, group=len(factors), kernel_shape=[1, 1])


def _reshape(graph: OnnxGraph, operator: Operator) -> None:
    """RESHAPE, which counts in TFLite's order of axes; 0 keeps the number of pictures."""
    source = operator.inputs[0]
    target = list(graph.file.shape(operator.output))
    if graph.file.shape(source)[0] == target[0]:
        target[0] = 0
    shape = graph.add_constant(np.array(target, np.int64))
    result = graph.add("Reshape", [graph.channels_last(source), shape])
    graph.set_channels_last(operator.output, result)


def _concatenate(graph: OnnxGraph, operator: Operator) -> None:
    options = operator.options(tflite.ConcatenationOptions)
    rank = len(graph.file.shape(operator.output))
    axis = options.Axis() % rank
    if rank == 4:
        axis = CHANNELS_FIRST.index(axis)
    inputs = [graph.value(tensor) for tensor in operator.inputs]
    result = graph.add("Concat", inputs, axis=axis)
    _set_activated(graph, operator, result, options.FusedActivationFunction())


def _resize(graph: OnnxGraph, operator: Operator) -> None:
    options = operator.options(tflite.ResizeBilinearOptions)
    height, width = graph.file.shape(operator.inputs[0])[1:3]
    new_height, new_width = graph.constant(operator.inputs[1])
    corners = "asymmetric"
    if options.AlignCorners():
        corners = "align_corners"
    elif options.HalfPixelCenters():
        corners = "half_pixel"
    scales = np.array([1, 1, new_height / height, new_width / width], np.float32)
    source = graph.value(operator.inputs[0])
    factors = graph.add_constant(scales)
    inputs = [source, "", factors]
    result = graph.add("Resize", inputs, mode="linear", coordinate_transformation_mode=corners)
    graph.set_value(operator.output, result)


def _depth_to_space(graph: OnnxGraph, operator: Operator) -> None:
    side = operator.options(tflite.DepthToSpaceOptions).BlockSize()
    source = graph.value(operator.inputs[0])
    result = graph.add("DepthToSpace", [source], blocksize=side, mode="DCR")
    graph.set_value(operator.output, result)


def _mean(graph: OnnxGraph, operator: Operator) -> None:
    """MEAN over height and width, the only one that the models have."""
    axes = sorted(graph.constant(operator.inputs[1]).ravel().tolist())
    if axes != [1, 2]:
        raise NotImplementedError(f"TFLite's MEAN over axes {axes} has no ONNX form here")
    keep = operator.options(tflite.ReducerOptions).KeepDims()
    rows_and_columns = graph.add_constant(np.array([2, 3], np.int64))
    source = graph.value(operator.inputs[0])
    result = graph.add("ReduceMean", [source, rows_and_columns], keepdims=int(keep))
    graph.set_value(operator.output, result)


def _fully_connect(graph: OnnxGraph, operator: Operator) -> None:
    options = operator.options(tflite.FullyConnectedOptions)
    source = graph.channels_last(operator.inputs[0])
    if len(graph.file.shape(operator.inputs[0])) != 2:
        source = graph.add("Flatten", [source])
    weights = graph.add_constant(graph.constant(operator.inputs[1]))
    inputs = [source, weights, *_bias(graph, operator)]
    result = graph.add("Gemm", inputs, transB=1)
    _set_activated(graph, operator, result, options.FusedActivationFunction())


def _slice(graph: OnnxGraph, operator: Operator) -> None:
    """STRIDED_SLICE; a mask's bit says that its axis begins or ends where the value does."""
    source, begin_tensor, end_tensor, step_tensor = operator.inputs[:4]
    options = operator.options(tflite.StridedSliceOptions)
    if options.EllipsisMask() or options.NewAxisMask() or options.ShrinkAxisMask():
        raise NotImplementedError("TFLite's STRIDED_SLICE with such masks has no ONNX form here")
    begins = graph.constant(begin_tensor).astype(np.int64)
    ends = graph.constant(end_tensor).astype(np.int64)
    steps = graph.constant(step_tensor).astype(np.int64)
    axes = np.arange(len(begins))
    shape = np.array(graph.file.shape(source))
    from_start = options.BeginMask() >> axes & 1
    to_end = options.EndMask() >> axes & 1
    begins = np.where(from_start, 0, begins)
    ends = np.where(to_end, shape, ends)
    inputs = [graph.channels_last(source)]
    for numbers in (begins, ends, axes, steps):
        name = graph.add_constant(numbers)
        inputs.append(name)
    result = graph.add("Slice", inputs)
    graph.set_channels_last(operator.output, result)


CONVERTERS: dict[str, Callable[[OnnxGraph, Operator], None]] = {
    "DEQUANTIZE": _unpack,
    "DENSIFY": _unpack,
    "CONV_2D": _convolve,
    "DEPTHWISE_CONV_2D": _convolve_depthwise,
    "ADD": _add,
    "MUL": _multiply,
    "PAD": _pad,
    "MAX_POOL_2D": _pool_maximum,
    "AVERAGE_POOL_2D": _pool_average,
    "PRELU": _prelu,
    "RESHAPE": _reshape,
    "CONCATENATION": _concatenate,
    "RESIZE_BILINEAR": _resize,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MEAN": _mean,
    "FULLY_CONNECTED": _fully_connect,
    "STRIDED_SLICE": _slice,
}
