"""From what happens to an event as it is kept."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tartlet_shared.event_record import EventRecord, Moment
from tartlet_shared.observation import EventBegan, EventEnded

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def begun(event: EventBegan, sequence: int, boot: str) -> EventRecord:
    """The record of an event that begins.

    Raises:
        ValueError: its ID cannot be a file's name.
    """
    return EventRecord(
        sequence=sequence,
        event_id=event.event_id,
        rule=event.rule,
        label=event.label,
        zone=event.zone,
        track_id=event.track_id,
        boot_id=boot,
        began=Moment(
            time_s=event.time_s,
            clock_synchronized=event.clock_synchronized,
            monotonic_ns=event.monotonic_ns,
        ),
    )


def ended(record: EventRecord, event: EventEnded) -> EventRecord:
    """The record of an event that ends."""
    return msgspec.structs.replace(
        record,
        ended=Moment(
            time_s=event.time_s,
            clock_synchronized=event.clock_synchronized,
            monotonic_ns=event.monotonic_ns,
        ),
        ended_by="rule",
        best_score=event.best_score,
        best_xyxy=event.best_xyxy,
        best_frame=event.best_frame,
    )


def boot_id(path: Path = _BOOT_ID) -> str:
    """Which boot this is; empty where the system does not tell."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
