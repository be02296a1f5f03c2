"""TFLite models: float through litert-torch, smaller ones through ai-edge-quantizer.

Both libraries print and warn a lot; `tartlet_host.quantize.conversion` runs them in a process of
their own whose output goes to the log.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tartlet_host.files import write_atomically
from tartlet_host.model.detector import Detector
from tartlet_host.model.export import ExportWrapper
from tartlet_host.quantize import checks, description
from tartlet_host.quantize.folding import export_module
from tartlet_host.quantize.ranges import Range
from tartlet_host.recipe import Recipe
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import Preprocessing


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


def convert_float16(float_path: Path, path: Path) -> None:
    """Store the weights of a float TFLite model in 16 bits: half the size, computed in float.

    Raises:
        ConversionFailed: the quantizer fails, or the file does not load.
    """
    recipes = _library("ai_edge_quantizer.recipe_manager")
    manager = recipes.RecipeManager()
    manager.add_weight_only_config(
        ".*", _every_operator(), 16, algorithm_key=recipes.AlgorithmName.FLOAT_CASTING
    )
    _quantize(float_path, manager.get_quantization_recipe(), {}, path, "float16 TFLite")
    checks.loads(path, "litert")


def convert_dynamic(float_path: Path, path: Path) -> None:
    """Weights int8 per channel; the runtime finds each activation's range anew in every picture.

    Raises:
        ConversionFailed: the quantizer fails, or the file does not load.
    """
    recipes = _library("ai_edge_quantizer.recipe")
    _quantize(float_path, recipes.dynamic_wi8_afp32(), {}, path, "dynamic TFLite")
    checks.loads(path, "litert")


def convert_int8(
    float_path: Path,
    ranges: Mapping[str, Range],
    canvas: Preprocessing,
    path: Path,
    *,
    float_operators: Sequence[str] = (),
) -> None:
    """Quantize a float TFLite model: weights int8 per channel, activations int8, in and out too.

    Args:
        float_path: the model.
        ranges: of every activation, by tensor name; the input's is replaced by that of the pixels
            0 to 255, so that the device's conversion is exact.
        canvas: what goes in.
        path: where the result goes.
        float_operators: names of operators that stay float, as in `graph.Layer.operators`.

    Raises:
        ConversionFailed: the quantizer fails, or the result is too coarse to be of use.
    """
    recipes = _library("ai_edge_quantizer.recipe")
    managers = _library("ai_edge_quantizer.recipe_manager")
    manager = managers.RecipeManager()
    manager.load_quantization_recipe(recipes.static_wi8_ai8())
    for name in float_operators:
        manager.add_quantization_config(
            f"^{re.escape(name)};?$",
            _every_operator(),
            algorithm_key=managers.AlgorithmName.NO_QUANTIZE,
        )
    given = {
        name: {"min": np.array([each.low]), "max": np.array([each.high])}
        for name, each in ranges.items()
    }
    given[_input_tensor(float_path)] = _pixel_range(canvas)
    _quantize(float_path, manager.get_quantization_recipe(), given, path, "int8 TFLite")
    checks.int8_is_usable(path, canvas, mixed=bool(float_operators))


def _quantize(float_path: Path, recipe: Any, ranges: dict[str, Any], path: Path, what: str) -> None:
    quantizer = _library("ai_edge_quantizer.quantizer")
    try:
        work = quantizer.Quantizer(str(float_path), recipe)
        content = bytes(work.quantize(ranges or None, enable_progress_report=False).quantized_model)
    except Exception as error:  # as above
        raise _failed(what, error, path) from error
    write_atomically(path, content)


def _every_operator() -> Any:
    return _library("ai_edge_quantizer.qtyping").TFLOperationName.ALL_SUPPORTED


def probe(canvas: Preprocessing) -> torch.Tensor:
    """A picture of noise, ``(1, height, width, 3)`` in the range of real ones; always the same."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (1, canvas.height, canvas.width, 3))
    return torch.from_numpy(((pixels - canvas.mean) / canvas.std).astype(np.float32))


def _pixel_range(canvas: Preprocessing) -> dict[str, FloatArray]:
    """What the darkest and the brightest pixel become."""
    low, high = ((pixel - canvas.mean) / canvas.std for pixel in (0, 255))
    return {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}


def _input_tensor(path: Path) -> str:
    interpreter = _library("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    return str(interpreter.get_input_details()[0]["name"])


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
