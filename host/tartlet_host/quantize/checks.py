"""What a converted model must fulfil before anybody uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_device import runtime as runtimes
from tartlet_device.runtime import Runtime
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import Preprocessing, Tensor

FLOAT_TOLERANCE = 1e-3
"""A float model may differ from torch by rounding only, relative to the largest output."""

LARGEST_SCORE_STEP = 0.25
"""Logits per integer. The logistic function is at most a quarter as steep, so that one step is at
most 0.06 of score."""

LARGEST_BOX_STEP = 0.25
"""Strides per integer: boxes are at most an eighth of a cell off."""


def loads(path: Path, runtime: str) -> Runtime:
    """The model, loaded by the runtime that the Pi uses.

    Raises:
        ConversionFailed: it does not load.
    """
    try:
        return runtimes.load(path, runtime, threads=1)
    except (errors.BundleCorrupt, errors.RuntimeUnavailable) as error:
        raise errors.ConversionFailed(
            f"the converted model does not load: {error.what}", where=str(path), hint=error.hint
        ) from error


def float_agrees(
    path: Path, runtime: str, tensor: FloatArray, expected: Sequence[NDArray[Any]]
) -> None:
    """Compare a float model file with what torch gave for one picture.

    Raises:
        ConversionFailed: it gives something else.
    """
    loaded = loads(path, runtime)
    outputs = loaded.invoke(tensor)
    if [output.shape for output in outputs] != [output.shape for output in expected]:
        raise errors.ConversionFailed(
            f"the outputs have shapes {[output.shape for output in outputs]}, "
            f"expected {[output.shape for output in expected]}",
            where=str(path),
        )
    for place, (output, wanted) in enumerate(zip(outputs, expected, strict=True)):
        difference = float(np.abs(output - wanted).max())
        if not difference <= FLOAT_TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise errors.ConversionFailed(
                f"output {place} differs from torch's by {difference:.3g}",
                where=str(path),
                hint="this is a fault of the converter: try the other runtime",
            )


def int8_is_usable(path: Path, preprocessing: Preprocessing, *, mixed: bool = False) -> None:
    """Check the scales of an int8 TFLite model.

    Scores and boxes need scales of their own: where an exporter joined them, the scores, a hundred
    times smaller, all rounded to one value and nothing was ever detected.

    Args:
        path: the model.
        preprocessing: what goes in.
        mixed: layers may be float, the first and the last ones too.

    Raises:
        ConversionFailed: the input is not exact, or a scale is too coarse.
    """
    loaded = loads(path, "litert")
    exact = 1.0 / preprocessing.std
    affine = loaded.input.affine
    if not mixed or affine is not None:
        if affine is None or affine.zero_point != round(preprocessing.mean) - 128:
            raise _coarse(f"the input has quantization {affine}", path)
        if not np.isclose(affine.scale, exact, rtol=1e-5):
            raise _coarse(f"the input's scale is {affine.scale}, pixels are {exact} apart", path)
    limits = (LARGEST_SCORE_STEP, LARGEST_BOX_STEP)
    for place, tensor in enumerate(loaded.outputs):
        if mixed and tensor.affine is None:
            continue
        step = _step(tensor, path)
        if step > limits[place % 2]:
            what = "boxes" if place % 2 else "scores"
            raise _coarse(
                f"output {place} ({what}) has steps of {step:.3g}, at most "
                f"{limits[place % 2]} keeps neighbours apart",
                path,
            )


def _step(tensor: Tensor, path: Path) -> float:
    if tensor.affine is None:
        raise _coarse(f"output {tensor.name!r} is not quantized", path)
    return tensor.affine.scale


def _coarse(what: str, path: Path) -> errors.ConversionFailed:
    return errors.ConversionFailed(
        what,
        where=str(path),
        hint="calibrate with pictures like those the camera takes; use the ONNX model meanwhile",
    )
