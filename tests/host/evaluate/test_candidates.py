"""The choice between candidates, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tartlet_host.evaluate.candidates import Candidate, choose
from tartlet_shared.errors import ParityFailed


def candidate(name: str, map50: float, latency_ms: float) -> Candidate:
    return Candidate(name, Path(name), map50, latency_ms)


FLOAT = candidate("float", 0.88, 10)


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([], "float"),
        ([candidate("int8", 0.87, 4)], "int8"),
        ([candidate("int8", 0.84, 4)], "int8"),  # exactly at the limit
        ([candidate("int8", 0.839, 4)], "float"),  # fast, but does not see enough
        ([candidate("int8", 0.0, 1)], "float"),  # the export that sees nothing
        ([candidate("int8", 0.87, 12)], "float"),  # int8 is not faster everywhere
        ([candidate("tflite", 0.86, 4), candidate("onnx", 0.87, 5)], "tflite"),
        ([candidate("tflite", 0.86, 4), candidate("onnx", 0.87, 4)], "onnx"),
        ([candidate("b", 0.86, 4), candidate("a", 0.86, 4)], "a"),
        ([candidate("nan", float("nan"), 1)], "float"),
    ],
)
def test_the_fastest_that_sees_enough(others: list[Candidate], chosen: str) -> None:
    for order in ([FLOAT, *others], [*others, FLOAT]):
        assert choose(order, reference=0.88).name == chosen


def test_the_limit_is_the_callers() -> None:
    fast = candidate("fast", 0.8, 1)
    assert choose([FLOAT, fast], reference=0.88, largest_loss=0.1) == fast
    assert choose([FLOAT, fast], reference=0.88, largest_loss=0.0) == FLOAT


@pytest.mark.parametrize("candidates", [[], [candidate("int8", 0.5, 1)]])
def test_none_is_good_enough(candidates: list[Candidate]) -> None:
    with pytest.raises(ParityFailed, match=r"within 0\.04 of the float model's mAP50 of 0\.880"):
        choose(candidates, reference=0.88)
