"""Which pairs belong together: an exact solution of the assignment problem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import FloatArray
from tartlet_shared.nms import box_iou

Pairs = list[tuple[int, int]]


def match_boxes(
    expected: FloatArray, found: FloatArray, allowed: NDArray[np.bool_], *, least_iou: float
) -> Pairs:
    """Pair boxes so that the overlap over all pairs is the largest.

    A pair counts by how much its IoU is above ``least_iou``; one at or below it is never made.

    Args:
        expected, found: boxes ``(n, 4)`` and ``(m, 4)``, xyxy.
        allowed: shape ``(n, m)``; false forbids a pair.
        least_iou: in ``[0, 1)``.

    Returns:
        ``(row, column)`` pairs, rows rising.
    """
    gain = box_iou(expected, found).astype(np.float64) - least_iou
    return assign(np.where(allowed, gain, 0.0))


def buffered(xyxy: FloatArray, share: float) -> FloatArray:
    """Boxes ``(n, 4)`` with ``share`` of their width and height added on each side."""
    margin = share * np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    larger: FloatArray = (xyxy + margin * np.array([-1, -1, 1, 1])).astype(np.float32)
    return larger


def assign(gain: NDArray[np.float64]) -> Pairs:
    """Pair rows with columns, each at most once, so that the gain over all pairs is the largest.

    Pairs without a positive gain are left out: staying alone gains nothing and costs nothing.

    Shortest augmenting paths with dual variables (Kuhn's Hungarian method in the form of Jonker
    and Volgenant, Computing 38, 1987): exact, at most ``min(n, m) ** 2 * max(n, m)`` steps.

    Args:
        gain: shape ``(n, m)``, finite.

    Returns:
        ``(row, column)`` pairs, rows rising.

    Raises:
        ValueError: a gain is not finite.
    """
    if not np.isfinite(gain).all():
        raise ValueError("a gain is not finite")
    useful = gain > 0
    rows, columns = np.flatnonzero(useful.any(axis=1)), np.flatnonzero(useful.any(axis=0))
    if not len(rows):
        return []
    if len(rows) == len(columns) == np.count_nonzero(useful):
        # Nobody competes: each has one partner at most.
        return [(int(a), int(b)) for a, b in zip(*np.nonzero(useful), strict=True)]
    cost = -np.maximum(gain[np.ix_(rows, columns)], 0.0)
    wide = len(rows) <= len(columns)
    chosen = _columns_of_rows(cost if wide else cost.T)
    first, second = np.arange(len(chosen)), chosen
    if not wide:
        first, second = second, first
    pairs = [(int(rows[a]), int(columns[b])) for a, b in zip(first, second, strict=True)]
    return sorted(pair for pair in pairs if useful[pair])


def _columns_of_rows(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column of each row in the cheapest complete assignment; ``n <= m``.

    Keeps ``cost - row_price - column_price >= 0``, and ``== 0`` where a pair is made, so that what
    is made is the cheapest for the rows treated so far.
    """
    n, m = cost.shape
    row_price, column_price = np.zeros(n), np.zeros(m)
    row_of = np.full(m, -1)
    for start in range(n):
        distance = np.full(m, np.inf)  # from the row that is added to each column
        previous = np.full(m, -1)  # the column before, on the shortest path; -1 is the start
        reached = np.zeros(m, dtype=bool)
        row, column, length = start, -1, 0.0
        while row >= 0:
            through = length + cost[row] - row_price[row] - column_price
            better = ~reached & (through < distance)
            distance[better] = through[better]
            previous[better] = column
            column = int(np.argmin(np.where(reached, np.inf, distance)))
            reached[column] = True
            length = float(distance[column])
            row = int(row_of[column])
        inner = np.flatnonzero(reached & (row_of >= 0))
        row_price[start] += length
        row_price[row_of[inner]] += length - distance[inner]
        column_price[inner] -= length - distance[inner]
        while column >= 0:  # turn the path around: its every other pair is made anew
            before = int(previous[column])
            row_of[column] = row_of[before] if before >= 0 else start
            column = before
    column_of = np.empty(n, dtype=np.int64)
    taken = np.flatnonzero(row_of >= 0)
    column_of[row_of[taken]] = taken
    return column_of
