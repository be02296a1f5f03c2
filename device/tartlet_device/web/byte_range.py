"""``Range: bytes=...`` (RFC 9110, section 14): one range; more are answered with the whole."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Unsatisfiable(Exception):
    """The range lies behind the end."""


def of(header: str | None, size: int) -> tuple[int, int] | None:
    """Which bytes are asked for.

    Args:
        header: None where there is none.
        size: bytes there are.

    Returns:
        Start and length, both inside; None for the whole.

    Raises:
        Unsatisfiable: none of them is there.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        length = min(int(found[2]), size)
        if length == 0:
            raise Unsatisfiable
        return size - length, length
    start = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < start:
        return None  # invalid, so it counts as not there
    if start >= size:
        raise Unsatisfiable
    return start, last - start + 1
