"""Which layers stay float, given what was measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tartlet_host.quantize.graph import Layer
from tartlet_host.quantize.layer_errors import LayerError
from tartlet_host.quantize.mixed import next_float

LAYERS = (
    Layer("a", "convolution", ("picture",), "1", ("a",)),
    Layer("b", "depthwise", ("1",), "2", ("b",)),
    Layer("c", "sum", ("1", "2"), "3", ("c",)),
    Layer("d", "convolution", ("3",), "4", ("d",)),
)


def report(**own: float) -> list[LayerError]:
    return [LayerError(name, "convolution", (name,), 0.0, value) for name, value in own.items()]


def never(names: tuple[str, ...]) -> float:
    raise AssertionError("there is nothing to try")


def prefers(*wanted: str) -> Callable[[tuple[str, ...]], float]:
    return lambda names: 0.01 if set(wanted) <= set(names) else 1.0


@pytest.mark.parametrize(
    ("own", "kept", "most", "noise_of", "expected"),
    [
        # its weights are at fault: floating what it reads changes nothing
        ({"a": 30, "b": 5, "c": 40, "d": 30}, (), 4, prefers("b"), ("b",)),
        # the range of what it reads is at fault
        ({"a": 30, "b": 5, "c": 40, "d": 30}, (), 4, prefers("a", "b"), ("b", "a")),
        ({"a": 30, "b": 50, "c": 5, "d": 30}, (), 4, prefers("a", "b", "c"), ("c", "a", "b")),
        # the first layer reads the picture alone
        ({"a": 3, "b": 5, "c": 40, "d": 30}, (), 4, never, ("a",)),
        # what is float already is not looked at again, nor counted twice
        ({"a": 3, "b": 5, "c": 40, "d": 30}, ("a",), 4, never, ("a", "b")),
        ({"a": 3, "b": 5, "c": 40, "d": 2}, ("a", "d"), 4, never, ("a", "d", "b")),
        # no room for both
        ({"a": 30, "b": 5, "c": 40, "d": 30}, (), 1, never, ("b",)),
        # no room at all, or no layer left
        ({"a": 30, "b": 5}, ("c", "d"), 2, never, ("c", "d")),
        ({"a": 30}, ("a",), 9, never, ("a",)),
    ],
)
def test_next_float(
    own: dict[str, float],
    kept: tuple[str, ...],
    most: int,
    noise_of: Callable[[tuple[str, ...]], float],
    expected: tuple[str, ...],
) -> None:
    assert next_float(LAYERS, report(**own), kept, most=most, noise_of=noise_of) == expected
