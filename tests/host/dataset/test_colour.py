"""Looks: colours change, nothing moves."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from tartlet_host.dataset.colour import GREY, Look, develop, draw_look
from tartlet_host.recipe import AugmentRecipe


def look_at(picture: np.ndarray, look: Look, seed: int = 0) -> np.ndarray:
    return develop(picture, look, np.random.default_rng(seed))


def noisy(low: int = 40, high: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (64, 96, 3), np.uint8)


@pytest.mark.parametrize("look", [Look(brightness=1.3), Look(contrast=0.6), Look(saturation=0.2)])
def test_light_changes_colours_but_not_places(look: Look) -> None:
    picture = noisy()
    lit = look_at(picture, look)
    assert (picture != lit).any()
    assert np.corrcoef((picture @ GREY).ravel(), (lit @ GREY).ravel())[0, 1] > 0.98


def test_a_plain_look_changes_nothing() -> None:
    picture = noisy(0, 256)
    assert look_at(picture, Look()) is picture


@pytest.mark.parametrize("value", [0, 90, 255])
def test_brightness_and_contrast_by_the_book(value: int) -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[:, 4:] = value
    mean = picture.mean()
    brighter = look_at(picture, Look(brightness=1.2))[0, 7, 0]
    flatter = look_at(picture, Look(contrast=0.5))[0, 7, 0]
    assert brighter == pytest.approx(min(255, 1.2 * value), abs=1)
    assert flatter == pytest.approx(mean + 0.5 * (value - mean), abs=1)


def test_saturation_zero_is_grey() -> None:
    picture = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    centre = look_at(picture, Look(saturation=0.0))[32, 32].astype(int)
    assert centre.max() - centre.min() <= 1


@pytest.mark.parametrize("degrees", [-120, -40, 25, 120, 180])
def test_hue_turns_by_degrees_and_leaves_grey(degrees: int) -> None:
    picture = np.full((4, 4, 3), (140, 110, 100), np.uint8)
    picture[2:] = 128
    turned = look_at(picture, Look(hue=degrees))
    before, _, _ = colorsys.rgb_to_hsv(*(picture[0, 0] / 255))
    after, _, _ = colorsys.rgb_to_hsv(*(turned[0, 0] / 255))
    off = (360 * (after - before) - degrees + 180) % 360 - 180
    assert abs(off) < 6  # HSV's circle is a hexagon
    assert (turned[3, 3] == 128).all()
    assert turned[0, 0].sum() == pytest.approx(picture[0, 0].sum(), abs=3)


def test_blur_keeps_the_mean_and_takes_detail() -> None:
    picture = noisy(0, 256)
    soft = look_at(picture, Look(blur=1.0))
    assert soft.mean() == pytest.approx(picture.mean(), abs=1)
    assert soft.std() < 0.5 * picture.std()


def test_grain_is_normal_and_the_seeds_own() -> None:
    picture = np.full((256, 256, 3), 128, np.uint8)
    grainy = look_at(picture, Look(grain=8.0), seed=3)
    noise = grainy.astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.1)
    assert noise.std() == pytest.approx(8.0, rel=0.03)
    within = [(abs(noise) <= sigmas * 8).mean() for sigmas in (1, 2)]
    assert within == pytest.approx([0.68, 0.95], abs=0.03)
    assert np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1] < 0.02
    assert (look_at(picture, Look(grain=8.0), seed=3) == grainy).all()
    assert (look_at(picture, Look(grain=8.0), seed=4) != grainy).any()


def test_draws_stay_within_the_recipe() -> None:
    rng = np.random.default_rng(0)
    recipe = AugmentRecipe(brightness=0.1, hue=20.0, blur=0.25)
    drawn = [draw_look(rng, recipe) for _ in range(400)]
    assert all(0.9 <= look.brightness <= 1.1 for look in drawn)
    assert all(-20 <= look.hue <= 20 for look in drawn)
    assert not any(look.grain for look in drawn)
    assert 0.17 < np.mean([look.blur > 0 for look in drawn]) < 0.33
