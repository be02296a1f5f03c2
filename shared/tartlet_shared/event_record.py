"""An event as it is kept on the device and told of."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

_EVENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
Part = Literal["picture", "clip"]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When something happened.

    Attributes:
        time_s: wall clock, Unix seconds; only to be trusted if ``clock_synchronized``.
        monotonic_ns: orders moments within one boot.
    """

    time_s: float
    clock_synchronized: bool
    monotonic_ns: int


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        sequence: counts events, from 1: their order, whatever the clock said.
        boot_id: of the boot that ``monotonic_ns`` belong to.
        ended: None while it goes on, and where the end is not known.
        ended_by: "rule", or "restart" if the daemon ended before the event did; None while it goes
            on.
        best_score, best_xyxy, best_frame: where it was seen best, once it ended.
        picture, clip: names of its files, without folder and suffix; several events may share a
            clip. None where there is none.
        removed: which of these were deleted to make room.
    """

    sequence: int
    event_id: str
    rule: str
    label: str
    zone: str | None
    track_id: int | None
    boot_id: str
    began: Moment
    ended: Moment | None = None
    ended_by: Literal["rule", "restart"] | None = None
    best_score: float | None = None
    best_xyxy: tuple[float, float, float, float] | None = None
    best_frame: int | None = None
    picture: str | None = None
    clip: str | None = None
    removed: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        # It becomes a file's name, so it must not lead elsewhere.
        if not _EVENT_ID.fullmatch(self.event_id):
            raise ValueError(f"event_id {self.event_id!r} is not 1-64 letters, digits, - or _")

    @property
    def name(self) -> str:
        """What its files are called; in alphabetical order they are in the order of events."""
        return f"{self.sequence:010d}-{self.event_id}"


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to list.

    Attributes:
        since_s, until_s: began in this range of wall-clock time, Unix seconds, the end left out.
        label, rule, zone: only such; None for any.
        after: go on behind the event of this sequence number, in the order asked for.
        order: by sequence number.
        limit: at most so many.
    """

    since_s: float | None = None
    until_s: float | None = None
    label: str | None = None
    rule: str | None = None
    zone: str | None = None
    after: int | None = None
    order: Literal["oldest", "newest"] = "oldest"
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 1000:
            raise ValueError("limit must be 1-1000")
