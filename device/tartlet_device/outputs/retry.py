"""How long to wait before another attempt."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER_S = 3600.0
"""No receiver can silence a device for longer with one answer."""


def back_off_s(
    failures: int, first_s: float, longest_s: float, chance: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after ``failures`` failures in a row, at least one.

    Doubles from ``first_s`` to ``longest_s``; a random half of it is taken off, so that a thousand
    devices do not come back at the same moment.

    Args:
        chance: gives a number in ``[0, 1)``.
    """
    whole = min(longest_s, first_s * 2.0 ** min(failures - 1, 60))
    return whole * (1.0 - 0.5 * chance())


def retry_after_s(value: str | None, *, date: str | None, now_s: float) -> float | None:
    """What a ``Retry-After`` header asks for (RFC 9110, section 10.2.3), seconds; None if nothing.

    Args:
        value: the header: seconds or a date.
        date: the answer's own ``Date``. A date counts from there, because the clock of a Raspberry
            Pi may be wrong.
        now_s: Unix seconds, used where there is no ``Date``.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_RETRY_AFTER_S)
    until = _unix_seconds(value)
    if until is None:
        return None
    start = _unix_seconds(date or "")
    wait = until - (now_s if start is None else start)
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER_S)


def _unix_seconds(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return found.timestamp()
    except (ValueError, OverflowError):
        return None
