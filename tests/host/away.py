"""A device that goes away, on a clock of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tartlet_host.remote.lasting import Clock, LastingSession
from tartlet_shared import errors


class World:
    """A clock that only waits advance, and a device that is away at times.

    Args:
        away: spans of seconds in which nothing connects.
    """

    def __init__(self, *away: tuple[float, float]) -> None:
        self.now = 0.0
        self.away = away
        self.client: Any = None
        self.opened = self.closed = 0
        self.said: list[str] = []
        self.waits: list[float] = []

    @property
    def there(self) -> bool:
        return not any(begin <= self.now < end for begin, end in self.away)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        if not self.there:
            raise errors.Unreachable("no answer")
        self.opened += 1
        try:
            yield SimpleNamespace(device=SimpleNamespace(name="garden"), client=self.client)
        finally:
            self.closed += 1

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)

    def session(self, **options: Any) -> LastingSession:
        return LastingSession(self.connect, tell=self.said.append, clock=self.clock, **options)

    def work(self, session: Any) -> float:
        if not self.there:
            raise errors.ConnectionLost("cut")
        return self.now
