from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tartlet_device.continuous.counts import Counts, together
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_device.tracking.lines import LineCount
from tartlet_device.tracking.settings import TrackingSettings, Zone
from tartlet_device.tracking.visits import ZoneCount

EVERYWHERE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
CORNER = ((0.0, 0.0), (0.1, 0.0), (0.1, 0.1))


def visits(zone: str, label: str, **fields: Any) -> ZoneCount:
    values = {"now": 0, "entries": 0, "ended": 0, "dwell_s": 0.0, "longest_s": 0.0} | fields
    return ZoneCount(zone=zone, label=label, **values)


def test_sums_of_what_was_and_what_is():
    past = Counts(
        (
            visits("door", "person", now=2, entries=5, ended=3, dwell_s=9.0, longest_s=4.0),
            visits("door", "dog", now=1, entries=1, longest_s=8.0),
        ),
        (LineCount(line="gate", label="person", left_to_right=1, right_to_left=2),),
    )
    present = Counts(
        (
            visits("attic", "cat", now=1, entries=1),
            visits("door", "person", now=1, entries=4, ended=3, dwell_s=1.0, longest_s=2.0),
        ),
        (
            LineCount(line="fence", label="person", left_to_right=7, right_to_left=0),
            LineCount(line="gate", label="person", left_to_right=10, right_to_left=20),
        ),
    )
    assert together(past, present) == Counts(
        (
            visits("attic", "cat", now=1, entries=1),
            visits("door", "dog", entries=1, longest_s=8.0),
            visits("door", "person", now=1, entries=9, ended=6, dwell_s=10.0, longest_s=4.0),
        ),
        (
            LineCount(line="fence", label="person", left_to_right=7, right_to_left=0),
            LineCount(line="gate", label="person", left_to_right=11, right_to_left=22),
        ),
    )


def test_nothing_is_changed_by_nothing():
    present = Counts((visits("door", "person", now=1, entries=1),))
    assert together(Counts(), present) == present
    assert together(Counts(), Counts()) == Counts()


def test_a_zone_counts_until_it_is_changed(daemon: Any, push: Any, make_bundle: Callable[..., Any]):
    daemon.device.model.activate(push(daemon, make_bundle()))
    continuous = daemon.device.continuous
    on, off = DetectionSettings(enabled=True), DetectionSettings()

    def entries() -> dict[str, int]:
        return {each.zone: each.entries for each in continuous.counts().zones}

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, continuous.counts()
            time.sleep(0.01)

    all_of_it = Zone(name="all", points=EVERYWHERE)
    continuous.apply(on, TrackingSettings(zones=(all_of_it,)))
    until(lambda: entries().get("all", 0) > 0)
    continuous.apply(off, TrackingSettings(zones=(all_of_it,)))
    before = entries()["all"]
    assert all(each.now == 0 for each in continuous.counts().zones)

    both = (all_of_it, Zone(name="more", points=EVERYWHERE))
    continuous.apply(on, TrackingSettings(zones=both))
    until(lambda: entries()["all"] > before and entries().get("more", 0) > 0)

    continuous.apply(off, TrackingSettings(zones=(Zone(name="all", points=CORNER), both[1])))
    assert set(entries()) == {"more"}
