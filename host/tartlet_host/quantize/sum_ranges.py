"""Ranges of sums for which ONNX Runtime rounds alike on every processor.

It adds two 8-bit tensors in float and rounds to the sum's integers. A half goes to the even integer
on x86 and up on ARM, so a Pi would differ from the laptop by a step here and there; in layers after
it the differences grow. Where the ratio of each scale to the sum's is a fraction with one odd
denominator, every result is a multiple of one over it and no half can occur.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tartlet_host.quantize.ranges import Range

if TYPE_CHECKING:
    import onnx

DENOMINATOR = 1023
"""Odd. Results stay 1/2046 away from a half, and float32 errs by less than a twentieth of that."""

_KEEP_SCALE = frozenset({"Resize", "Transpose"})
_LIMIT = frozenset({"Clip", "Relu"})


def without_halves(ranges: Mapping[str, Range], graph: onnx.GraphProto) -> dict[str, Range]:
    """Ranges of which those of sums and their terms are widened, mostly by less than a percent.

    Args:
        ranges: of every activation, by tensor name.
        graph: of the float model, in the order that it runs.
    """
    widened = dict(ranges)
    settled: set[str] = set()
    for node in graph.node:
        if node.op_type != "Add":
            continue
        terms = [_scaled_as(name, graph) for name in node.input]
        total = _limited(node.output[0], graph)
        if not all(name in widened for name in (*terms, total)):
            continue  # one is a constant, or stays float
        fixed = [name for name in terms if name in settled]
        if fixed:
            # Where both terms are (no network of ours), only the first is sure to have no halves.
            scale = _scale(widened[fixed[0]])
            share = math.floor(DENOMINATOR * scale / _scale(widened[total]))
            if share == 0:
                continue  # all of the term is less than one step of the sum
            widened[total] = _with_scale(widened[total], scale * DENOMINATOR / share)
        whole = _scale(widened[total])
        for name in terms:
            if name not in settled:
                share = math.ceil(DENOMINATOR * _scale(widened[name]) / whole)
                widened[name] = _with_scale(widened[name], whole * share / DENOMINATOR)
        settled.update(terms, [total])
    return widened


def _scale(of: Range) -> float:
    """The step of its 8-bit integers, which always have one for zero."""
    return (max(of.high, 0.0) - min(of.low, 0.0)) / 255


def _with_scale(of: Range, scale: float) -> Range:
    low = min(of.low, 0.0)
    return Range(low, max(low + 255 * scale, of.high))


def _scaled_as(name: str, graph: onnx.GraphProto) -> str:
    """The tensor whose scale this one has: operators that only move values keep it."""
    for node in graph.node:
        if name in node.output and node.op_type in _KEEP_SCALE:
            return _scaled_as(node.input[0], graph)
    return name


def _limited(name: str, graph: onnx.GraphProto) -> str:
    """The tensor that is stored: a limit after a layer becomes part of its range."""
    users = [node for node in graph.node if name in node.input]
    if len(users) == 1 and users[0].op_type in _LIMIT:
        return str(users[0].output[0])
    return name
