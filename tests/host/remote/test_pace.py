from __future__ import annotations

import pytest

from tartlet_host.remote.pace import Pace, parse_rate
from tartlet_shared import errors


@pytest.mark.parametrize(
    ("text", "rate"), [("500K", 5e5), ("1.5m", 1.5e6), ("2000", 2000.0), (" 64k ", 64e3)]
)
def test_a_rate_is_read(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "K", "fast", "-1K", "999", "0", "1e9", "5KB", "nan", "1_0K"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(errors.UsageError, match="rate"):
        parse_rate(text)


class Clock:
    now = 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_the_average_is_kept_and_a_pause_is_not_made_up_for() -> None:
    clock = Clock()
    pace = Pace(1000.0, now_s=lambda: clock.now, sleep=clock.sleep)
    for _ in range(20):
        pace.wait(100)
    assert clock.now == pytest.approx(1.9)
    clock.now = 50.0
    for _ in range(20):
        pace.wait(100)
    assert clock.now == pytest.approx(51.9)


@pytest.mark.parametrize(("rate", "piece"), [(1e9, 32768), (80_000, 10_000), (1, 1)])
def test_pieces_are_small_on_a_slow_line(rate: float, piece: int) -> None:
    assert Pace(rate).piece(32768) == piece
