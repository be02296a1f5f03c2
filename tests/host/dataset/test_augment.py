"""Views: where pixels go, the boxes go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.dataset import augment
from tartlet_host.dataset.augment import View
from tartlet_host.dataset.sample import Sample
from tartlet_host.recipe import AugmentRecipe
from tartlet_shared import letterbox

FITTED = letterbox.fit(96, 64, 64, 64)

views = st.builds(
    View,
    zoom=st.floats(0.7, 2.0),
    x=st.floats(0.0, 1.0),
    y=st.floats(0.0, 1.0),
    flip=st.booleans(),
    flip_vertical=st.booleans(),
)


def sample(boxes: list[list[float]], *, labelled: bool = True) -> Sample:
    """A picture of 96x64 pixels."""
    return Sample(
        Path("x.png"),
        96,
        64,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.arange(len(boxes), dtype=np.int64),
        np.zeros(len(boxes), np.bool_),
        labelled,
    )


def test_the_plain_view_is_the_letterbox() -> None:
    assert augment.place(FITTED, View()) == FITTED


@settings(deadline=None)
@given(views)
def test_a_box_follows_its_pixels(view: View) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[20:44, 40:64] = 255
    placed = augment.place(FITTED, view)
    drawn = augment.render(picture, placed, view)
    moved = augment.move_boxes(sample([[40, 20, 64, 44]]), placed, view)
    assert drawn.shape == (64, 64, 3)
    bright = np.argwhere(drawn.min(axis=2) > 200)
    if not len(moved):
        assert len(bright) == 0
    elif len(bright):
        seen = [*bright.min(axis=0)[::-1], *(bright.max(axis=0)[::-1] + 1)]
        # Resampling blurs an edge by up to one source pixel, 2/3 * zoom on the canvas.
        np.testing.assert_allclose(moved.xyxy[0], seen, atol=2.5)


@settings(deadline=None)
@given(st.integers(0, 3))
def test_a_box_follows_its_pixels_through_turns(turns: int) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[4:28, 60:90] = 255
    turned, pixels = augment.turned(sample([[60, 4, 90, 28]]), picture, turns)
    assert (turned.width, turned.height) == pixels.shape[1::-1]
    left, top, right, bottom = (int(edge) for edge in turned.boxes[0])
    assert pixels[top:bottom, left:right].min() == 255
    assert np.count_nonzero(pixels) == np.count_nonzero(picture)


def test_padding_is_grey() -> None:
    placed = augment.place(FITTED, View(zoom=0.5))
    drawn = augment.render(np.zeros((64, 96, 3), np.uint8), placed, View(zoom=0.5))
    assert (drawn[0] == augment.PAD_VALUE).all()
    assert (drawn[32, 32] == 0).all()


def test_a_box_mostly_out_of_view_is_ignored_and_one_outside_dropped() -> None:
    view = View(zoom=2.0, x=0.0, y=0.0)  # the upper left of the picture
    placed = augment.place(FITTED, view)
    boxes = [[0, 0, 20, 20], [40, 0, 80, 20], [80, 40, 96, 64]]
    moved = augment.move_boxes(sample(boxes), placed, view)
    assert moved.class_ids.tolist() == [0, 1]
    assert moved.ignore.tolist() == [False, True]
    assert moved.xyxy[1, 2] == 64.0


def test_a_picture_that_nobody_labelled_is_ignored_all_over() -> None:
    view = View(zoom=0.7, x=0.1)
    moved = augment.move_boxes(
        sample([[0, 0, 20, 20]], labelled=False), augment.place(FITTED, view), view
    )
    assert moved.xyxy.tolist() == [[0, 0, 64, 64]]
    assert moved.ignore.tolist() == [True]


def test_draws_stay_within_the_recipe() -> None:
    rng = np.random.default_rng(0)
    recipe = AugmentRecipe(scale_min=0.5, scale_max=1.5, flip=0.0)
    drawn = [augment.draw_view(rng, recipe) for _ in range(200)]
    assert all(0.5 <= view.zoom <= 1.5 for view in drawn)
    assert not any(view.flip or view.flip_vertical for view in drawn)
    assert not any(augment.draw_turns(rng, recipe) for _ in range(200))
    often = AugmentRecipe(turn=0.5)
    assert {augment.draw_turns(rng, often) for _ in range(200)} == {0, 1, 2, 3}
    assert len({view.zoom for view in drawn}) == 200
