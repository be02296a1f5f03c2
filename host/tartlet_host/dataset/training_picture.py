"""From a plan to a canvas and the boxes on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tartlet_host.dataset import augment, copy_paste
from tartlet_host.dataset.augment import Picture
from tartlet_host.dataset.colour import develop, draw_look
from tartlet_host.dataset.placed_boxes import PlacedBoxes
from tartlet_host.dataset.sample import Sample
from tartlet_host.dataset.training_plan import Plan
from tartlet_host.recipe import AugmentRecipe, InputRecipe
from tartlet_shared import letterbox

Drawn = tuple[Picture, PlacedBoxes]
PictureOf = Callable[[Sample], Picture]


def draw(plan: Plan, picture_of: PictureOf, canvas: InputRecipe, recipe: AugmentRecipe) -> Drawn:
    """The canvas, RGB uint8 (H, W, 3), and its boxes."""
    rng = plan.generator()
    sample, picture = copy_paste.paste(plan.sample, plan.donors, picture_of, rng)
    drawn, boxes = _view(sample, picture, canvas, recipe, rng)
    return develop(drawn, draw_look(rng, recipe)), boxes


def _view(
    sample: Sample,
    picture: Picture,
    canvas: InputRecipe,
    recipe: AugmentRecipe,
    rng: np.random.Generator,
) -> Drawn:
    view = augment.draw_view(rng, recipe)
    fitted = letterbox.fit(sample.width, sample.height, canvas.width, canvas.height)
    placed = augment.place(fitted, view)
    drawn = augment.render(picture, placed, view)
    return drawn, augment.move_boxes(sample, placed, view)
