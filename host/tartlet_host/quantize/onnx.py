"""ONNX models: float through torch.onnx, int8 through ONNX Runtime's static quantization."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tartlet_host.files import write_atomically
from tartlet_host.model.detector import Detector
from tartlet_host.model.export import ExportWrapper
from tartlet_host.quantize import checks, description
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.folding import export_module
from tartlet_host.quantize.litert import probe
from tartlet_host.recipe import Recipe
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray

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


def convert_int8(float_path: Path, calibration: Calibration, path: Path) -> None:
    """Quantize a float ONNX model, in QDQ form: weights int8 per channel, activations uint8.

    Unsigned activations are twice as fast as signed ones on x86 and no slower on ARM. Weights use
    7 of the 8 bits: x86 processors without VNNI add two products in 16 bits and saturate, so that
    full-range weights gave other scores (0.035 on average) on such a laptop than on a Pi, whose
    self-test would then refuse the model. Input and output stay float32.

    Raises:
        ConversionFailed: the quantizer fails.
    """
    from onnxruntime import quantization

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        aside = Path(folder) / path.name
        try:
            quantization.quantize_static(
                str(float_path),
                str(aside),
                _Reader(calibration),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            content = aside.read_bytes()
        except Exception as error:  # as above
            raise _failed("int8 ONNX", error, path) from error
    write_atomically(path, content)
    checks.loads(path, "onnx")


class _Reader:
    """The calibration pictures as ONNX Runtime asks for them."""

    def __init__(self, calibration: Calibration) -> None:
        self._tensors: Iterator[FloatArray] = calibration.tensors()

    def get_next(self) -> dict[str, Any] | None:
        tensor = next(self._tensors, None)
        return None if tensor is None else {INPUT_NAME: tensor}


def _failed(what: str, error: Exception, path: Path) -> errors.ConversionFailed:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return errors.ConversionFailed(
        f"the conversion to {what} failed: {reason}",
        where=str(path),
        hint="the converter's own output is in the log: tartlet -vv quantize ...",
    )
