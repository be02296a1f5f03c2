"""Time lapses, on a clock of their own, with a device that goes away."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tartlet_host import time_lapse
from tartlet_host.time_lapse import Missed, Plan
from tartlet_shared import errors
from tests.host.away import World


def times(
    world: World, plan: Plan, most: int = 1000, takes_s: float = 0.0
) -> tuple[list[float], int]:
    """When photos were taken, and how many were missed."""
    missed = Missed()

    def take(session: Any) -> float:
        taken = world.work(session)
        world.now += takes_s
        return taken

    with world.session() as lasting:
        photos = time_lapse.taken(lasting, plan, take, missed=missed, clock=world.clock)
        return list(itertools.islice(photos, most)), missed.count


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan(10, 40), [0, 10, 20, 30]),
        (Plan(10, 41), [0, 10, 20, 30, 40]),
        (Plan(10, 5), [0]),
        (Plan(10, None, 3), [0, 10, 20]),
        (Plan(10, 15, 3), [0, 10]),
        (Plan(0.5, 2), [0, 0.5, 1, 1.5]),
    ],
)
def test_one_at_the_start_and_then_every_so_often(plan: Plan, expected: list[float]) -> None:
    assert times(World(), plan) == (expected, 0)
    assert plan.photos == len(expected)


def test_without_an_end_it_goes_on() -> None:
    taken, _ = times(World(), Plan(60), most=500)
    assert taken == [60 * number for number in range(500)]
    assert Plan(60).photos is None


def test_a_device_that_is_away_costs_only_the_photos_of_that_time() -> None:
    taken, missed = times(World((25, 73)), Plan(10, 120))
    assert taken[:3] == [0, 10, 20]
    assert 73 <= taken[3] < 73 + 30  # as soon as it is back
    assert taken[-1] == 110
    assert all(moment % 10 == 0 for moment in taken[4:])  # in step again
    assert len(taken) + missed == 12


def test_one_that_stays_away_ends_it_with_what_was_taken() -> None:
    taken, missed = times(World((25, math.inf)), Plan(10, 120))
    assert taken == [0, 10, 20]
    assert len(taken) + missed == 12


def test_a_count_without_a_time_is_reached_in_the_end() -> None:
    taken, missed = times(World((25, 1000)), Plan(10, None, 6))
    assert len(taken) == 6
    assert taken[3] >= 1000
    assert missed > 90


def test_photos_that_take_longer_than_the_time_between_them_are_missed() -> None:
    taken, missed = times(World(), Plan(10, 100), takes_s=14)
    assert taken == [0, 20, 40, 60, 80]
    assert missed == 5


def test_the_first_photo_must_come_about() -> None:
    world = World()

    def fail(session: object) -> None:
        raise errors.CameraAbsent("none")

    with world.session(passing=time_lapse.PASSING) as lasting, pytest.raises(errors.CameraAbsent):
        next(time_lapse.taken(lasting, Plan(10, 100), fail, missed=Missed(), clock=world.clock))
    assert world.waits in ([], [0.0])


def test_a_camera_that_comes_back_goes_on() -> None:
    world = World()
    calls = itertools.count()

    def take(session: object) -> float:
        if 3 <= next(calls) < 6:
            raise errors.CameraTimeout("stuck")
        return world.now

    missed = Missed()
    with world.session(passing=time_lapse.PASSING) as lasting:
        taken = list(time_lapse.taken(lasting, Plan(1, 30), take, missed=missed, clock=world.clock))
    assert len(taken) + missed.count == 30
    assert len(taken) >= 20


@settings(max_examples=300)
@example(every=1 / 3, length=5.0, away=[(3.5, 1.0)])
@given(
    every=st.floats(0.1, 50),
    length=st.floats(1, 300),
    away=st.lists(st.tuples(st.floats(0.01, 300), st.floats(0.01, 100)), max_size=4),
)
def test_every_photo_is_taken_or_missed(
    every: float, length: float, away: list[tuple[float, float]]
) -> None:
    plan = Plan(every, length)
    taken, missed = times(
        World(*((begin, begin + span) for begin, span in away)), plan, most=10_000
    )
    assert plan.photos is not None
    assert taken[0] == 0
    assert all(before < after for before, after in itertools.pairwise(taken))
    assert all(moment < length + 1e-6 for moment in taken)
    assert abs(len(taken) + missed - plan.photos) <= 1  # rounding at the very end


def test_a_plan_needs_time() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Plan(0)
