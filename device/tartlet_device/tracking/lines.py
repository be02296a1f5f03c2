"""Objects that cross lines, counted once in each direction however much their boxes jitter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import msgspec

from tartlet_device.tracking.polygon import XY
from tartlet_device.tracking.settings import Line
from tartlet_device.tracking.zones import bottom_centre
from tartlet_shared.observation import Observation, Track

Direction = Literal["left_to_right", "right_to_left"]


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """An object crossed a line.

    Attributes:
        line, label, track_id: which, and what did.
        direction: as seen by someone who walks from the line's start to its end in the picture.
        monotonic_ns: of the frame in which it counted.
    """

    line: str
    label: str
    track_id: int
    direction: Direction
    monotonic_ns: int


class LineCount(msgspec.Struct, frozen=True, kw_only=True):
    """Crossings of one line by one class since the daemon started."""

    line: str
    label: str
    left_to_right: int
    right_to_left: int


@dataclass(frozen=True)
class _Passage:
    """Where an object is with respect to a line; sides are 1 for right, -1 for left, 0 for none.

    Attributes:
        settled: the side it was on for certain.
        last: where it was last, in pixels.
        side: the side of ``last``.
        frames: observations running on that side.
        through: whether it last changed sides between the line's ends.
        seen_ns: when.
    """

    settled: int
    last: XY
    side: int
    frames: int
    through: bool
    seen_ns: int


class LineCounter:
    """Counts crossings."""

    def __init__(self, lines: tuple[Line, ...], *, forget_s: float) -> None:
        """Count for ``lines``; an object unseen for longer than ``forget_s`` is forgotten."""
        self._lines = lines
        self._forget_ns = forget_s * 1e9
        self._passages: dict[tuple[str, int], _Passage] = {}
        self._counts: Counter[tuple[str, str, Direction]] = Counter()

    def update(self, observation: Observation) -> tuple[Crossing, ...]:
        """Take in an observation; return the crossings that it completes."""
        now_ns = observation.frame.monotonic_ns
        crossings = [
            crossing
            for line in self._lines
            for track in observation.tracks
            if (crossing := self._follow(line, track, observation))
        ]
        self._passages = {
            key: passage
            for key, passage in self._passages.items()
            if now_ns - passage.seen_ns <= self._forget_ns
        }
        self._counts.update((each.line, each.label, each.direction) for each in crossings)
        return tuple(crossings)

    def counts(self) -> tuple[LineCount, ...]:
        """All crossings so far, by line and class; only those that there were."""
        return tuple(
            LineCount(
                line=line,
                label=label,
                left_to_right=self._counts[line, label, "left_to_right"],
                right_to_left=self._counts[line, label, "right_to_left"],
            )
            for line, label in sorted({(line, label) for line, label, _ in self._counts})
        )

    def _follow(self, line: Line, track: Track, observation: Observation) -> Crossing | None:
        key = line.name, track.track_id
        width, height = observation.width, observation.height
        x, y = bottom_centre(track, width, height)
        start = line.start[0] * width, line.start[1] * height
        end = line.end[0] * width, line.end[1] * height
        before = self._passages.get(key)
        now, settled_now = _moved(
            before,
            (x * width, y * height),
            (start, end),
            margin=line.margin * height,
            frames=line.frames,
            now_ns=observation.frame.monotonic_ns,
        )
        self._passages[key] = now
        if not settled_now or before is None or before.settled == 0 or not now.through:
            return None
        return Crossing(
            line=line.name,
            label=track.label,
            track_id=track.track_id,
            direction="left_to_right" if now.settled > 0 else "right_to_left",
            monotonic_ns=now.seen_ns,
        )


def _moved(
    before: _Passage | None,
    point: XY,
    line: tuple[XY, XY],
    *,
    margin: float,
    frames: int,
    now_ns: int,
) -> tuple[_Passage, bool]:
    """Where an object is now, and whether it has just settled on another side."""
    distance, along = _from_line(point, line)
    side = (distance > 0) - (distance < 0)
    if before is None:
        settled = side if abs(distance) > margin or frames == 1 else 0
        return _Passage(settled, point, side, 1, False, now_ns), False
    if side == 0:  # exactly on the line: it has not left the side where it was
        side = before.side
    running, through = before.frames + 1, before.through
    if side != before.side:
        was, was_along = _from_line(before.last, line)
        # where between the two points, by their distances, it passed the line
        share = was / (was - distance) if was != distance else 0.0
        through = 0.0 <= was_along + share * (along - was_along) <= 1.0
        running = 1
    settled = side if abs(distance) > margin or running >= frames else before.settled
    passage = _Passage(settled, point, side, running, through, now_ns)
    return passage, settled != before.settled


def _from_line(point: XY, line: tuple[XY, XY]) -> tuple[float, float]:
    """Distance, positive to the right, and place along it: 0 at the start, 1 at the end."""
    (ax, ay), (bx, by) = line
    dx, dy = bx - ax, by - ay
    px, py = point[0] - ax, point[1] - ay
    squared = dx * dx + dy * dy
    return (dx * py - dy * px) / squared**0.5, (dx * px + dy * py) / squared
