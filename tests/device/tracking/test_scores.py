from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.tracking.scores import appended, median_score

probabilities = st.floats(0, 1)


@given(st.lists(probabilities, min_size=1, max_size=9))
def test_as_many_scores_are_above_the_median_as_below(scores):
    median = median_score(scores)
    assert sum(score < median for score in scores) <= len(scores) / 2
    assert sum(score > median for score in scores) <= len(scores) / 2
    assert min(scores) <= median <= max(scores)


@given(st.lists(probabilities, max_size=30), st.integers(1, 9))
def test_the_window_holds_the_last_scores(scores, window):
    kept: tuple[float, ...] = ()
    for score in scores:
        kept = appended(kept, score, window=window)
    assert list(kept) == scores[-window:]


@given(st.floats(0.6, 1), st.floats(0, 1))
def test_one_odd_frame_in_five_changes_nothing(steady, odd):
    assert median_score([steady, steady, odd, steady, steady]) == steady


def test_the_median_of_none_is_refused():
    with pytest.raises(ValueError, match="no scores"):
        median_score([])
