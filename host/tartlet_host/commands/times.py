"""Times as people write them: how long, and since when."""

from __future__ import annotations

import datetime
import re
from typing import Any

import click

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|min|s|m|h|d)")
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|min|s|m|h|d))+")


class Duration(click.ParamType):  # type: ignore[type-arg]  # older click has no arguments
    """``10s``, ``5m``, ``1h30m``, ``2d``; a plain number is seconds. Gives seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        if isinstance(value, float):
            return value
        seconds = seconds_of(str(value))
        if seconds is None or seconds <= 0:
            self.fail(f"{value!r} is no time such as 10s, 5m, 1h30m or 2d", param, ctx)
        return seconds


class When(click.ParamType):  # type: ignore[type-arg]  # older click has no arguments
    """A moment: ``2h`` (ago), ``today``, ``yesterday``, ``08:30``, ``2026-11-20``,
    ``2026-11-20 08:30``. Gives Unix seconds; local time."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        if isinstance(value, float):
            return value
        moment = moment_of(str(value), datetime.datetime.now())
        if moment is None:
            self.fail(
                f"{value!r} is no moment such as 2h (ago), today, yesterday, 08:30, 2026-11-20 or "
                "'2026-11-20 08:30'",
                param,
                ctx,
            )
        return moment.timestamp()


def seconds_of(text: str) -> float | None:
    """Seconds; None if it says no length of time."""
    text = text.strip().lower()
    try:
        return float(text) if text.replace(".", "", 1).isdecimal() else _summed(text)
    except ValueError:
        return None


def moment_of(text: str, now: datetime.datetime) -> datetime.datetime | None:
    """Local time; None if it says no moment."""
    text = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text == "now":
        return now
    if text == "today":
        return midnight
    if text == "yesterday":
        return midnight - datetime.timedelta(days=1)
    ago = _summed(text)
    if ago is not None:
        return now - datetime.timedelta(seconds=ago)
    try:
        if _TIME.fullmatch(text):
            return datetime.datetime.combine(now.date(), datetime.time.fromisoformat(text))
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _summed(text: str) -> float | None:
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text))
