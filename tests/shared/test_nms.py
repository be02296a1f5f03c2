"""Invariants of non-maximum suppression, and IoU by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import nms


def some_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 100, (count, 2))
    boxes = np.hstack([corner, corner + random.uniform(0, 60, (count, 2))]).astype(np.float32)
    return boxes, random.uniform(0, 1, count).astype(np.float32), random.integers(0, 3, count)


cases = st.builds(some_boxes, st.integers(0, 40), st.integers(0, 2**32 - 1))


@given(cases, st.floats(0, 1))
def test_what_is_kept_does_not_overlap_and_what_is_dropped_does(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], limit: float
) -> None:
    boxes, score, class_id = case
    kept = nms.non_maximum_suppression(
        boxes, score, class_id, iou_threshold=limit, max_detections=1000
    )
    iou = nms.box_iou(boxes, boxes)
    same = class_id[:, None] == class_id[None, :]
    among_kept = (iou > limit) & same
    np.fill_diagonal(among_kept, False)
    assert not among_kept[np.ix_(kept, kept)].any()
    for dropped in set(range(len(boxes))) - set(kept.tolist()):
        rivals = kept[(score[kept] >= score[dropped]) & same[kept, dropped]]
        assert (iou[rivals, dropped] > limit).any()


@given(cases, st.integers(1, 10))
def test_best_first_and_no_more_than_asked(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], most: int
) -> None:
    boxes, score, class_id = case
    kept = nms.non_maximum_suppression(
        boxes, score, class_id, iou_threshold=0.5, max_detections=most
    )
    assert len(kept) <= most
    assert len(set(kept.tolist())) == len(kept)
    assert (np.diff(score[kept]) <= 0).all()
    if len(boxes):
        assert score[kept[0]] == score.max()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
        ((5, 5, 1, 1), (0, 0, 10, 10), 0.0),  # inverted
    ],
)
def test_iou_by_hand(first: tuple[int, ...], second: tuple[int, ...], expected: float) -> None:
    found = nms.box_iou(np.array([first], np.float32), np.array([second], np.float32))
    assert found.item() == pytest.approx(expected)
