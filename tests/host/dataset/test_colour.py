"""Looks: colours change, nothing moves."""

from __future__ import annotations

import numpy as np
import pytest

from tartlet_host.dataset.colour import GREY, Look, develop, draw_look
from tartlet_host.recipe import AugmentRecipe


@pytest.mark.parametrize("look", [Look(brightness=1.3), Look(contrast=0.6), Look(saturation=0.2)])
def test_light_changes_colours_but_not_places(look: Look) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 120, (64, 96, 3), np.uint8)
    lit = develop(picture, look)
    assert (picture != lit).any()
    assert np.corrcoef((picture @ GREY).ravel(), (lit @ GREY).ravel())[0, 1] > 0.98


def test_saturation_zero_is_grey() -> None:
    picture = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    centre = develop(picture, Look(saturation=0.0))[32, 32].astype(int)
    assert centre.max() - centre.min() <= 1


def test_draws_stay_within_the_recipe() -> None:
    rng = np.random.default_rng(0)
    recipe = AugmentRecipe(brightness=0.1)
    drawn = [draw_look(rng, recipe) for _ in range(200)]
    assert all(0.9 <= look.brightness <= 1.1 for look in drawn)
