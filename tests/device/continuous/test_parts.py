"""Hours, the motion gate, the meter."""

from __future__ import annotations

import datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.continuous.hours import is_within
from tartlet_device.continuous.meter import WINDOW, Meter
from tartlet_device.continuous.motion_gate import MotionGate
from tartlet_device.continuous.settings import DetectionSettings, MotionSettings


@pytest.mark.parametrize(
    ("spans", "now", "within"),
    [
        ((), "03:00", True),
        (("06:00-21:30",), "06:00", True),
        (("06:00-21:30",), "21:29", True),
        (("06:00-21:30",), "21:30", False),
        (("22:00-05:00",), "23:59", True),
        (("22:00-05:00",), "00:00", True),
        (("22:00-05:00",), "05:00", False),
        (("22:00-05:00",), "12:00", False),
        (("06:00-08:00", "18:00-20:00"), "19:00", True),
        (("06:00-08:00", "18:00-20:00"), "12:00", False),
        (("00:00-24:00",), "12:00", True),
        (("18:00-24:00",), "23:59", True),
        (("18:00-24:00",), "00:00", False),
    ],
)
def test_hours(spans: tuple[str, ...], now: str, within: bool) -> None:
    assert is_within(spans, datetime.time.fromisoformat(now)) == within


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_a_span_and_the_rest_of_the_day_are_the_day(begin: int, end: int, now: int) -> None:
    if begin == end:
        return
    first, second = (f"{each // 60:02}:{each % 60:02}" for each in (begin, end))
    time = datetime.time(now // 60, now % 60)
    assert is_within((f"{first}-{second}",), time) != is_within((f"{second}-{first}",), time)


@pytest.mark.parametrize("wrong", ["6:00-21:00", "06:00", "06:00-25:00", "06:60-07:00", ""])
def test_a_wrong_span_is_refused(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"hours"):
        msgspec.convert({"hours": [wrong]}, DetectionSettings)


def still(level: int = 100) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


def with_spot(left: int) -> np.ndarray:
    picture = still()
    picture[16:32, left : left + 16] = 200
    return picture


def test_the_gate_opens_for_movement_and_closes_after_a_while() -> None:
    gate = MotionGate(MotionSettings(hold_s=2.0))
    assert gate.is_open(still(), 0.0)
    assert gate.is_open(still(), 2.0)
    assert not gate.is_open(still(), 2.1)
    assert gate.is_open(with_spot(8), 3.0)
    assert gate.is_open(still(), 4.0)
    assert not gate.is_open(still(), 9.0)


def test_noise_and_slow_light_are_no_movement() -> None:
    rng = np.random.default_rng(0)
    gate = MotionGate(MotionSettings(hold_s=0.0))
    gate.is_open(still(), 0.0)
    for second in range(1, 200):
        level = 100 + second / 4  # a quarter of a level a second
        noisy = np.clip(still() + (level - 100) + rng.normal(0, 12, (48, 64, 3)), 0, 255)
        assert not gate.is_open(noisy.astype(np.uint8), float(second))


def test_what_stays_becomes_background() -> None:
    gate = MotionGate(MotionSettings(hold_s=0.0))
    gate.is_open(still(), 0.0)
    assert gate.is_open(with_spot(8), 1.0)
    opened = [gate.is_open(with_spot(8), 1.0 + second) for second in range(1, 60)]
    assert opened[0]
    assert not opened[-1]


def test_a_canvas_of_another_size_begins_anew() -> None:
    gate = MotionGate(MotionSettings(hold_s=0.0))
    gate.is_open(still(), 0.0)
    assert not gate.is_open(still(), 1.0)
    assert gate.is_open(np.full((32, 32, 3), 100, np.uint8), 2.0)


def test_the_meter_forgets_old_frames_and_notices_silence() -> None:
    now = 0.0
    meter = Meter(lambda: now)
    assert meter.figures().rate == 0
    assert meter.figures().latency_p50_ms is None
    for _ in range(2 * WINDOW):
        now += 0.1
        meter.done(now - 0.03)
    figures = meter.figures()
    assert figures.frames == 2 * WINDOW
    assert figures.rate == pytest.approx(10.0)
    assert figures.latency_p50_ms == pytest.approx(30.0)
    now += 29.9
    assert meter.figures().rate == pytest.approx(5.0)
    meter.left_out()
    assert meter.figures().still == 1
