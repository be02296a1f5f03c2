"""The order of reading: whole epochs, rare classes more often, no replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset.order import picture_order, repeat_factors
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_shared.errors import DatasetNotFound


def sample(*class_ids: int, ignored: int = 0) -> Sample:
    count = len(class_ids)
    return Sample(
        Path("x.png"),
        10,
        10,
        np.tile(np.array([0, 0, 5, 5], np.float32), (count, 1)),
        np.array(class_ids, np.int64),
        np.arange(count) >= count - ignored,
    )


@given(st.integers(1, 50), st.integers(-5, 2**70), st.integers(-3, 3))
def test_an_epoch_shows_each_picture_once(count: int, seed: int, epoch: int) -> None:
    order = picture_order(count, seed)
    shown = [order(epoch * count + place) for place in range(count)]
    assert sorted(shown) == list(range(count))


def test_epochs_and_seeds_differ() -> None:
    def epoch(seed: int, number: int) -> list[int]:
        order = picture_order(50, seed)
        return [order(50 * number + place) for place in range(50)]

    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)
    assert epoch(1, 7) == epoch(1, 7)


def test_factors_follow_the_definition() -> None:
    # Class 0 in 8 pictures of 10, class 1 in 2, class 2 in none, one ignored box of class 2.
    samples = [sample(0)] * 7 + [sample(0, 1, 1), sample(1), sample(2, ignored=1)]
    factors = repeat_factors(Dataset(("a", "b", "c"), tuple(samples)))
    assert factors.tolist() == [1.0] * 7 + [2.0, 2.0, 1.0]


@pytest.mark.parametrize("samples", [(), (sample(),), (sample(), sample())])
def test_without_boxes_nothing_is_repeated(samples: tuple[Sample, ...]) -> None:
    assert repeat_factors(Dataset(("a",), samples)).tolist() == [1.0] * len(samples)


@given(st.lists(st.floats(1.0, 9.0), min_size=1, max_size=20), st.integers(0, 2**32))
def test_factors_are_kept_in_every_epoch(factors: list[float], seed: int) -> None:
    order = picture_order(len(factors), seed, np.array(factors))
    length = int(sum(factors))
    for epoch in range(2):
        shown = [order(epoch * length + place) for place in range(length)]
        counts = np.bincount(shown, minlength=len(factors))
        scaled = np.array(factors) * length / sum(factors)
        assert (counts >= np.floor(scaled - 1e-6)).all()
        assert (counts <= np.ceil(scaled + 1e-6)).all()


def test_a_fractional_factor_comes_true_over_epochs() -> None:
    order = picture_order(3, 5, np.array([1.0, 1.5, 1.0]))
    counts = np.bincount([order(place) for place in range(3 * 400)], minlength=3)
    np.testing.assert_allclose(counts / 400, np.array([1.0, 1.5, 1.0]) * 3 / 3.5, atol=0.05)


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(DatasetNotFound):
        picture_order(0, 1)
