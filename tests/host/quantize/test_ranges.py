"""From values to ranges: definitions, and what each method is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.quantize import ranges
from tartlet_host.quantize.ranges import BINS, Histogram, Range
from tartlet_host.recipe import QuantizeRecipe


def histogram(values: np.ndarray) -> Histogram:
    low, high = float(values.min()), float(values.max())
    return Histogram(low, high, np.histogram(values, BINS, (low, high))[0])


def test_min_max_is_the_smallest_and_largest_of_all_pictures() -> None:
    pictures = [
        {"a": np.array([[0.0, 1.0]]), "b": np.array([5.0])},
        {"a": np.array([[-3.0, 0.5]]), "b": np.array([5.0])},
    ]
    found = ranges.ranges(lambda: iter(pictures), QuantizeRecipe())
    assert found == {"a": Range(-3.0, 1.0), "b": Range(5.0, 5.0)}


@pytest.mark.parametrize(("method", "walks"), [("min-max", 1), ("percentile", 2), ("entropy", 2)])
def test_pictures_are_walked_through_as_often_as_needed(
    method: Literal["min-max", "percentile", "entropy"], walks: int
) -> None:
    started = []

    def walk() -> Iterator[dict[str, Any]]:
        started.append(1)
        yield {"a": np.linspace(-1, 1, 5000)}

    ranges.ranges(walk, QuantizeRecipe(calibration=method))
    assert len(started) == walks


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=200).filter(lambda v: max(v) - min(v) > 1),
    st.floats(50.1, 100),
)
def test_a_percentile_range_holds_at_least_that_part(values: list[float], percent: float) -> None:
    data = np.array(values)
    found = ranges.percentile(histogram(data), percent)
    bin_width = (data.max() - data.min()) / BINS
    assert data.min() - 1e-9 <= found.low <= found.high <= data.max() + 1e-9
    inside = (data >= found.low - bin_width) & (data <= found.high + bin_width)
    assert inside.mean() >= percent / 100 - 1e-9


def test_all_of_the_values_is_min_max() -> None:
    data = np.random.default_rng(0).normal(size=4000)
    found = ranges.percentile(histogram(data), 100.0)
    assert (found.low, found.high) == pytest.approx((data.min(), data.max()))


def test_percentile_cuts_rare_values_off() -> None:
    data = np.concatenate([np.linspace(-1, 1, 100_000), [1000.0]])
    found = ranges.percentile(histogram(data), 99.9)
    assert found.high < 2.0


def test_entropy_keeps_an_even_distribution_whole() -> None:
    found = ranges.entropy(histogram(np.linspace(0, 6, 50_000)))
    assert (found.low, found.high) == pytest.approx((0.0, 6.0))


def test_entropy_cuts_a_long_tail_and_keeps_zero() -> None:
    rng = np.random.default_rng(0)
    data = np.concatenate([np.abs(rng.normal(size=200_000)), [60.0, 80.0]])
    found = ranges.entropy(histogram(data))
    assert found.low == pytest.approx(data.min())
    assert 3.0 < found.high < 40.0


def test_entropy_does_not_count_zeros() -> None:
    """Behind a rectifier half of the values are zero; they are exact in any range."""
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(size=100_000), 0, 6)
    with_zeros = np.concatenate([values, np.zeros(900_000)])
    plain, found = ranges.entropy(histogram(values)), ranges.entropy(histogram(with_zeros))
    assert found == plain
    assert found.high > 2.5


@pytest.mark.parametrize("method", [ranges.entropy, lambda each: ranges.percentile(each, 99.0)])
def test_a_tensor_that_never_varies_keeps_its_value(method: Any) -> None:
    counts = np.histogram([2.0] * 10, BINS, (2.0, 2.0))[0]
    found = method(Histogram(2.0, 2.0, counts))
    assert (found.low, found.high) == (2.0, 2.0)
