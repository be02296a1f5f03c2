"""Affine quantization against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import affine
from tartlet_shared.affine import Affine

affines = st.builds(
    Affine, scale=st.floats(1e-4, 10, allow_subnormal=False), zero_point=st.integers(-128, 127)
)


@given(affines)
def test_every_integer_survives_the_round_trip(parameters: Affine) -> None:
    integers = np.arange(-128, 128, dtype=np.int8)
    real = affine.dequantize(integers, parameters)
    assert np.array_equal(affine.quantize(real, parameters, "int8"), integers)


@given(affines, st.floats(-100, 100))
def test_a_value_in_range_moves_by_at_most_half_a_step(parameters: Affine, value: float) -> None:
    low, high = ((limit - parameters.zero_point) * parameters.scale for limit in (-128, 127))
    back = affine.dequantize(
        affine.quantize(np.array([value]), parameters, "int8"), parameters
    ).item()
    nearest = min(max(value, low), high)
    assert abs(back - nearest) <= parameters.scale * 0.5001 + 1e-5


@given(affines, st.floats(-100, 100))
def test_the_integer_threshold_passes_what_the_real_one_passes(
    parameters: Affine, limit: float
) -> None:
    integers = np.arange(-128, 128)
    exact = parameters.scale * (integers - parameters.zero_point)
    passes = integers >= affine.threshold(limit, parameters)
    clear = np.abs(exact - limit) > 1e-6 * max(1.0, parameters.scale)
    assert np.array_equal(passes[clear], (exact >= limit)[clear])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_scales_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Affine(scale=scale, zero_point=0)


def test_saturation_and_rounding() -> None:
    parameters = Affine(scale=0.5, zero_point=0)
    real = np.array([-1000, -0.25, 0.25, 0.75, 1000])
    assert affine.quantize(real, parameters, "int8").tolist() == [-128, 0, 0, 2, 127]
    assert affine.quantize(real, parameters, "uint8").tolist() == [0, 0, 0, 2, 255]
