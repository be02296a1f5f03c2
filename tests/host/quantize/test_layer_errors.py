"""Signal against noise, and which layer is to blame for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.quantize import layer_errors
from tartlet_host.quantize.graph import Layer
from tartlet_host.quantize.layer_errors import NONE


def test_decibels() -> None:
    assert layer_errors.decibels(0.01) == pytest.approx(20.0)
    assert layer_errors.decibels(1.0) == 0.0
    assert layer_errors.decibels(0.0) == NONE
    assert layer_errors.decibels(-0.2) == NONE


def test_noise_is_summed_over_pictures_before_it_is_divided() -> None:
    wanted = [{"a": np.array([3.0, 4.0])}, {"a": np.array([0.0, 0.0]), "b": np.array([1.0])}]
    given_ = [{"a": np.array([3.0, 3.0])}, {"a": np.array([1.0, 0.0])}]
    assert layer_errors.noise_to_signal(wanted, given_) == {"a": pytest.approx(2 / 25)}


@given(st.floats(0.01, 100.0))
def test_noise_to_signal_does_not_depend_on_the_unit(factor: float) -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=50), rng.normal(size=50)
    plain = layer_errors.noise_to_signal([{"a": one}], [{"a": other}])["a"]
    scaled = layer_errors.noise_to_signal([{"a": one * factor}], [{"a": other * factor}])["a"]
    assert scaled == pytest.approx(plain)


def test_a_layer_answers_for_what_it_adds_to_its_worst_input() -> None:
    layers = [
        Layer("first", "convolution", ("picture",), "x", ("x",)),
        Layer("second", "convolution", ("x",), "y", ("y",)),
        Layer("both", "sum", ("x", "y"), "z", ("z",)),
        Layer("unseen", "convolution", ("z",), "missing", ("missing",)),
    ]
    report = layer_errors.errors_of(layers, {"picture": 0.0, "x": 0.001, "y": 0.101, "z": 0.05})
    assert [each.name for each in report] == ["first", "second", "both"]
    assert [each.signal_to_noise for each in report] == [30.0, 10.0, 13.0]
    assert [each.own for each in report] == [30.0, 10.0, NONE]
