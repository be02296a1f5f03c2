"""Event logs for tests."""

from __future__ import annotations

from tartlet_device.events import record
from tartlet_device.events.log import EventLog
from tartlet_shared.event_record import EventQuery


def everything(opened: EventLog) -> list[record.EventRecord]:
    return opened.listed(EventQuery(limit=1000))


def abandon(opened: EventLog) -> None:
    """As a killed process leaves it: nothing is written any more."""
    opened._connection.close()
    opened._connection = None
    opened._closed = True
