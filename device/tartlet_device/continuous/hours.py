"""Duty cycles: spans of the day."""

from __future__ import annotations

import datetime
from collections.abc import Sequence


def is_within(spans: Sequence[str], now: datetime.time) -> bool:
    """Whether a time of day lies in one of the spans; always, if there is none.

    Args:
        spans: such as "06:00-21:30"; the end does not belong to it. A span may go over midnight,
            and one that ends where it begins lasts all day.
        now: local.
    """
    if not spans:
        return True
    minute = now.hour * 60 + now.minute
    return any(_contains(*_ends(span), minute) for span in spans)


def _ends(span: str) -> tuple[int, int]:
    begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in span.split("-"))
    return begin % (24 * 60), end % (24 * 60)


def _contains(begin: int, end: int, minute: int) -> bool:
    if begin < end:
        return begin <= minute < end
    return minute >= begin or minute < end
