"""ONNX models: float through torch.onnx, smaller ones through ONNX Runtime's quantizer."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from tartlet_host.files import write_atomically
from tartlet_host.model.detector import Detector
from tartlet_host.model.export import ExportWrapper
from tartlet_host.quantize import checks, description
from tartlet_host.quantize.folding import export_module
from tartlet_host.quantize.litert import probe
from tartlet_host.quantize.ranges import Range
from tartlet_host.quantize.sum_ranges import without_halves
from tartlet_host.recipe import Recipe
from tartlet_shared import errors

INPUT_NAME = "picture"


def convert_float(detector: Detector, recipe: Recipe, path: Path) -> None:
    """Write the detector as a float32 ONNX model, weights inside, and compare it with torch.

    Raises:
        ConversionFailed: a weight is not finite, or the exporter fails.
    """
    module = export_module(detector)
    example = probe(description.preprocessing(recipe))
    try:
        with torch.no_grad():
            expected = [output.numpy() for output in ExportWrapper(detector)(example)]
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                external_data=False,
                input_names=[INPUT_NAME],
                output_names=[f"output_{place}" for place in range(len(expected))],
            )
            assert program is not None  # so with dynamo=True and no file name
            content = program.model_proto.SerializeToString()
    except Exception as error:  # the exporter's errors have no common base
        raise _failed("ONNX", error, path) from error
    write_atomically(path, content)
    checks.float_agrees(path, "onnx", example.numpy(), expected)


def convert_float16(float_path: Path, path: Path) -> None:
    """Store the weights of a float ONNX model in 16 bits: half the size, computed in float.

    Raises:
        ConversionFailed: the file cannot be made or does not load.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(float_path))
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim == 0:
            continue  # shapes, factors and limits
        name = f"{tensor.name}_float16"
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    write_atomically(path, model.SerializeToString())
    checks.loads(path, "onnx")


def convert_dynamic(float_path: Path, path: Path) -> None:
    """Weights 8 bits; the runtime finds each activation's range anew in every picture.

    Raises:
        ConversionFailed: the quantizer fails, or the file does not load.
    """
    from onnxruntime import quantization

    with _aside(path) as aside:
        try:
            quantization.quantize_dynamic(
                str(float_path),
                str(aside),
                op_types_to_quantize=["Conv"],
                weight_type=quantization.QuantType.QUInt8,  # the one its integer convolution takes
            )
            content = aside.read_bytes()
        except Exception as error:  # as above
            raise _failed("dynamic ONNX", error, path) from error
    write_atomically(path, content)
    checks.loads(path, "onnx")


def convert_int8(
    float_path: Path,
    ranges: Mapping[str, Range],
    path: Path,
    *,
    float_operators: Sequence[str] = (),
    signed: bool = False,
) -> None:
    """Quantize a float ONNX model, in QDQ form: weights int8 per channel, activations 8 bits.

    Unsigned activations are twice as fast as signed ones on x86; on ARM signed ones may win. Beside
    unsigned ones weights use 7 of the 8 bits: x86 processors without VNNI add two products in 16
    bits and saturate, so that full-range weights gave other scores (0.035 on average) on such a
    laptop than on a Pi, whose self-test would then refuse the model. Input and output stay float32.

    Args:
        float_path: the model.
        ranges: of every activation, by tensor name.
        path: where the result goes.
        float_operators: names of nodes that stay float, as in `graph.Layer.operators`.
        signed: signed activations.

    Raises:
        ConversionFailed: the quantizer fails, or the file does not load.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization import calibrate

    ranges = without_halves(ranges, onnx.load(str(float_path)).graph)
    given = calibrate.TensorsData(
        quantization.CalibrationMethod.MinMax,
        {name: (np.float32(each.low), np.float32(each.high)) for name, each in ranges.items()},
    )
    with _aside(path) as aside:
        try:
            calibrate.save_tensors_data(given, aside.with_suffix(".json"))
            quantization.quantize_static(
                str(float_path),
                str(aside),
                calibration_cache_path=str(aside.with_suffix(".json")),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=not signed,
                activation_type=quantization.QuantType.QInt8
                if signed
                else quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=list(float_operators),
            )
            content = aside.read_bytes()
        except Exception as error:  # as above
            raise _failed("int8 ONNX", error, path) from error
    write_atomically(path, content)
    checks.loads(path, "onnx")


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A file of the same name in a folder that goes: the quantizer only writes to paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tartlet-onnx-") as folder:
        yield Path(folder) / path.name


def _failed(what: str, error: Exception, path: Path) -> errors.ConversionFailed:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return errors.ConversionFailed(
        f"the conversion to {what} failed: {reason}",
        where=str(path),
        hint="the converter's own output is in the log: tartlet -vv quantize ...",
    )
