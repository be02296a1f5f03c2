from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.tracking.lines import LineCounter
from tartlet_device.tracking.settings import Line
from tests.device.tracking.observations import observed, track_at

UP = Line(name="gate", start=(0.5, 0.9), end=(0.5, 0.1), margin=0.02, frames=3)


# a grid that the line's ends are not on: there roundings would decide
steps = st.integers(0, 32).map(lambda step: step / 32)


def crossings(places, line=UP, **track):
    counter = LineCounter((line,), forget_s=2.0)
    found = [
        crossing.direction
        for step, (x, y) in enumerate(places)
        for crossing in counter.update(observed(step / 10, track_at(x, y, **track)))
    ]
    return found, counter.counts()


def straight(xs, y=0.5):
    return [(x, y) for x in xs]


@pytest.mark.parametrize(
    ("places", "directions"),
    [
        (straight([0.3, 0.4, 0.6, 0.7]), ["left_to_right"]),
        (straight([0.7, 0.6, 0.4, 0.3]), ["right_to_left"]),
        (straight([0.3, 0.7, 0.3]), ["left_to_right", "right_to_left"]),
        (straight([0.3, 0.4, 0.45]), []),
        (straight([0.3, 0.4, 0.6, 0.7], y=0.95), []),  # past the end of the line
        ([(0.4, 0.5), (0.4, 0.95), (0.6, 0.95), (0.6, 0.5)], []),  # around it
        # within the margin (1 pixel of 100) of the other side: counts in the third frame
        (straight([0.3, 0.505, 0.505]), []),
        (straight([0.3, 0.505, 0.505, 0.505]), ["left_to_right"]),
        (straight([0.505, 0.6]), []),  # was never on the left
        (straight([0.495, 0.6]), []),  # nor for certain
        (straight([0.3, 0.5, 0.5, 0.5, 0.7]), ["left_to_right"]),  # stands on the line
        (straight([0.3, 0.5, 0.7]), ["left_to_right"]),  # once exactly on the line
        (straight([0.3, 0.5, 0.3]), []),
    ],
)
def test_crossings(places, directions):
    found, counts = crossings(places)
    assert found == directions
    assert sum(each.left_to_right + each.right_to_left for each in counts) == len(directions)


@given(st.lists(st.floats(0.4905, 0.5095), max_size=30), st.booleans())
def test_jitter_on_the_line_adds_no_crossing(jitter, comes_back):
    """Two pixels each side, one frame here, one there: only where it went in the end counts."""
    line = Line(name="gate", start=(0.5, 0.9), end=(0.5, 0.1), margin=0.02, frames=1000)
    after = 0.3 if comes_back else 0.7
    found, _ = crossings(straight([0.3, *jitter, after]), line)
    assert found == ([] if comes_back else ["left_to_right"])


@given(st.lists(st.floats(0, 1).filter(lambda x: abs(x - 0.5) > 0.02), min_size=2, max_size=20))
def test_there_and_back_differ_by_what_is_over_there(xs):
    found, _ = crossings(straight(xs))
    net = found.count("left_to_right") - found.count("right_to_left")
    assert net == (xs[-1] > 0.5) - (xs[0] > 0.5)


@given(st.lists(st.tuples(steps, steps), max_size=20))
def test_the_line_walked_backwards_swaps_the_directions(places):
    turned = Line(name="gate", start=UP.end, end=UP.start, margin=UP.margin, frames=UP.frames)
    swapped = {"left_to_right": "right_to_left", "right_to_left": "left_to_right"}
    assert crossings(places, turned)[0] == [swapped[each] for each in crossings(places)[0]]


def test_classes_are_counted_apart_and_objects_too():
    counter = LineCounter((UP,), forget_s=2.0)
    for step, x in enumerate([0.3, 0.7]):
        counter.update(
            observed(
                step / 10,
                track_at(x, 0.5, track_id=1),
                track_at(1 - x, 0.5, track_id=2),
                track_at(x, 0.4, track_id=3, label="dog"),
            )
        )
    assert [(c.label, c.left_to_right, c.right_to_left) for c in counter.counts()] == [
        ("dog", 1, 0),
        ("person", 1, 1),
    ]


def test_what_is_unseen_for_long_is_forgotten():
    counter = LineCounter((UP,), forget_s=2.0)
    counter.update(observed(0, track_at(0.3, 0.5)))
    counter.update(observed(2.1))
    assert counter.update(observed(2.2, track_at(0.7, 0.5))) == ()
