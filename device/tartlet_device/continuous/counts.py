"""What was counted in zones and on lines, over all the times that somebody looked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from tartlet_device.tracking.lines import LineCount
from tartlet_device.tracking.visits import ZoneCount


@dataclass(frozen=True)
class Counts:
    """Of zones and lines, by class; each pair once."""

    zones: tuple[ZoneCount, ...] = ()
    lines: tuple[LineCount, ...] = ()

    def of(self, zones: Collection[str], lines: Collection[str]) -> Counts:
        """Those of some zones and lines."""
        return Counts(
            tuple(each for each in self.zones if each.zone in zones),
            tuple(each for each in self.lines if each.line in lines),
        )


def together(past: Counts, present: Counts) -> Counts:
    """The sums. Nobody of the past is there now; how long its last visits took is not known."""
    zones = {(each.zone, each.label): msgspec.structs.replace(each, now=0) for each in past.zones}
    for each in present.zones:
        key = each.zone, each.label
        zones[key] = _visits(zones[key], each) if key in zones else each
    lines = {(each.line, each.label): each for each in past.lines}
    for crossed in present.lines:
        place = crossed.line, crossed.label
        lines[place] = _crossings(lines[place], crossed) if place in lines else crossed
    return Counts(
        tuple(zones[key] for key in sorted(zones)), tuple(lines[key] for key in sorted(lines))
    )


def _visits(past: ZoneCount, present: ZoneCount) -> ZoneCount:
    return msgspec.structs.replace(
        present,
        entries=past.entries + present.entries,
        ended=past.ended + present.ended,
        dwell_s=past.dwell_s + present.dwell_s,
        longest_s=max(past.longest_s, present.longest_s),
    )


def _crossings(past: LineCount, present: LineCount) -> LineCount:
    return msgspec.structs.replace(
        present,
        left_to_right=past.left_to_right + present.left_to_right,
        right_to_left=past.right_to_left + present.right_to_left,
    )
