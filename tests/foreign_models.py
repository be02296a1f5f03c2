"""Small models with other people's heads and known answers: each finds what is red or blue.

The picture is cut into cells; a cell's score for "red" is high where red is high and blue is low,
and the other way round for "blue". Its box is the cell itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

LABELS = ("red", "blue")
CELL = 16  # pixels
STEEPNESS = 4.0  # logit of a pure colour; what has neither or both gets DULL
DULL = -2.0

Picture = NDArray[np.uint8]


def coloured_picture(
    *patches: tuple[int, int, Literal["red", "blue"]], width: int, height: int, cell: int = CELL
) -> Picture:
    """A grey RGB picture with cells (column, row, colour) painted."""
    picture = np.full((height, width, 3), 60, np.uint8)
    for column, row, colour in patches:
        paint = (255, 0, 0) if colour == "red" else (0, 0, 255)
        picture[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = paint
    return picture


def _weights(channels_first: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convolution of a cell to the two logits, for pixels in 0..1."""
    weight = np.zeros((2, 3, CELL, CELL), np.float32)
    weight[0, 0] = weight[1, 2] = 1 / CELL**2
    weight[0, 2] = weight[1, 0] = -1 / CELL**2
    gain = STEEPNESS - DULL
    return weight * gain, np.full(2, DULL, np.float32)


def _cells(width: int, height: int) -> NDArray[Any]:
    """Left, top, right, bottom of every cell, (n, 4), row by row, pixels."""
    y, x = np.mgrid[0 : height // CELL, 0 : width // CELL].astype(np.float32) * CELL
    corners = np.stack([x, y, x + CELL, y + CELL], -1)
    return corners.reshape(-1, 4)


def onnx_model(
    path: Path,
    head: Literal["yolov5", "yolov8", "end-to-end", "classes"],
    *,
    width: int = 96,
    height: int = 64,
    units: Literal["pixels", "parts"] = "pixels",
    open_batch: bool = False,
    names: bool = False,
) -> Path:
    """An ONNX model, channels first, pixels in 0..1."""
    weight, bias = _weights()
    cells = _cells(width, height)
    if units == "parts":
        cells = cells / np.array([width, height] * 2, np.float32)
    centre_size = np.concatenate(
        [(cells[:, :2] + cells[:, 2:]) / 2, cells[:, 2:] - cells[:, :2]], axis=1
    )
    constants = {
        "weight": weight,
        "bias": bias,
        "flat": np.array([1, 2, len(cells)], np.int64),
        "boxes": (cells if head == "end-to-end" else centre_size)[np.newaxis].astype(np.float32),
        "sure": np.ones((1, len(cells), 1), np.float32),
        "axis": np.array([2], np.int64),
        "all": np.array([len(cells)], np.int64),
        "pair": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "weight", "bias"], ["maps"], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["maps", "flat"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["chances"]),
        helper.make_node("Transpose", ["chances"], ["scores"], perm=[0, 2, 1]),
    ]
    shape: list[int | str] = [1, len(cells), 6]
    if head == "yolov5":
        nodes.append(helper.make_node("Concat", ["boxes", "sure", "scores"], ["out"], axis=2))
        shape = [1, len(cells), 7]
    elif head == "yolov8":
        nodes += [
            helper.make_node("Concat", ["boxes", "scores"], ["rows"], axis=2),
            helper.make_node("Transpose", ["rows"], ["out"], perm=[0, 2, 1]),
        ]
        shape = [1, 6, len(cells)]
    elif head == "end-to-end":
        nodes += [
            helper.make_node("ReduceMax", ["scores", "axis"], ["best"], keepdims=1),
            helper.make_node("ArgMax", ["scores"], ["ids"], axis=2, keepdims=1),
            helper.make_node("Cast", ["ids"], ["classes"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Concat", ["boxes", "best", "classes"], ["rows"], axis=2),
            helper.make_node("TopK", ["best", "all"], ["values", "order"], axis=1),
            helper.make_node("Squeeze", ["order", "axis"], ["places"]),
            helper.make_node("Squeeze", ["places", "zero"], ["row"]),
            helper.make_node("Gather", ["rows", "row"], ["out"], axis=1),
        ]
        constants["zero"] = np.array([0], np.int64)
    else:
        nodes += [
            helper.make_node("GlobalMaxPool", ["maps"], ["peak"]),
            helper.make_node("Reshape", ["peak", "pair"], ["out"]),
        ]
        shape = [1, 2]
    batch: int | str = "batch" if open_batch else 1
    graph = helper.make_graph(
        nodes,
        head,
        [
            helper.make_tensor_value_info(
                "images", onnx.TensorProto.FLOAT, [batch, 3, height, width]
            )
        ],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [batch, *shape[1:]])],
        [
            numpy_helper.from_array(value, name)
            for name, value in constants.items()
            if any(name in node.input for node in nodes)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if names:
        entry = model.metadata_props.add()
        entry.key, entry.value = "names", str(dict(enumerate(LABELS)))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def tflite_ssd(
    path: Path, *, width: int = 96, height: int = 64, reversed_outputs: bool = False
) -> Path:
    """An SSD with TFLite's own post-processing operator, channels last, pixels in -1..1."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import flexbuffers  # type: ignore[import-untyped]

    weight, bias = _weights()
    # From 0..1 to -1..1, and a column of background before the classes, which the operator skips.
    bias = bias + weight.reshape(2, -1).sum(axis=1) / 2
    weight = np.concatenate([np.zeros((1, 3, CELL, CELL)), weight / 2]).transpose(0, 2, 3, 1)
    bias = np.concatenate([[-9.0], bias])
    cells = _cells(width, height) / np.array([width, height] * 2, np.float32)
    anchors = np.concatenate(
        [
            ((cells[:, :2] + cells[:, 2:]) / 2)[:, ::-1],
            (cells[:, 2:] - cells[:, :2])[:, ::-1],
        ],
        axis=1,
    )
    count = len(cells)
    net = _Graph(schema)
    picture = net.tensor("picture", (1, height, width, 3))
    filters = net.tensor("filters", weight.shape, weight.astype(np.float32))
    biases = net.tensor("biases", (3,), bias.astype(np.float32))
    maps = net.tensor("maps", (1, height // CELL, width // CELL, 3))
    flat = net.tensor("flat", (3,), np.array([1, count, 3], np.int32))
    logits = net.tensor("logits", (1, count, 3))
    chances = net.tensor("chances", (1, count, 3))
    offsets = net.tensor("offsets", (1, count, 4), np.zeros((1, count, 4), np.float32))
    priors = net.tensor("priors", (count, 4), anchors.astype(np.float32))
    most = 10
    # Names and places as converters leave them: they say nothing of the operator's order.
    shapes: list[tuple[int, ...]] = [(1, most, 4), (1, most), (1, most), (1,)]
    results = [
        net.tensor(f"StatefulPartitionedCall:{3 - place}", shape)
        for place, shape in enumerate(shapes)
    ]
    conv = schema.Conv2DOptionsT()
    conv.padding, conv.strideH, conv.strideW = schema.Padding.VALID, CELL, CELL
    conv.dilationHFactor = conv.dilationWFactor = 1
    net.operator("CONV_2D", [picture, filters, biases], [maps], "Conv2DOptions", conv)
    net.operator("RESHAPE", [maps, flat], [logits], "ReshapeOptions", schema.ReshapeOptionsT())
    net.operator("LOGISTIC", [logits], [chances])
    settings = {
        "max_detections": most,
        "max_classes_per_detection": 1,
        "detections_per_class": most,
        "use_regular_nms": False,
        "nms_score_threshold": 0.01,
        "nms_iou_threshold": 0.5,
        "num_classes": 2,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    net.custom(
        "TFLite_Detection_PostProcess",
        [offsets, chances, priors],
        results,
        bytes(flexbuffers.Dumps(settings)),
    )
    listed = results[::-1] if reversed_outputs else results
    path.write_bytes(net.finish([picture], listed))
    return path


def tflite_classes(path: Path, *, side: int = 32) -> Path:
    """A classifier in uint8: the mean of red, green and blue over the picture, in 0..1."""
    from ai_edge_litert import schema_py_generated as schema

    net = _Graph(schema)
    scale = (1 / 255, 0)
    picture = net.tensor("picture", (1, side, side, 3), affine=scale)
    mean = net.tensor("mean", (1, 1, 1, 3), affine=scale)
    flat = net.tensor("flat", (2,), np.array([1, 3], np.int32))
    out = net.tensor("out", (1, 3), affine=scale)
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.strideH = pool.strideW = pool.filterHeight = pool.filterWidth = side
    net.operator("AVERAGE_POOL_2D", [picture], [mean], "Pool2DOptions", pool)
    net.operator("RESHAPE", [mean, flat], [out], "ReshapeOptions", schema.ReshapeOptionsT())
    path.write_bytes(net.finish([picture], [out]))
    return path


class _Graph:
    """A TFLite file, tensor by tensor."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.codes: list[Any] = []
        self.buffers = [schema.BufferT()]

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        value: NDArray[Any] | None = None,
        affine: tuple[float, int] | None = None,
    ) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape = name, np.array(shape, np.int32)
        tensor.type = self.schema.TensorType.FLOAT32
        if value is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
            if value.dtype == np.int32:
                tensor.type = self.schema.TensorType.INT32
        if affine is not None:
            tensor.type = self.schema.TensorType.UINT8
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([affine[0]], np.float32)
            tensor.quantization.zeroPoint = np.array([affine[1]], np.int64)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self,
        name: str,
        inputs: list[int],
        outputs: list[int],
        kind: str | None = None,
        options: Any = None,
    ) -> Any:
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        self.codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        if kind is not None:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self.graph.operators.append(operator)
        return operator

    def custom(self, name: str, inputs: list[int], outputs: list[int], options: bytes) -> None:
        operator = self.operator("CUSTOM", inputs, outputs)
        self.codes[-1].customCode = name
        operator.customOptions = np.frombuffer(options, np.uint8)

    def finish(self, inputs: list[int], outputs: list[int]) -> bytes:
        import flatbuffers

        self.graph.inputs = np.array(inputs, np.int32)
        self.graph.outputs = np.array(outputs, np.int32)
        self.graph.name = "main"
        model = self.schema.ModelT()
        model.version = 3
        model.description = "made for a test"
        model.operatorCodes = self.codes
        model.subgraphs = [self.graph]
        model.buffers = self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
