from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.tracking.settings import Zone
from tartlet_device.tracking.visits import ZoneCounter
from tartlet_device.tracking.zones import located
from tests.device.tracking.observations import HEIGHT, WIDTH, observed, track_at

DOOR = Zone(name="door", points=((0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0)))
ROOM = Zone(name="room", points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
IN, OUT = (0.25, 0.75), (0.75, 0.25)


def counter():
    return ZoneCounter((DOOR,), leave_s=0.5, forget_s=2.0)


def visited(places):
    """What a counter says after an object was at these places, one each 0.1 s; None is unseen."""
    counted = counter()
    ended = []
    for step, place in enumerate(places):
        tracks = [] if place is None else located([track_at(*place)], (DOOR,), WIDTH, HEIGHT)
        ended += counted.update(observed(step / 10, *tracks))
    return counted.counts(), ended


def test_a_track_has_the_zones_of_its_bottom_centre_in_their_order():
    (inside, outside) = located([track_at(*IN), track_at(*OUT)], (ROOM, DOOR), WIDTH, HEIGHT)
    assert inside.zones == ("room", "door")
    assert outside.zones == ("room",)


def test_what_is_cut_off_by_the_picture_is_still_in_it():
    (track,) = located([track_at(0.25, 1.3)], (DOOR,), WIDTH, HEIGHT)
    assert track.zones == ("door",)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 8))
def test_zones_do_not_depend_on_the_resolution(x, y, factor):
    track = track_at(x, y)
    larger = type(track)(
        track_id=1,
        label="person",
        score=0.9,
        xyxy=tuple(side * 2**factor for side in track.xyxy),
        frames=1,
        since_ns=0,
    )
    (small,) = located([track], (DOOR,), WIDTH, HEIGHT)
    (large,) = located([larger], (DOOR,), WIDTH * 2**factor, HEIGHT * 2**factor)
    assert small.zones == large.zones


@pytest.mark.parametrize(
    ("places", "now", "entries", "ended", "dwell_s"),
    [
        ([OUT] * 5, None, None, None, None),
        ([IN] * 11, 1, 1, 0, 0.0),
        ([IN] * 11 + [OUT] * 5, 1, 1, 0, 0.0),  # out for half a second: may come back
        ([IN] * 11 + [OUT] * 6, 0, 1, 1, 1.0),
        ([IN, OUT] * 20, 1, 1, 0, 0.0),  # jitter on the border
        ([IN] * 11 + [None] * 20, 1, 1, 0, 0.0),  # hidden
        ([IN] * 11 + [None] * 21, 0, 1, 1, 1.0),
        ([IN] * 3 + [OUT] * 6 + [IN], 1, 2, 1, 0.2),
        ([IN] * 3 + [OUT] * 5 + [None] * 5 + [IN], 1, 2, 1, 0.2),
    ],
)
def test_visits(places, now, entries, ended, dwell_s):
    counts, visits = visited(places)
    if now is None:
        assert counts == ()
        return
    (count,) = counts
    assert (count.now, count.entries, count.ended) == (now, entries, ended)
    assert count.dwell_s == pytest.approx(dwell_s)
    assert sum(visit.dwell_s for visit in visits) == pytest.approx(dwell_s)


@given(st.lists(st.sampled_from([IN, OUT, None]), max_size=60))
def test_who_came_is_there_or_left(places):
    counts, visits = visited(places)
    for count in counts:
        assert count.entries == count.now + count.ended
        assert count.ended == len(visits)
        assert count.longest_s >= max((visit.dwell_s for visit in visits), default=0)
    assert bool(counts) == (IN in places)


def test_objects_and_classes_are_counted_apart():
    counted = counter()
    tracks = [track_at(*IN, track_id=i, zones=("door",)) for i in (1, 2)]
    dog = track_at(*IN, track_id=3, label="dog", zones=("door",))
    counted.update(observed(0, *tracks, dog))
    assert [(count.label, count.now) for count in counted.counts()] == [("dog", 1), ("person", 2)]
