"""What the daemon's continuous loop passes along: what is seen now, and what began and ended."""

from __future__ import annotations

import msgspec

from tartlet_shared.message_base import FrameInfo


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One object, followed from frame to frame.

    Attributes:
        track_id: from 1, never given twice while the daemon runs.
        label: its class.
        score: median over its last scores, in ``[0, 1]``.
        xyxy: left, top, right, bottom in pixels of the picture; may reach a little outside it.
        frames: in how many it was detected so far.
        since_ns: when it was first seen, on the monotonic clock.
        zones: names of the zones that its bottom centre is in.
    """

    track_id: int
    label: str
    score: float
    xyxy: tuple[float, float, float, float]
    frames: int
    since_ns: int
    zones: tuple[str, ...] = ()


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One frame, understood.

    Attributes:
        frame: which frame of the camera, and when on the monotonic clock.
        time_s: when on the wall clock, Unix seconds.
        clock_synchronized: whether the wall clock can be trusted.
        width, height: of the picture that boxes refer to, pixels.
        tracks: the objects detected in it.
    """

    frame: FrameInfo
    time_s: float
    clock_synchronized: bool
    width: int
    height: int
    tracks: tuple[Track, ...]


class EventBegan(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="began"):
    """A rule was fulfilled.

    Attributes:
        event_id: unique over boots; the ids of one boot sort by time unless the clock is set back.
        rule: the rule's name.
        label: class of the object that fulfilled it.
        zone: the rule's zone.
        track_id: the object that fulfilled it.
        time_s, clock_synchronized, monotonic_ns: of the observation that fulfilled it.
    """

    event_id: str
    rule: str
    label: str
    zone: str | None
    track_id: int | None
    time_s: float
    clock_synchronized: bool
    monotonic_ns: int


class EventEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ended"):
    """What a rule asks for was not seen for as long as the rule says.

    Attributes:
        event_id: of the event that ended.
        time_s, clock_synchronized, monotonic_ns: of the observation that ended it.
        best_score, best_xyxy, best_frame: of the track with the best score during the event, and
            the number of that frame.
    """

    event_id: str
    time_s: float
    clock_synchronized: bool
    monotonic_ns: int
    best_score: float
    best_xyxy: tuple[float, float, float, float] | None
    best_frame: int
