"""Lengths of time and moments, as people write them."""

from __future__ import annotations

import datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.commands.times import Duration, When, moment_of, seconds_of

NOW = datetime.datetime(2026, 11, 22, 8, 30, 15, 250_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("500ms", 0.5),
        ("5m", 300),
        ("5min", 300),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("20", 20),
        ("0.5", 0.5),
        (" 3H ", 10_800),
        ("", None),
        ("h", None),
        ("10 s", None),
        ("-5s", None),
        ("10x", None),
        ("1h and", None),
        (".", None),
        ("1..5", None),
    ],
)
def test_lengths(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_lengths_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    length = datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert seconds_of(f"{days}d{hours}h{minutes}m{seconds}s") == length.total_seconds()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("today", datetime.datetime(2026, 11, 22)),
        ("Yesterday", datetime.datetime(2026, 11, 21)),
        ("2h", datetime.datetime(2026, 11, 22, 6, 30, 15, 250_000)),
        ("1d", datetime.datetime(2026, 11, 21, 8, 30, 15, 250_000)),
        ("06:05", datetime.datetime(2026, 11, 22, 6, 5)),
        ("06:05:07", datetime.datetime(2026, 11, 22, 6, 5, 7)),
        ("2026-11-20", datetime.datetime(2026, 11, 20)),
        ("2026-11-20 08:30", datetime.datetime(2026, 11, 20, 8, 30)),
        ("2026-11-20T08:30:01", datetime.datetime(2026, 11, 20, 8, 30, 1)),
        ("25:00", None),
        ("2026-13-01", None),
        ("soon", None),
        ("", None),
    ],
)
def test_moments(text: str, moment: datetime.datetime | None) -> None:
    assert moment_of(text, NOW) == moment


@given(st.text(max_size=12))
def test_rubbish_is_no_time(text: str) -> None:
    assert seconds_of(text) is None or seconds_of(text) >= 0  # type: ignore[operator]
    assert moment_of(text, NOW) is None or isinstance(moment_of(text, NOW), datetime.datetime)


@pytest.mark.parametrize("kind", [Duration(), When()])
def test_what_is_no_time_is_answered_with_examples(kind: click.ParamType) -> None:  # type: ignore[type-arg]
    with pytest.raises(click.BadParameter, match="such as"):
        kind.convert("soon", None, None)


def test_what_was_converted_stays() -> None:
    assert Duration().convert(2.5, None, None) == 2.5
    assert When().convert(2.5, None, None) == 2.5
    with pytest.raises(click.BadParameter):
        Duration().convert("0", None, None)
