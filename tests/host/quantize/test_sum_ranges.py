"""Sums whose rounding no processor can see differently."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tartlet_host.quantize.ranges import Range
from tartlet_host.quantize.sum_ranges import DENOMINATOR, without_halves

ranges = st.builds(
    Range,
    low=st.floats(-100, -1, width=32),
    high=st.floats(0, 100, width=32),
)


def graph(nodes: list[tuple[str, list[str], str]]) -> onnx.GraphProto:
    made = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes]
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "out")
    ]
    return helper.make_graph(made, "sums", tensors[:1], tensors[1:])


CHAIN = [
    ("Conv", ["x"], "first"),
    ("Conv", ["first"], "a"),
    ("Add", ["first", "a"], "second"),
    ("Conv", ["second"], "b"),
    ("Add", ["b", "second"], "sum"),
    ("Relu", ["sum"], "third"),
    ("Resize", ["third"], "large"),
    ("Conv", ["x"], "c"),
    ("Add", ["c", "large"], "out"),
]
SUMS = [("first", "a", "second"), ("second", "b", "third"), ("third", "c", "out")]
TENSORS = sorted({name for each in SUMS for name in each} | {"sum", "large"})


def scale(of: Range) -> float:
    return (of.high - of.low) / 255


@given(st.fixed_dictionaries(dict.fromkeys(TENSORS, ranges)))
def test_no_sum_lies_near_a_half(given_ranges: dict[str, Range]) -> None:
    widened = without_halves(given_ranges, graph(CHAIN))
    for left, right, total in SUMS:
        ratios = [scale(widened[name]) / scale(widened[total]) for name in (left, right)]
        steps = np.arange(-255.0, 256.0)
        # The few terms that can matter: those whose sum is within the range.
        sums = steps[:, None] * ratios[0] + steps[None, :] * ratios[1]
        fraction = np.abs(sums[np.abs(sums) <= 255] % 1 - 0.5)
        assert fraction.min() >= 0.4 / DENOMINATOR


@given(st.fixed_dictionaries(dict.fromkeys(TENSORS, ranges)))
def test_ranges_only_widen(given_ranges: dict[str, Range]) -> None:
    widened = without_halves(given_ranges, graph(CHAIN))
    for name, before in given_ranges.items():
        assert widened[name].low <= before.low
        assert widened[name].high >= before.high
    assert widened["large"] == given_ranges["large"]  # it has its source's scale


def test_similar_ranges_hardly_change() -> None:
    before = {name: Range(-1.0 - 0.1 * place, 1.0) for place, name in enumerate(TENSORS)}
    widened = without_halves(before, graph(CHAIN))
    for name in before:
        assert scale(widened[name]) <= 1.005 * scale(before[name])


def test_what_is_not_a_sum_of_two_activations_stays() -> None:
    nodes = [("Conv", ["x"], "a"), ("Add", ["a", "constant"], "b"), ("Conv", ["b"], "out")]
    before = {name: Range(-1.0, 2.0) for name in ("a", "b", "out")}
    assert without_halves(before, graph(nodes)) == before
