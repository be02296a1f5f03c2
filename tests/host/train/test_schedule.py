"""The learning rate: rises, then falls, never to nothing."""

from __future__ import annotations

import itertools

import pytest

from tartlet_host.train.schedule import FLOOR, learning_rate


def test_rises_in_a_line_then_falls() -> None:
    rates = [learning_rate(step, 100, 1.0, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert max(rates) == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert FLOOR < rates[-1] < FLOOR + 0.01


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 1.0), (2, 0.5), (5, 1.0)])
def test_short_runs_have_a_rate(steps: int, warmup: float) -> None:
    assert all(0 < learning_rate(step, steps, 2.0, warmup) <= 2.0 for step in range(steps))
