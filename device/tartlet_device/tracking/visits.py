"""Visits to zones: who is there now, how many came, how long they stayed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import msgspec

from tartlet_device.tracking.settings import Zone
from tartlet_shared.observation import Observation


class ZoneCount(msgspec.Struct, frozen=True, kw_only=True):
    """Visits of one class to one zone since the daemon started.

    Attributes:
        zone, label: which.
        now: objects there.
        entries: visits that began.
        ended: visits that ended.
        dwell_s: seconds that the ended visits lasted, together.
        longest_s: the longest visit, of those still there too, seconds.
    """

    zone: str
    label: str
    now: int
    entries: int
    ended: int
    dwell_s: float
    longest_s: float


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that ended.

    Attributes:
        zone, label, track_id: where, and what came.
        since_ns, until_ns: when it was first and last seen there, on the monotonic clock.
    """

    zone: str
    label: str
    track_id: int
    since_ns: int
    until_ns: int

    @property
    def dwell_s(self) -> float:
        """How long it stayed, seconds."""
        return (self.until_ns - self.since_ns) / 1e9


@dataclass(frozen=True)
class _Ongoing:
    label: str
    since_ns: int
    inside_ns: int  # last seen in the zone
    outside: bool  # seen since, elsewhere


class ZoneCounter:
    """Counts visits.

    An object that steps out of a zone for no longer than ``leave_s``, or that is hidden for no
    longer than ``forget_s``, is still on the same visit: a box that jitters on the border is one
    entry.
    """

    def __init__(self, zones: tuple[Zone, ...], *, leave_s: float, forget_s: float) -> None:
        self._names = tuple(zone.name for zone in zones)
        self._leave_ns, self._forget_ns = leave_s * 1e9, forget_s * 1e9
        self._ongoing: dict[tuple[str, int], _Ongoing] = {}
        self._entries: Counter[tuple[str, str]] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._dwell_ns: Counter[tuple[str, str]] = Counter()
        self._longest_ns: dict[tuple[str, str], int] = {}

    def update(self, observation: Observation) -> tuple[Visit, ...]:
        """Take in an observation whose tracks have their zones; return the visits it ends."""
        now_ns = observation.frame.monotonic_ns
        tracks = {track.track_id: track for track in observation.tracks}
        for (zone, track_id), visit in self._ongoing.items():
            track = tracks.get(track_id)
            if track is not None and zone not in track.zones:
                self._ongoing[zone, track_id] = replace(visit, outside=True)
        ended = self._close(now_ns)
        for track in observation.tracks:
            for zone in track.zones:
                if zone in self._names:
                    self._enter(zone, track.track_id, track.label, now_ns)
        return ended

    def counts(self) -> tuple[ZoneCount, ...]:
        """All visits so far, by zone and class; only those that there were."""
        now = Counter((zone, visit.label) for (zone, _), visit in self._ongoing.items())
        return tuple(
            ZoneCount(
                zone=zone,
                label=label,
                now=now[zone, label],
                entries=self._entries[zone, label],
                ended=self._ended[zone, label],
                dwell_s=self._dwell_ns[zone, label] / 1e9,
                longest_s=self._longest_ns.get((zone, label), 0) / 1e9,
            )
            for zone, label in sorted(self._entries)
        )

    def _enter(self, zone: str, track_id: int, label: str, now_ns: int) -> None:
        visit = self._ongoing.get((zone, track_id))
        if visit is None:
            self._entries[zone, label] += 1
            visit = _Ongoing(label, now_ns, now_ns, outside=False)
        self._ongoing[zone, track_id] = replace(visit, inside_ns=now_ns, outside=False)
        longest = self._longest_ns.get((zone, label), 0)
        self._longest_ns[zone, label] = max(longest, now_ns - visit.since_ns)

    def _close(self, now_ns: int) -> tuple[Visit, ...]:
        closed = []
        for (zone, track_id), visit in list(self._ongoing.items()):
            limit_ns = self._leave_ns if visit.outside else self._forget_ns
            if now_ns - visit.inside_ns <= limit_ns:
                continue
            del self._ongoing[zone, track_id]
            self._ended[zone, visit.label] += 1
            self._dwell_ns[zone, visit.label] += visit.inside_ns - visit.since_ns
            closed.append(
                Visit(
                    zone=zone,
                    label=visit.label,
                    track_id=track_id,
                    since_ns=visit.since_ns,
                    until_ns=visit.inside_ns,
                )
            )
        return tuple(closed)
