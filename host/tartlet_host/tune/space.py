"""What a trial may change in a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tartlet_host import recipe as recipes
from tartlet_host.recipe import InputRecipe, Recipe

if TYPE_CHECKING:
    from optuna import Trial

LOOKS = 5  # at the validation set in a trial, where the recipe does not say

LEARNING_RATE, WEIGHT_DECAY = "train.learning_rate", "train.weight_decay"
WIDTH, NECK, INPUT = "model.width", "model.neck_channels", "input"


def suggest(trial: Trial, recipe: Recipe) -> dict[str, Any]:
    """Values for the keys that the recipe's `tune` opens, by the key's name."""
    space = recipe.tune
    values: dict[str, Any] = {
        LEARNING_RATE: trial.suggest_float(LEARNING_RATE, *space.learning_rate, log=True),
        WEIGHT_DECAY: trial.suggest_float(WEIGHT_DECAY, *space.weight_decay, log=True),
    }
    for key, choices in architecture(recipe).items():
        values[key] = trial.suggest_categorical(key, choices)
    return values


def architecture(recipe: Recipe) -> dict[str, list[Any]]:
    """The open keys that change how long a network takes, with their choices."""
    space = recipe.tune
    choices: dict[str, list[Any]] = {
        WIDTH: list(space.width),
        NECK: list(space.neck_channels),
        INPUT: [f"{each.height}x{each.width}" for each in space.input],
    }
    return {key: values for key, values in choices.items() if values}


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values.

    Another width has no pretrained weights, so it starts from random ones.
    """
    train = msgspec.structs.replace(
        recipe.train,
        learning_rate=values.get(LEARNING_RATE, recipe.train.learning_rate),
        weight_decay=values.get(WEIGHT_DECAY, recipe.train.weight_decay),
    )
    width = values.get(WIDTH, recipe.model.width)
    model = msgspec.structs.replace(
        recipe.model,
        width=width,
        neck_channels=values.get(NECK, recipe.model.neck_channels),
        pretrained=recipe.model.pretrained and width == 1.0,
    )
    canvas = recipe.input
    if INPUT in values:
        height, across = values[INPUT].split("x")
        canvas = InputRecipe(int(height), int(across))
    changed = msgspec.structs.replace(recipe, train=train, model=model, input=canvas)
    return recipes.check(changed, where="trial")


def shortened(recipe: Recipe) -> Recipe:
    """The recipe with a trial's steps, and looks at the validation set on the way."""
    steps = recipe.tune.steps
    train = msgspec.structs.replace(
        recipe.train,
        steps=steps,
        validate_every=recipe.train.validate_every or max(1, steps // LOOKS),
        checkpoint_every=0,  # a trial that was interrupted is tried again, not resumed
    )
    return msgspec.structs.replace(recipe, train=train)
