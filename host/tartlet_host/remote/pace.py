"""Not sending faster than wanted."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from tartlet_shared import errors

_PIECES_PER_S = 8
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([KM]?)", re.IGNORECASE)
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6}


def parse_rate(text: str) -> float:
    """Bytes per second, from text such as ``500K`` or ``1.5M``: thousands and millions.

    Raises:
        UsageError: it is something else, or less than 1000.
    """
    found = _RATE.fullmatch(text.strip())
    rate = float(found[1]) * _UNITS[found[2].upper()] if found else 0.0
    if rate < 1000:
        raise errors.UsageError(
            f"{text!r} is no rate", where="--limit", hint="bytes per second, such as 500K or 2M"
        )
    return rate


class Pace:
    """Holds a sender back, or several together.

    Args:
        bytes_per_s: at most so many, on average; > 0.
        now_s, sleep: a clock, for tests.
    """

    def __init__(
        self,
        bytes_per_s: float,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._now_s, self._sleep = now_s, sleep
        self._free_s = now_s()
        self._lock = threading.Lock()

    def piece(self, largest: int) -> int:
        """How much to send at a time, so that the line is not silent for long."""
        return max(1, min(largest, int(self._bytes_per_s / _PIECES_PER_S)))

    def wait(self, count: int) -> None:
        """Wait until ``count`` bytes may be sent. A pause of the sender is not made up for."""
        with self._lock:
            now = self._now_s()
            start = max(self._free_s, now)
            self._free_s = start + count / self._bytes_per_s
        if start > now:
            self._sleep(start - now)
