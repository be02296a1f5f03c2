"""Events for tests; imports little, since processes that are killed start with it."""

from __future__ import annotations

from tartlet_shared.observation import EventBegan, EventEnded


def began(number: int, **fields) -> EventBegan:
    values = {
        "event_id": f"{1_700_000_000_000 + number:013d}-{number:04x}-abcd",
        "rule": "door",
        "label": "person",
        "zone": None,
        "track_id": number,
        "time_s": 1000.0 + number,
        "clock_synchronized": True,
        "monotonic_ns": number * 10**9,
    }
    return EventBegan(**(values | fields))


def ended(event: EventBegan, **fields) -> EventEnded:
    values = {
        "event_id": event.event_id,
        "time_s": event.time_s + 1,
        "clock_synchronized": True,
        "monotonic_ns": event.monotonic_ns + 10**9,
        "best_score": 0.75,
        "best_xyxy": (1.0, 2.0, 3.0, 4.0),
        "best_frame": 7,
    }
    return EventEnded(**(values | fields))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
