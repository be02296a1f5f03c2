"""What the looks at the validation set decide."""

from __future__ import annotations

import pytest

from tartlet_host.train.early_stopping import best_look, is_due, is_over


@pytest.mark.parametrize(
    ("values", "patience", "over"),
    [
        ([], 2, False),
        ([0.5, 0.4, 0.4], 0, False),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.4, 0.4], 2, True),
        ([0.5, 0.5, 0.5], 2, True),
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.6, 0.4, 0.6], 2, True),
        ([0.1, 0.2, 0.3, 0.2], 1, True),
    ],
)
def test_stops_after_looks_without_progress(values: list[float], patience: int, over: bool) -> None:
    assert is_over([(10 * n, value) for n, value in enumerate(values)], patience) is over


def test_the_latest_of_equal_looks_is_the_best() -> None:
    assert best_look([(1, 0.2), (2, 0.5), (3, 0.5), (4, 0.1)]) == (3, 0.5)


@pytest.mark.parametrize(
    ("every", "due"), [(0, [10]), (3, [3, 6, 9, 10]), (5, [5, 10]), (20, [10])]
)
def test_looks_come_every_so_often_and_at_the_end(every: int, due: list[int]) -> None:
    assert [step for step in range(1, 11) if is_due(step, 10, every)] == due
