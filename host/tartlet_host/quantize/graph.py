"""What a model file computes, layer by layer, and every value on the way.

Both runtimes are read into the same terms, so that calibration and error reports are written once.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tartlet_host.quantize.calibration import Calibration
from tartlet_shared.detections import FloatArray

if TYPE_CHECKING:
    import onnx

DEQUANTIZED = "_DequantizeLinear_Output"
"""ONNX Runtime's quantizer appends this to the name of an activation that went through int8."""

KINDS = {
    "CONV_2D": "convolution",
    "DEPTHWISE_CONV_2D": "depthwise",
    "ADD": "sum",
    "RESIZE_NEAREST_NEIGHBOR": "upsampling",
    "Resize": "upsampling",
    "Conv": "convolution",
    "Add": "sum",
}


@dataclass(frozen=True)
class Layer:
    """An operator that computes, with the activation that is part of it.

    Attributes:
        name: the module of the network it stands for, such as "backbone.stages.1.0.project".
        kind: "convolution", "depthwise", "sum" or the runtime's own word.
        inputs: tensors that vary with the picture.
        output: the tensor it makes.
        operators: what the runtime's quantizer calls it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    operators: tuple[str, ...]


def layers(path: Path, runtime: str) -> tuple[Layer, ...]:
    """The layers of a float model file, in the order they run."""
    return _litert_layers(path) if runtime == "litert" else _onnx_layers(path)


def activations(
    path: Path, runtime: str, calibration: Calibration
) -> Iterator[dict[str, NDArray[Any]]]:
    """Every activation of a model file for each picture, by the float model's tensor names.

    Integers are given as the real numbers they stand for, float32. Maps are channels last for
    LiteRT and channels first for ONNX.
    """
    run = _litert_activations if runtime == "litert" else _onnx_activations
    return run(path, calibration)


def _litert_layers(path: Path) -> tuple[Layer, ...]:
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(bytearray(path.read_bytes()), 0)
    words = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if isinstance(number, int)
    }
    graph = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    varying = {names[place] for place in graph.inputs}
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        word = words[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = tuple(names[place] for place in operator.inputs if names[place] in varying)
        output = names[operator.outputs[0]]
        varying.add(output)
        name = _module_of_path(output)
        found.append(Layer(name, KINDS.get(word, word.lower()), inputs, output, (output,)))
    return tuple(_told_apart(found))


def _module_of_path(tensor: str) -> str:
    """``a.b.Detector_detector/c.ConvBlock_stem/d.SameConv2d_conv;1`` -> ``stem``."""
    output = re.fullmatch(r"serving_default_output_(\d+)_output", tensor)
    if output is not None:
        return f"output {output[1]}"
    steps = [part.rpartition(".")[2] for part in tensor.split(";")[0].split("/")[1:]]
    return _module(".".join(step.partition("_")[2] for step in steps) or tensor)


def _module(name: str) -> str:
    return re.sub(r"^detector\.|\.(conv|activation)$", "", name)


def _told_apart(found: list[Layer]) -> Iterator[Layer]:
    """Layers of one module (a block's sum beside the block) get names of their own."""
    names = [layer.name for layer in found]
    for place, layer in enumerate(found):
        alike = [other for other in range(len(found)) if names[other] == layer.name]
        name = layer.name
        if len(alike) > 1:
            name = f"{name} ({layer.kind} {alike.index(place) + 1})"
        yield Layer(name, layer.kind, layer.inputs, layer.output, layer.operators)


def _onnx_layers(path: Path) -> tuple[Layer, ...]:
    import onnx

    graph = onnx.load(str(path)).graph
    constant = {tensor.name for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.node:
        if node.op_type in ("Clip", "Relu", "Transpose"):
            continue  # part of the layer before it, or no arithmetic at all
        output, operators = node.output[0], [node.name]
        after = readers.get(output, [])
        if len(after) == 1 and after[0].op_type in ("Clip", "Relu"):
            output = after[0].output[0]
            operators.append(after[0].name)
        inputs = tuple(name for name in node.input if name and name not in constant)
        kind = KINDS.get(node.op_type, node.op_type.lower())
        if node.op_type == "Conv" and any(
            attribute.name == "group" and attribute.i > 1 for attribute in node.attribute
        ):
            kind = "depthwise"
        found.append(Layer(_onnx_module(node), kind, inputs, output, tuple(operators)))
    return tuple(_told_apart(found))


def _onnx_module(node: onnx.NodeProto) -> str:
    for each in node.metadata_props:
        if each.key == "pkg.torch.onnx.name_scopes":
            scopes = re.findall(r"'([^']*)'", each.value)
            return _module(scopes[-2] if len(scopes) > 1 else node.name)
    return str(node.name)


def _litert_activations(path: Path, calibration: Calibration) -> Iterator[dict[str, NDArray[Any]]]:
    interpreters = importlib.import_module("ai_edge_litert.interpreter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the memory of keeping every tensor, which we want
        interpreter = interpreters.Interpreter(
            model_path=str(path), num_threads=1, experimental_preserve_all_tensors=True
        )
    interpreter.allocate_tensors()
    wanted = {layer.output for layer in _litert_layers(path)}
    (described,) = interpreter.get_input_details()
    wanted.add(described["name"])
    details = [each for each in interpreter.get_tensor_details() if each["name"] in wanted]
    for tensor in calibration.tensors():
        interpreter.set_tensor(described["index"], _quantized(tensor, described))
        interpreter.invoke()
        yield {each["name"]: _real(interpreter.get_tensor(each["index"]), each) for each in details}


def _quantized(tensor: FloatArray, described: dict[str, Any]) -> NDArray[Any]:
    scale, zero_point = described["quantization"]
    if scale == 0:
        return tensor
    integers: NDArray[Any] = np.clip(np.round(tensor / scale) + zero_point, -128, 127)
    return integers.astype(described["dtype"])


def _real(values: NDArray[Any], described: dict[str, Any]) -> FloatArray:
    scale, zero_point = described["quantization"]
    if scale == 0:
        return values
    real: FloatArray = ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)
    return real


def _onnx_activations(path: Path, calibration: Calibration) -> Iterator[dict[str, NDArray[Any]]]:
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    known = {each.name for each in model.graph.output}
    constant = {tensor.name for tensor in model.graph.initializer}
    quantized = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    names = []
    for node in model.graph.node:
        output = node.output[0]
        varies = not all(name in constant or not name for name in node.input)
        if varies and node.op_type != "QuantizeLinear" and not output.endswith("_Input"):
            names.append(output)
            if output not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=output))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if quantized:
        # Operators stay apart, so that each value between them is there to look at.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (input_name,) = [each.name for each in session.get_inputs()]
    for tensor in calibration.tensors():
        values = dict(zip(names, session.run(names, {input_name: tensor}), strict=True))
        if not quantized:
            values[input_name] = tensor
        # A tensor that went through int8 is known by the name it has in the float model.
        yield {
            **values,
            **{
                name.removesuffix(DEQUANTIZED): value
                for name, value in values.items()
                if name.endswith(DEQUANTIZED)
            },
        }
