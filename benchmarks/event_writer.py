"""A process to be killed: it enters events in a log, and says what was promised.

``python -m benchmarks.event_writer FOLDER FIRST``. It says "began <event>" and "ended <event>" once
the log has taken it, and "synced" once the disk has.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tartlet_device.events.log import EventLog
from tartlet_shared.observation import EventBegan, EventEnded

MOST = 60
"""So many events the log remembers."""


def main() -> None:
    """Until it is killed."""
    now_s = [100.0]
    log = EventLog(Path(sys.argv[1]), most=MOST, monotonic=lambda: now_s[0])
    number = int(sys.argv[2])
    print("open", flush=True)
    while True:
        number += 1
        event = began(number)
        log.begin(event)
        print("began", event.event_id, flush=True)
        if number % 3:
            log.end(ended(event))
            print("ended", event.event_id, flush=True)
        if number % 4 == 0:
            now_s[0] += 2
            log.keep()
            print("synced", flush=True)


def began(number: int) -> EventBegan:
    """An event; later numbers have later IDs."""
    return EventBegan(
        event_id=f"{1_700_000_000_000 + number:013d}-{number:04x}-abcd",
        rule="door",
        label="person",
        zone=None,
        track_id=number,
        time_s=1000.0 + number,
        clock_synchronized=True,
        monotonic_ns=number * 10**9,
    )


def ended(event: EventBegan) -> EventEnded:
    """Its end."""
    return EventEnded(
        event_id=event.event_id,
        time_s=event.time_s + 1,
        clock_synchronized=True,
        monotonic_ns=event.monotonic_ns + 10**9,
        best_score=0.75,
        best_xyxy=(1.0, 2.0, 3.0, 4.0),
        best_frame=7,
    )


if __name__ == "__main__":
    main()
