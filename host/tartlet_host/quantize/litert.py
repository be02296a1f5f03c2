"""TFLite models: float through litert-torch, int8 through ai-edge-quantizer.

Both libraries print and warn a lot; `tartlet_host.quantize.conversion` runs them in a process of
their own whose output goes to the log.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tartlet_host.files import write_atomically
from tartlet_host.model.detector import Detector
from tartlet_host.model.export import ExportWrapper
from tartlet_host.quantize import checks, description
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.folding import export_module
from tartlet_host.recipe import Recipe
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import Preprocessing

SIGNATURE = "serving_default"


def available() -> bool:
    """Whether this machine has the converter."""
    return importlib.util.find_spec("litert_torch") is not None


def convert_float(detector: Detector, recipe: Recipe, path: Path) -> None:
    """Write the detector as a float32 TFLite model and compare it with torch.

    Raises:
        ConversionFailed: there is no converter for this machine, a weight is not finite, or the
            converter fails.
    """
    converter = _library("litert_torch")
    module = export_module(detector)
    canvas = description.preprocessing(recipe)
    example = probe(canvas)
    try:
        with torch.no_grad():
            expected = [output.numpy() for output in ExportWrapper(detector)(example)]
            content = bytes(converter.convert(module, (example,)).model_content())
    except Exception as error:  # whatever a compiler of a million lines raises
        raise _failed("TFLite", error, path) from error
    write_atomically(path, content)
    checks.float_agrees(path, "litert", example.numpy(), expected)


def convert_int8(float_path: Path, calibration: Calibration, path: Path) -> None:
    """Quantize a float TFLite model: weights int8 per channel, activations int8, in and out too.

    The ranges are the smallest and largest value of each activation over the calibration pictures;
    the input's is that of the pixels 0 to 255, so that the device's conversion is exact.

    Raises:
        ConversionFailed: the quantizer fails, or the result is too coarse to be of use.
    """
    quantizer = _library("ai_edge_quantizer.quantizer")
    recipes = _library("ai_edge_quantizer.recipe")
    calibrator = _library("ai_edge_quantizer.calibrator")
    canvas = calibration.preprocessing
    try:
        signature_input, tensor_input = _input_names(float_path)
        work = quantizer.Quantizer(str(float_path), recipes.static_wi8_ai8())
        ranges = work.calibrate(
            {SIGNATURE: [{signature_input: each} for each in calibration.tensors()]},
            num_threads=1,
            # Four times as fast as the default, which copies every activation to Python.
            mode=calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED,
        )
        ranges[tensor_input] = _pixel_range(canvas)
        content = bytes(work.quantize(ranges, enable_progress_report=False).quantized_model)
    except Exception as error:  # as above
        raise _failed("int8 TFLite", error, path) from error
    write_atomically(path, content)
    checks.int8_is_usable(path, canvas)


def probe(canvas: Preprocessing) -> torch.Tensor:
    """A picture of noise, ``(1, height, width, 3)`` in the range of real ones; always the same."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (1, canvas.height, canvas.width, 3))
    return torch.from_numpy(((pixels - canvas.mean) / canvas.std).astype(np.float32))


def _pixel_range(canvas: Preprocessing) -> dict[str, FloatArray]:
    """What the darkest and the brightest pixel become."""
    low, high = ((pixel - canvas.mean) / canvas.std for pixel in (0, 255))
    return {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}


def _input_names(path: Path) -> tuple[str, str]:
    """The input's name in the signature, and the name of its tensor."""
    interpreter = _library("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    (name,) = interpreter.get_signature_list()[SIGNATURE]["inputs"]
    return name, interpreter.get_input_details()[0]["name"]


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise errors.ConversionFailed(
            f"the converter to TFLite does not load on {platform.system()} "
            f"{platform.machine()}: {error}",
            hint="it exists for x86-64 Linux and macOS; make the ONNX model: --runtime onnx",
        ) from error


def _failed(what: str, error: Exception, path: Path) -> errors.ConversionFailed:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return errors.ConversionFailed(
        f"the conversion to {what} failed: {reason}",
        where=str(path),
        hint="the converter's own output is in the log: tartlet -vv quantize ...",
    )
