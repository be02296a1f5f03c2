"""From a plan to a canvas and the boxes on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tartlet_host.dataset import augment, mix
from tartlet_host.dataset.augment import Picture
from tartlet_host.dataset.colour import develop, draw_look
from tartlet_host.dataset.copy_paste import paste
from tartlet_host.dataset.mix import Drawn
from tartlet_host.dataset.sample import Sample
from tartlet_host.dataset.training_plan import Plan
from tartlet_host.recipe import AugmentRecipe, InputRecipe
from tartlet_shared import letterbox

PictureOf = Callable[[Sample], Picture]
"""A sample's picture, RGB uint8, of any resolution."""


def draw(plan: Plan, picture_of: PictureOf, canvas: InputRecipe, recipe: AugmentRecipe) -> Drawn:
    """The canvas, RGB uint8 (H, W, 3), and its boxes.

    Raises:
        PictureUnreadable: see `read_picture`.
    """
    rng = plan.generator()
    first, picture = paste(plan.sample, plan.donors, picture_of, rng, flip=recipe.flip)
    pictures = [(first, picture), *((other, picture_of(other)) for other in plan.others)]

    def into(place: int, width: int, height: int) -> Drawn:
        return _view(*pictures[place], width, height, recipe, rng)

    size = (canvas.width, canvas.height)
    if plan.mix == "mosaic":
        draws = [
            lambda width, height, place=place: into(place, width, height) for place in range(4)
        ]
        drawn = mix.mosaic(draws, *size, rng)
    elif plan.mix == "mixup":
        drawn = mix.mixup(into(0, *size), into(1, *size), rng)
    elif plan.mix == "cutmix":
        drawn = mix.cutmix(into(0, *size), into(1, *size), rng)
    else:
        drawn = into(0, *size)
    if rng.uniform() < recipe.cutout:
        drawn = mix.cutout(drawn, rng)
    pixels, boxes = drawn
    return develop(pixels, draw_look(rng, recipe), rng), boxes


def draw_plain(sample: Sample, picture: Picture, canvas: InputRecipe) -> Drawn:
    """A picture letterboxed and nothing else."""
    placed = letterbox.fit(sample.width, sample.height, canvas.width, canvas.height)
    plain = augment.View()
    return augment.render(picture, placed, plain), augment.move_boxes(sample, placed, plain)


def _view(
    sample: Sample,
    picture: Picture,
    width: int,
    height: int,
    recipe: AugmentRecipe,
    rng: np.random.Generator,
) -> Drawn:
    sample, picture = augment.turned(sample, picture, augment.draw_turns(rng, recipe))
    view = augment.draw_view(rng, recipe)
    placed = augment.place(letterbox.fit(sample.width, sample.height, width, height), view)
    return augment.render(picture, placed, view), augment.move_boxes(sample, placed, view)
