"""Affine quantization: ``real = scale * (quantized - zero_point)``.

The scheme of Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", used by TFLite and ONNX alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import FloatArray
from tartlet_shared.tensor import Affine as Affine


def quantize(real: NDArray[Any], affine: Affine, dtype: str) -> NDArray[Any]:
    """Real values to integers of ``dtype`` ("int8" or "uint8"), rounded half to even, saturated."""
    limits = np.iinfo(dtype)
    steps = np.rint(np.asarray(real, np.float64) / affine.scale) + affine.zero_point
    saturated: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
    return saturated


def dequantize(quantized: NDArray[Any], affine: Affine) -> FloatArray:
    """Integers to real values, float32."""
    steps = quantized.astype(np.float32) - np.float32(affine.zero_point)
    return steps * np.float32(affine.scale)


def threshold(real: float, affine: Affine) -> int:
    """The smallest integer whose real value is at least ``real``.

    It may lie outside the range of the tensor's type: then all or none of its values pass.
    """
    return math.ceil(real / affine.scale + affine.zero_point - 1e-9)
