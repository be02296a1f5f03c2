from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.tracking.rules import Rules
from tartlet_device.tracking.settings import Rule
from tartlet_shared.observation import EventBegan, EventEnded
from tests.device.tracking.observations import observed, track_at


def rule(**changed):
    settings = {
        "name": "visitor",
        "classes": ("person",),
        "zone": "door",
        "frames": 3,
        "score": 0.5,
        "end_after_s": 0.5,
        "cooldown_s": 1.0,
    }
    return Rule(**(settings | changed))


def person(**changed):
    return track_at(0.5, 0.5, **({"zones": ("door",)} | changed))


def story(rules, *tracks_by_step, step_s=0.1):
    """When events began and ended, in steps."""
    engine = Rules(rules)
    told = []
    for step, tracks in enumerate(tracks_by_step):
        told += [
            (step, "began" if isinstance(event, EventBegan) else "ended")
            for event in engine.update(observed(step * step_s, *tracks))
        ]
    return told


HERE, AWAY = [person()], []


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ([HERE] * 2 + [AWAY] * 9, []),
        ([HERE] * 3, [(2, "began")]),
        ([HERE, HERE, AWAY, HERE, HERE], []),  # not running
        ([HERE] * 3 + [AWAY] * 4 + [HERE], [(2, "began")]),  # 0.5 s from the last time seen
        ([HERE] * 3 + [AWAY] * 5, [(2, "began"), (7, "ended")]),
        # ended at 0.7 s, quiet until 1.7 s; what is there then begins at once
        ([HERE] * 3 + [AWAY] * 5 + [HERE] * 12, [(2, "began"), (7, "ended"), (17, "began")]),
        ([[person(score=0.4)]] * 9, []),
        ([[person(zones=())]] * 9, []),
        ([[person(label="dog")]] * 9, []),
        # it is the class that is seen, though its tracks change
        ([[person(track_id=i)] for i in range(1, 4)], [(2, "began")]),
    ],
)
def test_one_rule(frames, told):
    assert story((rule(),), *frames) == told


def test_a_rule_without_classes_and_zone_takes_everything():
    engine = Rules((rule(classes=(), zone=None, frames=1),))
    began = engine.update(observed(0, person(label="dog", zones=()), person(label="cat", zones=())))
    assert {(event.label, event.zone) for event in began} == {("dog", None), ("cat", None)}


def test_an_event_for_each_track():
    engine = Rules((rule(frames=1, per="track"),))
    began = engine.update(observed(0, person(track_id=1), person(track_id=2)))
    assert [event.track_id for event in began] == [1, 2]
    ended = engine.update(observed(0.6, person(track_id=2)))
    assert [event.event_id for event in ended] == [began[0].event_id]


def test_an_event_tells_what_when_and_its_best_picture():
    engine = Rules((rule(frames=2),))
    engine.update(observed(0, person(score=0.99)))  # before it began
    (began,) = engine.update(observed(0.1, person(score=0.6, track_id=7)))
    assert began == EventBegan(
        event_id=began.event_id,
        rule="visitor",
        label="person",
        zone="door",
        track_id=7,
        time_s=1_800_000_000.1,
        clock_synchronized=True,
        monotonic_ns=100_000_000,
    )
    best = person(score=0.8)
    engine.update(observed(0.2, best, person(score=0.7)))
    (ongoing,) = engine.ongoing()
    assert (ongoing.best_score, ongoing.best_frame) == (0.8, 3)
    engine.update(observed(0.3, person(score=0.8)))  # not better
    (ended,) = engine.update(observed(1.0))
    assert ended == EventEnded(
        event_id=began.event_id,
        time_s=1_800_000_001.0,
        clock_synchronized=True,
        monotonic_ns=1_000_000_000,
        best_score=0.8,
        best_xyxy=best.xyxy,
        best_frame=3,
    )
    assert engine.ongoing() == ()


def test_finish_ends_what_is_ongoing():
    engine = Rules((rule(frames=1),))
    (began,) = engine.update(observed(0, person()))
    (ended,) = engine.finish(time_s=5.0, clock_synchronized=False, monotonic_ns=5)
    assert (ended.event_id, ended.time_s, ended.clock_synchronized) == (began.event_id, 5.0, False)
    assert engine.finish(time_s=6.0, clock_synchronized=False, monotonic_ns=6) == ()


def test_ids_sort_by_time_and_differ_between_boots_with_the_same_clock():
    def ids():
        engine = Rules((rule(frames=1, per="track"),))
        steps = [observed(step / 10, person(track_id=step)) for step in range(40)]
        events = [event for step in steps for event in engine.update(step)]
        return [event.event_id for event in events if isinstance(event, EventBegan)]

    first, second = ids(), ids()
    assert first == sorted(first)
    assert len({*first, *second}) == len(first) + len(second) == 80


tracks = st.builds(
    person,
    track_id=st.integers(1, 3),
    label=st.sampled_from(["person", "dog"]),
    score=st.sampled_from([0.4, 0.6, 0.9]),
    zones=st.sampled_from([(), ("door",)]),
)


@given(
    st.lists(st.lists(tracks, max_size=3), max_size=40),
    st.sampled_from(["class", "track"]),
    st.integers(1, 3),
)
def test_events_begin_before_they_end_and_each_ends_once(frames, per, needed):
    engine = Rules((rule(per=per, frames=needed, cooldown_s=0.3), rule(name="any", classes=())))
    open_events: dict[str, tuple[str, str, int | None]] = {}
    events = []
    for step, seen in enumerate(frames):
        events += engine.update(observed(step / 10, *seen))
        if not seen:  # states are kept only for what is there, goes on, or has to be quiet
            assert len(engine._states) <= 8
    events += engine.finish(time_s=0, clock_synchronized=True, monotonic_ns=0)
    for event in events:
        if isinstance(event, EventBegan):
            about = event.rule, event.label, event.track_id if per == "track" else None
            assert event.event_id not in open_events
            assert about not in open_events.values() or event.rule == "any"
            open_events[event.event_id] = about
        else:
            del open_events[event.event_id]
    assert not open_events
