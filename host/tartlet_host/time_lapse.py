"""A photo every so often, for as long as wanted, whatever the connection does meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tartlet_host.remote.lasting import Clock, LastingSession
from tartlet_host.remote.session import Session
from tartlet_shared import errors

_T = TypeVar("_T")

PASSING = (errors.DeviceError,)
"""A camera that fails may work again too."""


@dataclass(frozen=True)
class Plan:
    """When photos are taken: at the start, and then every so often.

    Attributes:
        every_s: between two photos.
        length_s: none later than so long after the start; None without end.
        count: at most so many; None without end.
    """

    every_s: float
    length_s: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.every_s <= 0:
            raise ValueError("every_s must be above 0")

    @property
    def photos(self) -> int | None:
        """How many there will be if none is missed; None without end."""
        by_time = None if self.length_s is None else max(1, math.ceil(self.length_s / self.every_s))
        if by_time is None or self.count is None:
            return by_time if self.count is None else self.count
        return min(by_time, self.count)


@dataclass
class Missed:
    """Photos that were due and could not be taken."""

    count: int = 0


def taken(
    device: LastingSession,
    plan: Plan,
    take: Callable[[Session], _T],
    *,
    missed: Missed,
    clock: Clock | None = None,
) -> Iterator[_T]:
    """Each photo when it is due.

    Those that were due while the device was away are missed, and one is taken as soon as it is
    back. Only the first must come about.

    Args:
        device: connected.
        plan: when.
        take: takes one photo.
        missed: counted here.
        clock: the device's own, for tests.

    Raises:
        TartletError: something that waiting does not mend.
    """
    clock = clock or Clock()
    start_s = clock.now_s()
    end_s = math.inf if plan.length_s is None else start_s + plan.length_s
    done = turn = 0
    while plan.count is None or done < plan.count:
        due_s = start_s + turn * plan.every_s
        if due_s >= end_s:
            return
        clock.sleep(max(0.0, due_s - clock.now_s()))
        give_up_s = end_s if done else start_s
        try:
            photo = device.call(take, partial(float, give_up_s))
        except device.passing:
            if not done:
                raise
            left = (end_s - due_s) / plan.every_s
            missed.count += math.ceil(left) if math.isfinite(left) else 1
            return
        yield photo
        done += 1
        following = turn + 1
        # The next one that is still to come.
        now_s = clock.now_s()
        turn = max(following, math.floor((now_s - start_s) / plan.every_s) + 1)
        if start_s + turn * plan.every_s <= now_s:  # a quotient that was rounded down
            turn += 1
        missed.count += turn - following
