from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tartlet_device.tracking.byte_track import MAX_TRACKS, Tracker
from tartlet_device.tracking.settings import TrackerSettings
from tartlet_shared.detections import Detections

LABELS = ("person", "dog")
SECOND = 1_000_000_000


def found(*rows):
    """Detections from ``(x, y, width, height, score, class_id)``, x and y of the centre."""
    if not rows:
        return Detections.empty()
    x, y, w, h, score, class_id = np.array(rows, dtype=np.float64).T
    xyxy = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
    return Detections(xyxy.astype(np.float32), score, class_id.astype(np.int64))


def person(x, y=100.0, w=20.0, h=60.0, score=0.9, class_id=0):
    return x, y, w, h, score, class_id


def followed(frames, *, rate=10.0, **settings):
    """The tracks of each frame."""
    tracker = Tracker(TrackerSettings(**settings))
    return [
        tracker.update(found(*rows), LABELS, round(step * SECOND / rate))
        for step, rows in enumerate(frames, start=1)
    ]


def ids(frames):
    return [[track.track_id for track in tracks] for tracks in frames]


def test_a_track_counts_once_it_was_confirmed():
    frames = [[person(100 + step)] for step in range(4)]
    assert ids(followed(frames)) == [[], [1], [1], [1]]
    assert ids(followed(frames, confirm_frames=1)) == [[1]] * 4
    assert ids(followed(frames, confirm_frames=4)) == [[], [], [], [1]]


def test_at_few_frames_a_second_boxes_need_not_overlap():
    """Walking on by a quarter more than the own width with each frame."""
    frames = [[person(100 + 25 * step)] for step in range(6)]
    assert ids(followed(frames, rate=2.0)) == [[], [1], [1], [1], [1], [1]]


def test_who_stood_may_start_to_run():
    frames = [[person(100)]] * 5 + [[person(100 + 25 * step)] for step in range(1, 4)]
    assert ids(followed(frames, rate=2.0))[-1] == [1]


def test_a_faint_detection_does_not_bring_back_who_was_lost():
    clear, faint = [person(100)], [person(100, score=0.2)]
    assert ids(followed([clear] * 3 + [[], faint, clear])) == [[], [1], [1], [], [], [1]]


def test_who_walks_through_the_place_where_somebody_was_lost_stays_who_he_is():
    frames = [[person(300), person(100 + 10 * step)] for step in range(19)]
    frames += [[person(100 + 10 * step)] for step in range(19, 40)]
    shown = ids(followed(frames))
    assert shown[5] == [1, 2]
    assert shown[-1] == [2]


def test_a_flash_is_no_track_and_takes_no_id():
    frames = [[person(100)], [], [person(300)], [person(300)]]
    assert ids(followed(frames)) == [[], [], [], [1]]


def test_a_track_tells_since_when_how_often_and_how_well_it_was_seen():
    scores = [0.9, 0.8, 0.2, 0.7]
    *_, (track,) = followed([[person(100, score=score)] for score in scores])
    assert (track.label, track.frames, track.since_ns) == ("person", 4, SECOND // 10)
    assert track.score == pytest.approx(0.75)
    assert track.xyxy == pytest.approx((90, 70, 110, 130), abs=0.5)


@pytest.mark.parametrize("rate", [2.0, 10.0, 30.0])
@pytest.mark.parametrize(("gap_s", "same"), [(1.5, True), (2.5, False)])
def test_hidden_for_less_than_the_limit_it_is_the_same_object(rate, gap_s, same):
    """The limit is in seconds, whatever the frame rate; walking on at 20 pixels per second."""
    begin, gap = round(4 * rate), round(gap_s * rate)
    places = [100 + 20 * step / rate for step in range(begin * 2 + gap)]
    frames = [[] if begin <= step < begin + gap else [person(x)] for step, x in enumerate(places)]
    shown = {track.track_id for tracks in followed(frames, rate=rate) for track in tracks}
    assert shown == ({1} if same else {1, 2})


def test_a_pause_of_the_camera_counts_as_hidden():
    tracker = Tracker()
    for now in (1, 2, 3):
        tracker.update(found(person(100)), LABELS, now * SECOND // 10)
    assert tracker.update(found(person(100)), LABELS, 3 * SECOND) == ()
    (track,) = tracker.update(found(person(100)), LABELS, 3 * SECOND + SECOND // 10)
    assert track.track_id == 2


def test_a_faint_detection_continues_a_track_but_begins_none():
    clear, faint = [person(100)], [person(100, score=0.2)]
    assert ids(followed([clear] * 3 + [faint] * 3)) == [[], [1], [1], [1], [1], [1]]
    assert ids(followed([faint] * 6)) == [[]] * 6
    # and below the lowest score nothing is seen
    assert ids(followed([clear] * 3 + [[person(100, score=0.05)]] * 3))[3:] == [[]] * 3


def test_the_detector_is_asked_for_faint_ones():
    assert Tracker().wanted_score(0.3) == 0.1
    assert Tracker(TrackerSettings(low_score=0.4)).wanted_score(0.3) == 0.3


def test_classes_are_followed_apart():
    frames = [[person(100), person(100, class_id=1)]] * 3 + [[person(100, class_id=1)]] * 3
    last = followed(frames)[-1]
    assert [track.label for track in last] == ["dog"]
    assert {track.label: track.track_id for track in followed(frames)[2]} == {
        "person": 1,
        "dog": 2,
    }


def test_ids_are_never_given_twice():
    frames = ([[person(100)]] * 3 + [[]] * 30) * 4
    shown = [each for tracks in ids(followed(frames)) for each in tracks]
    assert shown == sorted(shown)
    assert set(shown) == {1, 2, 3, 4}


def test_labels_may_change_with_the_model():
    tracker = Tracker()
    for now in (1, 2):
        tracker.update(found(person(100)), ("person",), now * SECOND // 10)
    (track,) = tracker.update(found(person(100, class_id=1)), ("cat", "person"), SECOND)
    assert (track.track_id, track.label) == (1, "person")


@pytest.mark.parametrize("rate", [5.0, 10.0, 30.0])
@given(
    top=st.floats(60, 80),
    size=st.floats(1.3, 2.0),
    speed=st.floats(30, 80),
    noise=st.integers(0, 1000),
)
@hypothesis_settings(max_examples=10)
def test_who_passes_somebody_of_another_size_stays_who_he_is(rate, top, size, speed, noise):
    """Two walk through each other in opposite directions, boxes a pixel or so off."""
    random = np.random.default_rng(noise)
    steps = round(6 * rate)
    frames, meant = [], []
    for step in range(steps):
        away = speed * (step / rate - 3)
        jitter = random.normal(0, 0.7, 4)
        frames.append(
            [
                person(300 + away + jitter[0], top + jitter[1]),
                person(300 - away + jitter[2], top + jitter[3], 20 * size, 60 * size),
            ]
        )
        meant.append((300 + away, 300 - away))
    shown = followed(frames, rate=rate)
    assert {track.track_id for tracks in shown for track in tracks} == {1, 2}
    for tracks, (small, large) in zip(shown[2:], meant[2:], strict=True):
        by_width = sorted(tracks, key=lambda track: track.xyxy[2] - track.xyxy[0])
        assert [(t.xyxy[0] + t.xyxy[2]) / 2 for t in by_width] == pytest.approx(
            [small, large], abs=6
        )
    first, last = (
        sorted(tracks, key=lambda t: t.xyxy[2] - t.xyxy[0]) for tracks in shown[2 :: steps - 3]
    )
    assert [track.track_id for track in first] == [track.track_id for track in last]


def test_one_who_walks_behind_somebody_comes_out_as_himself():
    """Hidden for a second; the one in front stands."""
    frames = []
    for step in range(60):
        x = 200 + 4 * step
        hidden = 290 <= x <= 330
        frames.append([person(310, 110, 40, 90), *([] if hidden else [person(x)])])
    shown = followed(frames)
    assert ids(shown)[-1] == [1, 2] == ids(shown)[2]


detections = st.lists(
    st.tuples(
        st.floats(0, 600),
        st.floats(0, 400),
        st.floats(0, 200),
        st.floats(0, 200),
        st.floats(0, 1),
        st.integers(0, 1),
    ),
    max_size=8,
)


@given(st.lists(st.tuples(detections, st.integers(1, 3 * SECOND)), max_size=20))
@hypothesis_settings(max_examples=30)
def test_whatever_is_detected_tracks_are_sound(frames):
    tracker, now, before = Tracker(), 0, {}
    for rows, later in frames:
        now += later
        tracks = tracker.update(found(*rows), LABELS, now)
        assert len(tracks) <= len(rows)
        assert all(a.track_id < b.track_id for a, b in pairwise(tracks))
        for track in tracks:
            left, top, right, bottom = track.xyxy
            assert np.isfinite(track.xyxy).all()
            assert left < right
            assert top < bottom
            assert 0 <= track.score <= 1
            assert track.since_ns < now or track.frames == 1
            known = before.setdefault(track.track_id, track)
            assert (known.label, known.since_ns) == (track.label, track.since_ns)
        new = [track.track_id for track in tracks if before[track.track_id] is track]
        old = [each for each in before if each not in new]
        assert all(each > max(old, default=0) for each in new)


def test_so_many_tracks_and_no_more():
    crowd = [person(40 * (i % 30), 100 * (i // 30)) for i in range(MAX_TRACKS + 20)]
    last = followed([crowd] * 3)[-1]
    assert len(last) == MAX_TRACKS


@pytest.mark.parametrize("later", [0, -1])
def test_time_goes_on(later):
    tracker = Tracker()
    tracker.update(found(), LABELS, SECOND)
    with pytest.raises(ValueError, match="does not go on"):
        tracker.update(found(), LABELS, SECOND + later)


def test_a_class_without_label_is_refused():
    with pytest.raises(ValueError, match="class 1 of 1 labels"):
        Tracker().update(found(person(0, class_id=1)), ("person",), SECOND)
