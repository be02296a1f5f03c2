from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.tracking.polygon import contains, fault_of_polygon, segments_meet

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
L_SHAPE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0))

fractions = st.integers(0, 64).map(lambda step: step / 64) | st.floats(0, 1)
points = st.tuples(fractions, fractions)


@st.composite
def polygons(draw):
    """Any star around the middle, so that sides never cross."""
    radii = draw(st.lists(st.floats(0.05, 0.5), min_size=3, max_size=9))
    turn = 2 * math.pi / len(radii)
    return tuple(
        (0.5 + radius * math.cos(turn * i), 0.5 + radius * math.sin(turn * i))
        for i, radius in enumerate(radii)
    )


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (SQUARE, (0.5, 0.5), True),
        (SQUARE, (0.1, 0.5), False),
        (SQUARE, (0.9, 0.5), False),
        (SQUARE, (0.5, 0.1), False),
        (SQUARE, (0.25, 0.25), True),  # a corner
        (SQUARE, (0.75, 0.5), True),  # the right side
        (SQUARE, (0.5, 0.75), True),  # the lower side
        (L_SHAPE, (0.75, 0.75), False),  # in the notch
        (L_SHAPE, (0.25, 0.75), True),
        (L_SHAPE, (0.2, 1.0), True),  # cut off by the picture's lower border
        (L_SHAPE, (1.0, 1.0), False),
    ],
)
def test_a_point_is_inside_or_on_the_border(polygon, point, inside):
    assert contains(polygon, point) is inside


@given(polygons() | st.sampled_from([SQUARE, L_SHAPE]), points, st.integers(0, 9), st.booleans())
def test_which_corner_comes_first_and_the_direction_do_not_matter(polygon, point, by, backwards):
    by %= len(polygon)
    listed = polygon[by:] + polygon[:by]
    assert contains(listed[::-1] if backwards else listed, point) == contains(polygon, point)


@given(polygons())
def test_a_star_is_valid_and_holds_its_middle_but_no_corner_of_the_picture(polygon):
    assert fault_of_polygon(polygon) == ""
    assert contains(polygon, (0.5, 0.5))
    assert not contains(polygon, (0.0, 0.0))


@given(points)
def test_two_halves_make_a_whole(point):
    left = ((0.0, 0.0), (0.3, 0.0), (0.6, 1.0), (0.0, 1.0))
    right = ((0.3, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0))
    assert contains(left, point) or contains(right, point)


@pytest.mark.parametrize(
    ("polygon", "fault"),
    [
        ((), "at least 3 points, here are 0"),
        (((0, 0), (1, 1)), "at least 3 points, here are 2"),
        (((0, 0), (1, 0), (1, 1), (0, 0)), "there twice"),
        (((0, 0), (1, 1), (1, 0), (0, 1)), "crosses"),  # a bow tie
        (((0, 0), (1, 1), (0.5, 0.5)), "lie on each other"),
        (((0, 0), (0.5, 0.5), (1, 1)), "lie on each other"),
        (((0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)), "crosses"),  # touches a side
    ],
)
def test_what_makes_no_area_is_told(polygon, fault):
    assert fault in fault_of_polygon(polygon)


def test_corners_on_a_straight_side_are_fine():
    assert fault_of_polygon(((0, 0), (0.5, 0), (1, 0), (1, 1), (0, 1))) == ""


@given(points, points, points, points)
def test_meeting_does_not_depend_on_order(a, b, c, d):
    assert segments_meet(a, b, c, d) == segments_meet(d, c, b, a)
    assert segments_meet(a, b, b, c)
