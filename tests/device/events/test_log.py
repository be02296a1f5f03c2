from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.events import database
from tartlet_device.events.log import EventLog
from tartlet_shared.event_record import EventQuery
from tests.device.events.logs import abandon, everything
from tests.device.events.made import Clock, began, ended


def test_an_event_begins_and_ends(tmp_path):
    with_log = EventLog(tmp_path, boot_id="boot")
    event = began(1, zone="gate")
    entered = with_log.begin(event)
    assert entered is not None
    assert (entered.sequence, entered.ended_by, entered.boot_id) == (1, None, "boot")
    assert everything(with_log) == [entered]
    after = with_log.end(ended(event))
    assert after.ended_by == "rule"
    assert after.ended.monotonic_ns == event.monotonic_ns + 10**9
    assert (after.best_score, after.best_xyxy, after.best_frame) == (0.75, (1, 2, 3, 4), 7)
    with_log.close()
    again = EventLog(tmp_path, boot_id="other")
    assert everything(again) == [after]
    assert again.fault is None
    again.close()


def test_the_order_is_that_of_events_whatever_the_clock_does(tmp_path):
    opened = EventLog(tmp_path)
    for number, time_s in enumerate((5000.0, 10.0, 3000.0), 1):
        opened.begin(began(number, time_s=time_s, clock_synchronized=number > 1))
    assert [each.began.time_s for each in everything(opened)] == [5000.0, 10.0, 3000.0]
    assert [each.began.clock_synchronized for each in everything(opened)] == [False, True, True]
    newest = opened.listed(EventQuery(order="newest", limit=2))
    assert [each.sequence for each in newest] == [3, 2]
    opened.close()


FILTERS = [
    ({}, [1, 2, 3, 4, 5, 6]),
    ({"label": "cat"}, [2, 4, 6]),
    ({"rule": "b"}, [3, 6]),
    ({"zone": "yard"}, [4]),
    ({"label": "cat", "rule": "b"}, [6]),
    ({"since_s": 1003.0}, [3, 4, 5, 6]),
    ({"until_s": 1003.0}, [1, 2]),
    ({"since_s": 1002.0, "until_s": 1004.0}, [2, 3]),
    ({"after": 4}, [5, 6]),
    ({"after": 4, "order": "newest"}, [3, 2, 1]),
    ({"order": "newest", "limit": 2}, [6, 5]),
    ({"limit": 2}, [1, 2]),
    ({"label": "dog"}, []),
    ({"label": "cat' OR '1"}, []),
]


@pytest.mark.parametrize(("query", "wanted"), FILTERS)
def test_events_are_listed_by_what_is_asked_for(tmp_path, query, wanted):
    opened = EventLog(tmp_path)
    for number in range(1, 7):
        opened.begin(
            began(
                number,
                label="cat" if number % 2 == 0 else "person",
                rule="b" if number % 3 == 0 else "a",
                zone="yard" if number == 4 else None,
            )
        )
    assert [each.sequence for each in opened.listed(EventQuery(**query))] == wanted
    opened.close()


@given(
    limit=st.integers(1, 9), count=st.integers(0, 25), order=st.sampled_from(["oldest", "newest"])
)
def test_pages_give_each_event_once(tmp_path_factory, limit, count, order):
    opened = EventLog(tmp_path_factory.mktemp("log"))
    for number in range(1, count + 1):
        opened.begin(began(number))
    seen: list[int] = []
    after = None
    while page := opened.listed(EventQuery(after=after, limit=limit, order=order)):
        assert len(page) <= limit
        seen += [each.sequence for each in page]
        after = seen[-1]
    wanted = list(range(1, count + 1))
    assert seen == (wanted if order == "oldest" else wanted[::-1])
    opened.close()


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        EventQuery(limit=limit)


@pytest.mark.parametrize("event_id", ["", "../x", "a/b", "a\0", "x" * 65, "a.b"])
def test_an_id_that_cannot_be_a_file_name_is_refused(tmp_path, event_id):
    opened = EventLog(tmp_path)
    with pytest.raises(ValueError, match="event_id"):
        opened.begin(began(1, event_id=event_id))
    assert everything(opened) == []
    opened.close()


def test_events_that_a_restart_ended_are_closed_and_others_stay(tmp_path):
    opened = EventLog(tmp_path)
    first, second = began(1), began(2)
    opened.begin(first)
    opened.begin(second)
    opened.end(ended(first))
    abandon(opened)
    again = EventLog(tmp_path)
    assert [each.ended_by for each in everything(again)] == ["rule", "restart"]
    assert everything(again)[1].ended is None
    assert again.begin(began(3)).sequence == 3
    again.close()


def test_files_are_entered_and_their_removal_is_marked_for_all_that_share_them(tmp_path):
    opened = EventLog(tmp_path)
    for number in (1, 2):
        opened.begin(began(number))
        opened.attach(began(number).event_id, "clip", "shared")
        opened.attach(began(number).event_id, "picture", f"p{number}")
    opened.mark_removed("clip", ["shared", "unknown"])
    assert [each.removed for each in everything(opened)] == [("clip",), ("clip",)]
    opened.mark_missing("picture", {"p2"})
    assert [each.removed for each in everything(opened)] == [("clip", "picture"), ("clip",)]
    assert [each.clip for each in everything(opened)] == ["shared", "shared"]
    opened.close()


def test_the_end_of_an_unknown_event_changes_nothing(tmp_path):
    opened = EventLog(tmp_path)
    assert opened.end(ended(began(1))) is None
    assert everything(opened) == []
    assert opened.fault is None
    opened.close()


def test_only_so_many_events_are_remembered_and_their_side_files_go_with_them(tmp_path):
    clock = Clock()
    opened = EventLog(tmp_path, most=5, monotonic=clock)
    opened.begin(began(0))  # goes on, so it stays
    for number in range(1, 21):
        opened.begin(began(number))
        opened.end(ended(began(number)))
        clock.now += 2
        opened.keep()
    assert [each.sequence for each in everything(opened)] == [1, 18, 19, 20, 21]
    assert len(list((tmp_path / "records").iterdir())) == 5
    opened.close()


def test_it_syncs_at_most_once_a_second_and_only_what_changed(tmp_path, monkeypatch):
    clock, synced = Clock(), []
    monkeypatch.setattr(database, "sync", lambda path: synced.append(clock.now))
    opened = EventLog(tmp_path, monotonic=clock)
    for step in range(40):
        if step < 20:
            opened.begin(began(step))
        opened.keep()
        clock.now += 0.25
    # Five seconds with events, then none.
    assert len(synced) in (5, 6)
    assert all(after - before >= 1 for before, after in itertools.pairwise(synced))
    opened.close()
