"""The learning rate: rises, then falls, never to nothing."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch

from tartlet_host.train.schedule import CYCLE_START, FLOOR, Schedule, learning_rate, momentum


def test_rises_in_a_line_then_falls() -> None:
    rates = [learning_rate(step, 100, 1.0, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert max(rates) == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert FLOOR < rates[-1] < FLOOR + 0.01


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 1.0), (2, 0.5), (5, 1.0), (9, 0.3)])
def test_short_runs_have_a_rate(steps: int, warmup: float, schedule: Schedule) -> None:
    rates = [learning_rate(step, steps, 2.0, warmup, schedule) for step in range(steps)]
    assert all(0 < rate <= 2.0 for rate in rates)
    momenta = [momentum(step, steps, 0.95, warmup, schedule) for step in range(steps)]
    assert all(0.85 - 1e-9 <= value <= 0.95 for value in momenta)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.3), (40, 0.25), (10, 0.5)])
def test_one_cycle_is_that_of_torch(steps: int, warmup: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=2.0, total_steps=steps, pct_start=warmup, div_factor=1 / CYCLE_START
        )
        for step in range(steps):
            group = optimizer.param_groups[0]
            assert learning_rate(step, steps, 2.0, warmup, "one-cycle") == pytest.approx(
                group["lr"], rel=1e-6
            )
            assert momentum(step, steps, 0.95, warmup, "one-cycle") == pytest.approx(
                group["momentum"]
            )
            if step + 1 < steps:
                optimizer.step()
                theirs.step()


def test_a_cosine_leaves_the_momentum_alone() -> None:
    assert {momentum(step, 10, 0.9, 0.3, "cosine") for step in range(10)} == {0.9}
