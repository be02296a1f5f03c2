"""The messages about events that a device keeps: a list of them, and their files."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tartlet_shared.event_record import EventQuery, EventRecord
from tartlet_shared.manifest import Sha256
from tartlet_shared.message_base import Reply, Request

PART_BYTES = 1 << 20
"""At most so much of a file is in one message."""

EventFolder = Literal["pictures", "clips"]
EventFileName = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[0-9]{10,20}-[0-9A-Za-z_-]{1,64}\.(jpg|json|mp4|jsonl)\Z"),
]
"""Leads nowhere but into its folder, on either side."""


class EventsRequest(Request, frozen=True, kw_only=True):
    """Which events are there?"""

    query: EventQuery = EventQuery()


class EventFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an event, whole on the device's disk.

    Attributes:
        folder, name: where.
        size: bytes.
    """

    folder: EventFolder
    name: EventFileName
    size: Annotated[int, msgspec.Meta(ge=0)]


class ListedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and those of its files that are there now."""

    record: EventRecord
    files: tuple[EventFile, ...] = ()


class Events(Reply, frozen=True, kw_only=True):
    """The events asked for, in the order asked for."""

    events: tuple[ListedEvent, ...]


class EventFileRequest(Request, frozen=True, kw_only=True):
    """Send a file of an event, from ``offset`` on."""

    folder: EventFolder
    name: EventFileName
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


class EventFilePart(Reply, frozen=True, kw_only=True):
    """The next bytes of a file.

    Attributes:
        content: at most `PART_BYTES`.
        offset: where in the file they lie. 0 in the first part where the file is shorter than what
            was asked for: it is another one now.
        size: of the whole file.
        sha256: of the whole file, in the last part; None before.
    """

    content: bytes
    offset: int
    size: int
    sha256: Sha256 | None = None
