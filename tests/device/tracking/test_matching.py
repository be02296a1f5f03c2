from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment

from tartlet_device.tracking.matching import assign, buffered, match_boxes

whole = st.integers(-3, 9).map(float)
gains = st.tuples(st.integers(0, 4), st.integers(0, 5)).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=whole | st.floats(-1, 1))
)


def best_gain(gain: np.ndarray) -> float:
    """By trying everything."""
    rows, columns = gain.shape
    wide = np.maximum(gain if rows <= columns else gain.T, 0)
    few, many = wide.shape
    return max(
        sum(wide[row, column] for row, column in enumerate(order))
        for order in permutations(range(many), few)
    )


@given(gains)
def test_no_other_pairing_gains_more(gain):
    pairs = assign(gain)
    assert sum(gain[pair] for pair in pairs) == pytest.approx(best_gain(gain))


@given(gains)
def test_each_row_and_column_is_paired_at_most_once_and_only_for_a_gain(gain):
    pairs = assign(gain)
    assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
    assert all(gain[pair] > 0 for pair in pairs)
    assert pairs == sorted(pairs)


def test_greedy_would_be_worse():
    # taking the 9 first leaves 1 for the second row
    assert assign(np.array([[9.0, 8.0], [8.0, 1.0]])) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(("rows", "columns"), [(60, 60), (90, 40), (40, 90)])
def test_many_rows_agree_with_another_implementation(rows, columns):
    gain = np.random.default_rng(rows).normal(size=(rows, columns))
    theirs = linear_sum_assignment(np.maximum(gain, 0), maximize=True)
    assert sum(gain[pair] for pair in assign(gain)) == pytest.approx(
        np.maximum(gain, 0)[theirs].sum()
    )


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        assign(np.array([[np.nan]]))


def boxes(*xyxy: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(xyxy, dtype=np.float32).reshape(-1, 4)


def test_boxes_are_paired_by_overlap_where_it_is_allowed():
    expected = boxes((0, 0, 10, 10), (20, 0, 30, 10))
    found = boxes((21, 0, 31, 10), (1, 0, 11, 10))
    allowed = np.ones((2, 2), dtype=bool)
    assert match_boxes(expected, found, allowed, least_iou=0.3) == [(0, 1), (1, 0)]
    allowed[0, 1] = False
    assert match_boxes(expected, found, allowed, least_iou=0.3) == [(1, 0)]
    allowed[0, 1] = True
    assert match_boxes(expected, found, allowed, least_iou=0.9) == []


def test_nothing_matches_nothing():
    nothing = boxes()
    assert match_boxes(nothing, boxes((0, 0, 1, 1)), np.ones((0, 1), bool), least_iou=0.2) == []
    assert match_boxes(nothing, nothing, np.ones((0, 0), bool), least_iou=0.2) == []


def test_a_buffer_is_added_on_each_side():
    assert buffered(boxes((10, 10, 20, 50)), 0.5).tolist() == [[5, -10, 25, 70]]
