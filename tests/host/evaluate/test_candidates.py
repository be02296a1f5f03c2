"""The choice between candidates, as a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.evaluate.candidates import Candidate, choose, compare_boxes, front, refusal
from tartlet_host.evaluate.parity import Limits
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_shared.errors import ParityFailed

BRIGHT = Path(__file__).parents[2] / "golden" / "device" / "bright_int8.tflite"


def candidate(name: str, map50: float, latency_ms: float, disparity: str = "") -> Candidate:
    return Candidate(name, Path(name), map50, latency_ms, disparity)


FLOAT = candidate("float", 0.88, 10)


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([], "float"),
        ([candidate("int8", 0.875, 4)], "int8"),
        ([candidate("int8", 0.87, 4)], "int8"),  # exactly at the limit
        ([candidate("int8", 0.869, 4)], "float"),  # fast, but does not see enough
        ([candidate("int8", 0.0, 1)], "float"),  # the export that sees nothing
        ([candidate("int8", 0.88, 12)], "float"),  # int8 is not faster everywhere
        ([candidate("tflite", 0.87, 4), candidate("onnx", 0.88, 5)], "tflite"),
        ([candidate("tflite", 0.87, 4), candidate("onnx", 0.88, 4)], "onnx"),
        ([candidate("b", 0.87, 4), candidate("a", 0.87, 4)], "a"),
        ([candidate("nan", float("nan"), 1)], "float"),
        ([candidate("moved", 0.88, 1, "the boxes are elsewhere")], "float"),
    ],
)
def test_the_fastest_that_sees_enough(others: list[Candidate], chosen: str) -> None:
    for order in ([FLOAT, *others], [*others, FLOAT]):
        assert choose(order, reference=0.88).name == chosen


def test_the_limit_is_the_callers() -> None:
    fast = candidate("fast", 0.8, 1)
    assert choose([FLOAT, fast], reference=0.88, largest_loss=0.1) == fast
    assert choose([FLOAT, fast], reference=0.88, largest_loss=0.0) == FLOAT


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ([], "there is none"),
        ([candidate("int8", 0.5, 1)], r"int8: mAP50 0\.500"),
        ([candidate("int8", 0.88, 1, "agreement is 0.1")], r"int8: agreement is 0\.1"),
    ],
)
def test_none_is_good_enough(candidates: list[Candidate], reason: str) -> None:
    with pytest.raises(ParityFailed, match=rf"within 0\.01 of .* mAP50 of 0\.880.*{reason}"):
        choose(candidates, reference=0.88)


scores = st.floats(0, 1, allow_nan=False)
many = st.lists(st.tuples(scores, st.floats(0.1, 100)), min_size=1, max_size=12)


@given(many, scores)
def test_the_choice_lies_on_the_front_and_beats_all_that_pass(
    rows: list[tuple[float, float]], reference: float
) -> None:
    candidates = [candidate(str(place), *row) for place, row in enumerate(rows)]
    best = front(candidates)
    for each in candidates:
        beaten = any(
            other.map50 >= each.map50
            and other.latency_ms <= each.latency_ms
            and (other.map50, other.latency_ms) != (each.map50, each.latency_ms)
            for other in candidates
        )
        if each in best:
            assert not beaten
        elif not beaten:  # a twin of one on the front
            assert any((each.map50, each.latency_ms) == (b.map50, b.latency_ms) for b in best)
    passing = [each for each in candidates if not refusal(each, reference)]
    if passing:
        chosen = choose(candidates, reference=reference)
        assert all(chosen.latency_ms <= each.latency_ms for each in passing)


def test_boxes_are_compared_with_the_float_parents() -> None:
    picture = np.full((96, 128, 3), 20, np.uint8)
    picture[32:64, 32:64] = 235
    parent = open_predictor(BRIGHT, labels=("bright",))
    known = candidate("int8", 0.9, 1, "from before")
    assert compare_boxes(known, parent, parent, [picture]) == replace(known, disparity="")
    # With a limit that nothing can meet, the reason becomes a part of the candidate.
    strict = compare_boxes(known, parent, parent, [picture], limits=Limits(agreement=1.5))
    assert "agreement of the detections is 1.000" in strict.disparity
    assert refusal(strict, reference=0.9) == strict.disparity
