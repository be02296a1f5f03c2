"""Views: where pixels go, the boxes go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.dataset import augment
from tartlet_host.dataset.augment import View
from tartlet_host.recipe import AugmentRecipe
from tartlet_shared import letterbox

FITTED = letterbox.fit(96, 64, 64, 64)
KEEP = np.array([False])

views = st.builds(
    View,
    zoom=st.floats(0.7, 2.0),
    x=st.floats(0.0, 1.0),
    y=st.floats(0.0, 1.0),
    flip=st.booleans(),
)


def test_the_plain_view_is_the_letterbox() -> None:
    assert augment.place(FITTED, View()) == FITTED


@settings(deadline=None)
@given(views)
def test_a_box_follows_its_pixels(view: View) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[20:44, 40:64] = 255
    box = np.array([[40, 20, 64, 44]], np.float32)
    placed = augment.place(FITTED, view)
    drawn = augment.render(picture, placed, view)
    moved, _, in_view = augment.move_boxes(box, KEEP, placed, view)
    assert drawn.shape == (64, 64, 3)
    bright = np.argwhere(drawn.min(axis=2) > 200)
    if not in_view[0]:
        assert len(bright) == 0
    elif len(bright):
        seen = [*bright.min(axis=0)[::-1], *(bright.max(axis=0)[::-1] + 1)]
        # Resampling blurs an edge by up to one source pixel, 2/3 * zoom on the canvas.
        np.testing.assert_allclose(moved[0], seen, atol=2.5)


def test_padding_is_grey() -> None:
    placed = augment.place(FITTED, View(zoom=0.5))
    drawn = augment.render(np.zeros((64, 96, 3), np.uint8), placed, View(zoom=0.5))
    assert (drawn[0] == augment.PAD_VALUE).all()
    assert (drawn[32, 32] == 0).all()


def test_a_box_mostly_out_of_view_is_ignored_and_one_outside_dropped() -> None:
    view = View(zoom=2.0, x=0.0, y=0.0)  # the upper left of the picture
    placed = augment.place(FITTED, view)
    boxes = np.array([[0, 0, 20, 20], [40, 0, 80, 20], [80, 40, 96, 64]], np.float32)
    moved, ignore, in_view = augment.move_boxes(boxes, np.zeros(3, np.bool_), placed, view)
    assert ignore[:2].tolist() == [False, True]
    assert in_view.tolist() == [True, True, False]
    assert moved[1, 2] == 64.0


@pytest.mark.parametrize("view", [View(brightness=1.3), View(contrast=0.6), View(saturation=0.2)])
def test_light_changes_colours_but_not_places(view: View) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 120, (64, 96, 3), np.uint8)
    plain = augment.render(picture, FITTED, View()).astype(int)
    lit = augment.render(picture, FITTED, view).astype(int)
    assert (plain != lit).any()
    correlation = np.corrcoef(plain.sum(axis=2).ravel(), lit.sum(axis=2).ravel())[0, 1]
    assert correlation > 0.98


def test_saturation_zero_is_grey() -> None:
    picture = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    drawn = augment.render(picture, FITTED, View(saturation=0.0))
    centre = drawn[32, 32].astype(int)
    assert centre.max() - centre.min() <= 1


def test_draws_stay_within_the_recipe() -> None:
    rng = np.random.default_rng(0)
    recipe = AugmentRecipe(scale_min=0.5, scale_max=1.5, flip=0.0, brightness=0.1)
    drawn = [augment.draw_view(rng, recipe) for _ in range(200)]
    assert all(0.5 <= view.zoom <= 1.5 for view in drawn)
    assert all(0.9 <= view.brightness <= 1.1 for view in drawn)
    assert not any(view.flip for view in drawn)
    assert len({view.zoom for view in drawn}) == 200
