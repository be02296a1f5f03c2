"""What a Raspberry Pi's firmware says about power and heat (``vcgencmd get_throttled``), in words.

Each thing has two flags: one while it lasts, and one that stays since the start ("sticky").
Source: Raspberry Pi's documentation of vcgencmd.
"""

from __future__ import annotations

from collections.abc import Iterable

_STICKY_SHIFT = 16
_NOW = {
    0: "under-voltage now",
    1: "clock capped now",
    2: "throttled now",
    3: "soft temperature limit now",
}
_EVER = {
    16: "under-voltage has occurred",
    17: "clock was capped",
    18: "throttling has occurred",
    19: "soft temperature limit was reached",
}
WORDS = (*_NOW.values(), *_EVER.values())
"""Every flag, in words."""
HOT_C = 80.0
"""From here on a Raspberry Pi slows down by itself, degrees Celsius."""


def words(flags: int) -> tuple[str, ...]:
    """The flags that are set, those that last first."""
    return tuple(text for bit, text in (_NOW | _EVER).items() if flags & 1 << bit)


def now(said: Iterable[str]) -> tuple[str, ...]:
    """Of flags in words those that last."""
    return tuple(text for text in said if text in _NOW.values())


def remembered(flags: int) -> int:
    """The sticky flags of all that these flags say."""
    mask = sum(1 << bit for bit in _NOW)
    return ((flags & mask) << _STICKY_SHIFT) | (flags & mask << _STICKY_SHIFT)
