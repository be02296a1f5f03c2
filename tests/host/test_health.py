from __future__ import annotations

import pytest

from tartlet_host import health
from tartlet_shared.confirmation_messages import Standing
from tartlet_shared.health_messages import (
    DetectionStatus,
    DeviceHealth,
    EventsHealth,
    OutputHealth,
    PowerAndHeat,
)


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(digest="a" * 64, confirmed=True), "confirmed"),
        (
            Standing(digest="a" * 64, confirmed=False, healthy_s=12.4, period_s=60, starts=2),
            "on probation, healthy for 12 of 60 s; 2 starts of the daemon since",
        ),
        (
            Standing(digest="a" * 64, confirmed=False, period_s=60, fault="too slow"),
            "on probation, healthy for 0 of 60 s; began again: too slow",
        ),
    ],
)
def test_the_standing_in_words(standing: Standing, said: str) -> None:
    assert health.standing_words(standing) == said


@pytest.mark.parametrize(
    ("temperature_c", "throttled", "said"),
    [
        (None, None, ()),
        (60.0, (), ()),
        (60.0, ("under-voltage has occurred",), ()),  # status tells; it slows nothing down now
        (60.0, ("throttled now", "throttling has occurred"), ("throttled now",)),
        (84.6, None, ("85 °C",)),
    ],
)
def test_only_what_slows_down_now_is_a_problem(
    temperature_c: float | None, throttled: tuple[str, ...] | None, said: tuple[str, ...]
) -> None:
    power = PowerAndHeat(temperature_c=temperature_c, throttled=throttled)
    assert health.power_problems(power) == said


def detection(still: int = 0, fault: str = "") -> DetectionStatus:
    return DetectionStatus(
        frames=90, still=still, rate=9.96, latency_p50_ms=1, latency_p95_ms=2, fault=fault
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "off"),
        (detection(), "10.0 frames/s, 90 looked at"),
        (detection(still=4), "10.0 frames/s, 90 looked at, 4 still ones left out"),
        (detection(fault="no model"), "stands still: no model"),
    ],
)
def test_detection_in_a_line(given: DetectionStatus | None, said: str) -> None:
    assert health.detection_words(given) == said


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (OutputHealth(name="f", queued=0, delivered=3), "3 told, 0 waiting"),
        (
            OutputHealth(name="m", queued=2, delivered=3, connected=False, last_error="refused"),
            "not connected, 3 told, 2 waiting, refused",
        ),
        (
            OutputHealth(
                name="m",
                queued=0,
                delivered=1,
                connected=True,
                dropped_events=1,
                dropped_observations=4,
            ),
            "connected, 1 told, 0 waiting, 5 left out (1 events)",
        ),
    ],
)
def test_an_output_in_a_line(output: OutputHealth, said: str) -> None:
    assert health.output_words(output) == said


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (None, "not kept"),
        (EventsHealth(), "kept"),
        (EventsHealth(lost=2, faults={"video": "full"}), "2 lost; video: full"),
    ],
)
def test_the_keeping_of_events_in_a_line(events: EventsHealth | None, said: str) -> None:
    given = DeviceHealth(uptime_s=1, clock_synchronized=True, resident_bytes=1, events=events)
    assert health.event_words(given) == said


def test_times_that_are_unknown_are_said_to_be() -> None:
    assert health.latency_words(None, None) == "unknown"
    assert health.latency_words(1.25, 3.0) == "1.2 ms, 95 % within 3.0 ms"
