"""The settings of tracking: the tracker, zones, lines and rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from tartlet_device.tracking.polygon import fault_of_polygon

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Overlap = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
FrameCount = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Point = tuple[Fraction, Fraction]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key that nobody reads is an error."""


class TrackerSettings(_Section, frozen=True):
    """When detections are the same object.

    Attributes:
        high_score: detections from here on are matched first, and only they begin a track.
        low_score: detections from here on may continue a track that ``high_score`` ones did not.
            The detector has to be asked for so low scores, see `Tracker.wanted_score`.
        confirm_frames: a track counts once it was detected in so many frames running.
        lost_s: an object that was not detected for longer is a new one when it comes back.
        score_window: a track's score is the median of so many last ones.
        least_iou: of an expected box and a detection that are the same object.
    """

    high_score: Fraction = 0.5
    low_score: Fraction = 0.1
    confirm_frames: FrameCount = 2
    lost_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 2.0
    score_window: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    least_iou: Overlap = 0.2

    def __post_init__(self) -> None:
        if self.low_score > self.high_score:
            raise ValueError(
                f"low_score = {self.low_score} is above high_score = {self.high_score}"
            )


class Zone(_Section, frozen=True):
    """A part of the picture.

    Attributes:
        name: what rules and counts call it.
        points: corners of a polygon, 3 to 64, as fractions of the picture's width and height from
            its upper left corner; sides must not cross.
    """

    name: Name
    points: Annotated[tuple[Point, ...], msgspec.Meta(max_length=64)]

    def __post_init__(self) -> None:
        if fault := fault_of_polygon(self.points):
            raise ValueError(f"points of zone {self.name!r}: {fault}")


class Line(_Section, frozen=True):
    """A line that objects cross.

    Attributes:
        name: what counts call it.
        start, end: fractions of the picture; sides are those of someone who walks from start to
            end in the picture.
        margin: an object has crossed when its bottom centre is farther than this from the line, as
            a fraction of the picture's height, ...
        frames: ... or on the other side for so many observations running.
    """

    name: Name
    start: Point
    end: Point
    margin: Fraction = 0.02
    frames: FrameCount = 3

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError(f"line {self.name!r}: start and end are the same point")


class Rule(_Section, frozen=True):
    """When an event begins and ends.

    Attributes:
        name: what events call it.
        classes: labels it is about; empty for all.
        zone: the bottom centre must be in it; None for anywhere.
        frames: so many observations running must show such an object.
        score: its track's score must be at least this.
        end_after_s: the event ends when none was seen for so long.
        cooldown_s: after an event's end, none of the same rule and class begins for so long.
        per: one event at a time for each class, or one for each track.
    """

    name: Name
    classes: tuple[Name, ...] = ()
    zone: Name | None = None
    frames: FrameCount = 3
    score: Fraction = 0.5
    end_after_s: Seconds = 3.0
    cooldown_s: Seconds = 10.0
    per: Literal["class", "track"] = "class"


class TrackingSettings(_Section, frozen=True):
    """All of it.

    Attributes:
        tracker: when detections are the same object.
        zones, lines, rules: at most 64 of each, each with a name of its own.
        leave_s: a visit to a zone ends when the object was outside for longer.
    """

    tracker: TrackerSettings = TrackerSettings()
    zones: Annotated[tuple[Zone, ...], msgspec.Meta(max_length=64)] = ()
    lines: Annotated[tuple[Line, ...], msgspec.Meta(max_length=64)] = ()
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=64)] = ()
    leave_s: Seconds = 1.0

    def __post_init__(self) -> None:
        for key, named in (("zones", self.zones), ("lines", self.lines), ("rules", self.rules)):
            if twice := _twice(item.name for item in named):
                raise ValueError(f"{key}: the name {twice!r} is given twice")
        known = {zone.name for zone in self.zones}
        for rule in self.rules:
            if rule.zone is not None and rule.zone not in known:
                names = ", ".join(sorted(known)) or "there are none"
                raise ValueError(
                    f"rule {rule.name!r}: there is no zone {rule.zone!r} (zones: {names})"
                )


def unknown_classes(settings: TrackingSettings, labels: tuple[str, ...]) -> dict[str, list[str]]:
    """Classes that rules name and a model does not have, by rule: such a rule waits in vain."""
    missing = {
        rule.name: [name for name in rule.classes if name not in labels] for rule in settings.rules
    }
    return {rule: names for rule, names in missing.items() if names}


def _twice(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
