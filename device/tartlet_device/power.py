"""Power and heat as often as somebody asks, read from the system no more than every second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tartlet_device import machine
from tartlet_shared import throttling
from tartlet_shared.health_messages import PowerAndHeat

_FRESH_S = 1.0


class PowerWatch:
    """Remembers what was wrong. Safe to use from several threads.

    The firmware has flags for what has occurred since the start, but others that read them may
    clear them, so what was seen here stays.
    """

    def __init__(
        self,
        *,
        flags: Callable[[], int | None] = machine.throttled_flags,
        temperature_c: Callable[[], float | None] = machine.temperature_c,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            flags: the firmware's, see `tartlet_device.machine.throttled_flags`.
            temperature_c: of the processor.
            clock_s: monotonic.
        """
        self._flags, self._temperature_c, self._clock_s = flags, temperature_c, clock_s
        self._lock = threading.Lock()
        self._seen = 0
        self._read_s = float("-inf")
        self._last = PowerAndHeat()

    def now(self) -> PowerAndHeat:
        """How it is, at most a second ago."""
        with self._lock:
            if self._clock_s() - self._read_s >= _FRESH_S:
                self._last = self._read()
                self._read_s = self._clock_s()
            return self._last

    def _read(self) -> PowerAndHeat:
        flags = self._flags()
        if flags is not None:
            self._seen |= throttling.remembered(flags)
        return PowerAndHeat(
            temperature_c=self._temperature_c(),
            throttled=None if flags is None else throttling.words(flags | self._seen),
        )
