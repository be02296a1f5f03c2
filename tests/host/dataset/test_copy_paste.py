"""Pasted objects: boxes where they are, nothing covered, the original untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset.copy_paste import LARGEST_OVERLAP, donors_of, paste
from tartlet_host.dataset.sample import Sample
from tartlet_shared.nms import box_area, box_intersection

WIDTH, HEIGHT = 200, 120
BOXES = [[20, 20, 40, 70], [100, 30, 130, 90]]


def sample(boxes: list[list[int]], ignore: list[bool] | None = None) -> Sample:
    return Sample(
        Path("x.png"),
        WIDTH,
        HEIGHT,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.arange(len(boxes), dtype=np.int64),
        np.array(ignore or [False] * len(boxes), np.bool_),
    )


def picture_of(each: Sample, scale: float = 1.0) -> np.ndarray:
    """Dark ground, each box a bright block."""
    picture = np.full((round(HEIGHT * scale), round(WIDTH * scale), 3), 20, np.uint8)
    for left, top, right, bottom in (each.boxes * scale).round().astype(int):
        picture[top:bottom, left:right] = 220
    return picture


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([0.5, 1.0]))
def test_what_is_pasted_is_there_and_covers_nothing(seed: int, count: int, scale: float) -> None:
    target = sample(BOXES)
    rng = np.random.default_rng(seed)
    donors = donors_of(target)
    original = picture_of(target, scale)
    chosen = tuple(donors[index] for index in rng.integers(len(donors), size=count))
    made, picture = paste(target, chosen, lambda _: original, rng)
    added = made.boxes[2:]
    assert len(made.boxes) == len(made.class_ids) == len(made.ignore) <= 2 + count
    assert np.array_equal(made.boxes[:2], target.boxes)
    assert not made.ignore.any()
    assert (original == picture_of(target, scale)).all()
    for left, top, right, bottom in (added * scale).round().astype(int):
        assert picture[(top + bottom) // 2, (left + right) // 2].min() > 150
    assert (added >= 0).all()
    assert (added <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    shared = box_intersection(made.boxes, made.boxes)
    np.fill_diagonal(shared, 0)
    area = box_area(made.boxes)
    assert (shared <= LARGEST_OVERLAP * np.minimum(area[:, None], area[None, :]) * 1.01).all()


@pytest.mark.parametrize(("flip", "mirrored"), [(0.0, False), (1.0, True)])
def test_a_copy_is_mirrored_only_where_the_recipe_mirrors(flip: float, mirrored: bool) -> None:
    target = sample(BOXES[1:])
    original = picture_of(target)
    original[30:90, 115:130] = [220, 20, 20]  # the right half is red
    made, picture = paste(
        target, donors_of(target), lambda _: original, np.random.default_rng(3), flip=flip
    )
    left, top, right, bottom = made.boxes[1].round().astype(int)
    row = picture[(top + bottom) // 2, left:right]
    green = row[len(row) // 4, 1], row[3 * len(row) // 4, 1]
    assert (green[0] < green[1]) == mirrored


@pytest.mark.parametrize(
    ("boxes", "ignore", "rows"),
    [
        (BOXES, None, [0, 1]),
        (BOXES, [True, False], [1]),
        ([*BOXES, [30, 30, 50, 60]], None, [1]),  # the third covers part of the first
        ([[0, 20, 40, 70]], None, []),  # cut by the edge
        ([[20, 20, 40, HEIGHT]], None, []),
        ([], None, []),
    ],
)
def test_only_whole_objects_that_nothing_touches_are_copied(
    boxes: list[list[int]], ignore: list[bool] | None, rows: list[int]
) -> None:
    donors = donors_of(sample(boxes, ignore))
    assert [donor.row for donor in donors] == rows


def test_without_donors_the_picture_is_the_same() -> None:
    target = sample(BOXES)
    picture = picture_of(target)
    rng = np.random.default_rng(0)
    assert paste(target, (), lambda _: picture, rng) == (target, picture)
