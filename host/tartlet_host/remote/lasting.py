"""A session that lasts: opened again, with growing waits, when it was lost."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from tartlet_host.remote.session import Session
from tartlet_shared import errors

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
LOST = (errors.ConnectionLost, errors.Unreachable, errors.DaemonNotRunning)
"""What may be over in a while."""


@dataclass(frozen=True)
class Clock:
    """Monotonic seconds, and a way to wait some."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class LastingSession:
    """Does things with a device, again if the connection is lost meanwhile; a context.

    The first connection must come about: a wrong name or a missing key is told at once.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Session]],
        *,
        passing: tuple[type[errors.TartletError], ...] = LOST,
        tell: Callable[[str], None] = lambda text: None,
        clock: Clock | None = None,
        back_off_s: Sequence[float] = BACK_OFF_S,
    ) -> None:
        """
        Args:
            connect: opens a session.
            passing: errors after which it is tried again.
            tell: called once with what is wrong, for a person.
            clock: for tests.
            back_off_s: waits before the first, second, ... further attempt.

        Attributes:
            passing: as given.
        """
        self._connect = connect
        self.passing = passing
        self._tell = tell
        self._clock = clock or Clock()
        self._back_off_s = back_off_s
        self._stack = contextlib.ExitStack()
        self._session: Session | None = None
        self._name = ""

    def __enter__(self) -> Self:
        self._session = self._stack.enter_context(self._connect())
        self._name = self._session.device.name
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drop()

    @property
    def name(self) -> str:
        """The device's."""
        return self._name

    def call(self, work: Callable[[Session], _T], until_s: Callable[[], float]) -> _T:
        """What ``work`` gives; after a passing error it is called again, on a new connection.

        Args:
            work: must bear being called again after it failed in the middle.
            until_s: when to give up, on the clock, and raise the error. May grow while ``work``
                gets on; the waits are short again then.
        """
        attempt, deadline_s = 0, until_s()
        while True:
            try:
                if self._session is None:
                    self._session = self._stack.enter_context(self._connect())
                done = work(self._session)
            except self.passing as error:
                self._drop()
                if until_s() > deadline_s:
                    attempt, deadline_s = 0, until_s()
                wait_s = self._back_off_s[min(attempt, len(self._back_off_s) - 1)]
                if self._clock.now_s() + wait_s >= deadline_s:
                    raise
                if attempt == 0:
                    self._tell(f"{error}; trying again")
                _log.info("attempt %d: %s", attempt + 1, error)
                attempt += 1
                self._clock.sleep(wait_s)
            else:
                if attempt:
                    self._tell("it works again")
                return done

    def _drop(self) -> None:
        self._session = None
        self._stack.close()
