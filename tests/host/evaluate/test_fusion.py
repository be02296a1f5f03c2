"""Weighted boxes fusion against figures worked out by hand, and what holds for any detections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.evaluate.fusion import MOST, fuse, suppress
from tartlet_shared.detections import Detections

Row = tuple[float, float, float, float]


def found(*rows: tuple[Row, float, int]) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
    )


def test_boxes_are_averaged_by_their_scores() -> None:
    one, other = found(((0, 0, 10, 10), 0.9, 0)), found(((1, 0, 11, 10), 0.3, 0))
    fused = fuse([one, other])
    np.testing.assert_allclose(fused.xyxy, [[0.25, 0, 10.25, 10]], atol=1e-6)
    np.testing.assert_allclose(fused.score, [0.6])


def test_what_only_one_view_saw_is_worth_less() -> None:
    fused = fuse([found(((0, 0, 10, 10), 0.9, 0)), Detections.empty(), Detections.empty()])
    np.testing.assert_allclose(fused.score, [0.3])


def test_more_boxes_than_views_are_worth_no_more() -> None:
    fused = fuse([found(((0, 0, 10, 10), 0.8, 0), ((0, 0, 10, 10), 0.6, 0))])
    np.testing.assert_allclose(fused.score, [0.7])


def test_classes_stay_apart() -> None:
    fused = fuse([found(((0, 0, 10, 10), 0.8, 0), ((0, 0, 10, 10), 0.6, 1))])
    assert fused.class_id.tolist() == [0, 1]


def test_a_box_joins_the_cluster_that_it_overlaps_most() -> None:
    fused = fuse(
        [found(((0, 0, 10, 10), 0.9, 0), ((4, 0, 14, 10), 0.8, 0), ((3, 0, 13, 10), 0.5, 0))]
    )
    assert len(fused) == 2
    assert fused.xyxy[1, 0] == pytest.approx((4 * 0.8 + 3 * 0.5) / 1.3)


def test_suppression_keeps_the_best() -> None:
    kept = suppress([found(((1, 0, 11, 10), 0.3, 0)), found(((0, 0, 10, 10), 0.9, 0))])
    assert kept == found(((0, 0, 10, 10), 0.9, 0))


@pytest.mark.parametrize("merge", [fuse, suppress])
def test_nothing_gives_nothing(merge) -> None:  # type: ignore[no-untyped-def]
    assert len(merge([])) == 0
    assert len(merge([Detections.empty()])) == 0


boxes = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 30), st.integers(1, 30)),
        st.floats(0.0625, 1, width=32),
        st.integers(0, 2),
    ),
    max_size=30,
)


def made(rows: list[tuple[tuple[int, int, int, int], float, int]]) -> Detections:
    return found(*((((x, y, x + w, y + h), score, kind)) for (x, y, w, h), score, kind in rows))


@settings(max_examples=40)
@given(st.lists(boxes, min_size=1, max_size=3))
def test_fused_boxes_lie_within_what_was_seen(
    views: list[list[tuple[tuple[int, int, int, int], float, int]]],
) -> None:
    seen = [made(rows) for rows in views]
    fused = fuse(seen)
    everything = np.concatenate([each.xyxy for each in seen])
    assert len(fused) <= min(MOST, len(everything))
    assert (np.diff(fused.score) <= 0).all()
    if len(fused):
        assert (fused.xyxy >= everything.min(axis=0) - 1e-3).all()
        assert (fused.xyxy <= everything.max(axis=0) + 1e-3).all()
        assert fused.score.max() <= max(float(each.score.max(initial=0)) for each in seen) + 1e-6


@settings(max_examples=40)
@given(boxes)
def test_equal_views_change_nothing_but_the_order_of_equals(
    rows: list[tuple[tuple[int, int, int, int], float, int]],
) -> None:
    # One view whose boxes do not overlap: fusing it with itself is the view.
    view = suppress([made(rows)], iou_threshold=0.0)
    fused = fuse([view, view, view])
    np.testing.assert_allclose(np.sort(fused.xyxy, axis=0), np.sort(view.xyxy, axis=0), atol=1e-4)
    np.testing.assert_allclose(np.sort(fused.score), np.sort(view.score), atol=1e-5)
