"""Timing in turns, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tartlet_host.evaluate import latency


class World:
    """A clock, and calls that move it and remember their order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now

    def call(self, name: str, *seconds: float) -> Callable[[], None]:
        """A call that takes ``seconds``, over and over."""
        count = 0

        def run() -> None:
            nonlocal count
            self.now += seconds[count % len(seconds)]
            count += 1
            self.order.append(name)

        return run


def test_median_and_95th_percentile_in_milliseconds() -> None:
    world = World()
    found = latency.measure({"a": world.call("a", 0.010)}, runs=8, clock=world.clock)
    assert found["a"].p50 == pytest.approx(10)
    assert found["a"].p95 == pytest.approx(10)
    assert found["a"].runs == 8


def test_candidates_take_turns_in_blocks() -> None:
    world = World()
    calls = {"a": world.call("a", 0.001), "b": world.call("b", 0.002)}
    latency.measure(calls, runs=8, clock=world.clock)
    timed = "".join(world.order[2 * latency.WARM_UP :])
    assert timed == ("a" * latency.BLOCK + "b" * latency.BLOCK) * 2


def test_the_first_of_a_block_is_not_counted() -> None:
    world = World()
    slow_first = [1.0] + [0.001] * (latency.BLOCK - 1)
    found = latency.measure({"a": world.call("a", *slow_first)}, runs=20, clock=world.clock)
    assert found["a"].p95 == pytest.approx(1.0)


def test_a_machine_that_slows_down_leaves_the_ratio() -> None:
    world = World()

    def drifting(cost: float) -> Callable[[], None]:
        def run() -> None:
            world.now += cost * (1 + world.now)

        return run

    found = latency.measure({"a": drifting(0.001), "b": drifting(0.002)}, clock=world.clock)
    assert found["b"].p50 / found["a"].p50 == pytest.approx(2, rel=0.05)


def test_progress_counts_rounds() -> None:
    world = World()
    seen: list[tuple[int, int]] = []
    calls = {"a": world.call("a", 0.001)}
    latency.measure(calls, runs=9, clock=world.clock, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]
