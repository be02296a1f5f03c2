"""Polygons of fractions of a picture: is one valid, is a point in it, do two lines meet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

XY = tuple[float, float]


def contains(polygon: Sequence[XY], point: XY) -> bool:
    """Whether a point is inside or on the border, by counting sides to its right.

    The answer is the same, bit for bit, from whichever corner and in whichever direction the
    corners are listed.
    """
    inside = False
    for start, end in _sides(polygon):
        # always from the upper end: the same side gives the same roundings
        upper, lower = sorted((start, end), key=lambda corner: (corner[1], corner[0]))
        turned = _turn(upper, lower, point)
        if turned == 0 and _within(upper, lower, point):
            return True
        if upper[1] <= point[1] < lower[1] and turned > 0:
            inside = not inside
    return inside


def fault_of_polygon(polygon: Sequence[XY]) -> str:
    """Why these corners make no area, in words; empty if they do.

    Corners are expected in ``[0, 1]``, as the settings' types see to.
    """
    if len(polygon) < 3:
        return f"a polygon needs at least 3 points, here are {len(polygon)}"
    for index, corner in enumerate(polygon):
        if corner in polygon[:index]:
            return f"the point {list(corner)} is there twice (do not close the polygon yourself)"
    sides = _sides(polygon)
    for (i, first), (j, second) in combinations(enumerate(sides), 2):
        if j == i + 1 or (i == 0 and j == len(sides) - 1):
            # neighbours share a corner; they must not also run back over each other
            shared, before, after = (
                (first[1], first[0], second[1]) if j == i + 1 else (first[0], second[0], first[1])
            )
            if _turn(before, shared, after) == 0 and _dot(shared, before, after) > 0:
                return f"the sides at {list(shared)} lie on each other"
        elif segments_meet(*first, *second):
            return (
                f"the side {list(first[0])} to {list(first[1])} crosses "
                f"the side {list(second[0])} to {list(second[1])}"
            )
    return ""


def segments_meet(a: XY, b: XY, c: XY, d: XY) -> bool:
    """Whether the segments ``a``-``b`` and ``c``-``d`` have a point in common."""
    (a, b), (c, d) = sorted([tuple(sorted((a, b))), tuple(sorted((c, d)))])  # the same roundings
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    sides = [_side(start, end, point) for start, end, point in ends]
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    return any(
        side == 0 and _within(start, end, point)
        for side, (start, end, point) in zip(sides, ends, strict=True)
    )


def _sides(polygon: Sequence[XY]) -> list[tuple[XY, XY]]:
    return list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))


def _turn(a: XY, b: XY, point: XY) -> float:
    """Positive where ``point`` is to the right of someone who walks from a to b in the picture."""
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])


def _side(a: XY, b: XY, point: XY) -> int:
    """1 to the right, -1 to the left, 0 on the line: products of signs cannot vanish."""
    turned = _turn(a, b, point)
    return (turned > 0) - (turned < 0)


def _dot(origin: XY, a: XY, b: XY) -> float:
    return (a[0] - origin[0]) * (b[0] - origin[0]) + (a[1] - origin[1]) * (b[1] - origin[1])


def _within(a: XY, b: XY, point: XY) -> bool:
    """Whether a point on the line through a and b is between them."""
    return min(a[0], b[0]) <= point[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= point[1] <= max(
        a[1], b[1]
    )
