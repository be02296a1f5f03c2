"""Reading and checking recipes."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tartlet_host.recipe.schema import AugmentRecipe, Recipe, TrainRecipe
from tartlet_shared.errors import ConfigError


def default_recipe(labels: tuple[str, ...], name: str = "detector") -> Recipe:
    """The defaults, for a data set with these labels."""
    return check(Recipe(name=name, labels=labels), where="recipe")


def load_recipe(path: Path) -> Recipe:
    """Read a TOML recipe.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a value out of its range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read the recipe: {error.strerror}",
            where=str(path),
            hint="tartlet init writes a recipe to start from",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("the recipe is not UTF-8 text", where=str(path)) from error
    return parse_recipe(text, where=str(path))


def parse_recipe(text: str, *, where: str) -> Recipe:
    """A recipe from TOML text; `where` names its source in errors.

    Raises:
        ConfigError: as `load_recipe`.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=where) from error
    return from_builtins(values, where=where)


def from_builtins(values: object, *, where: str) -> Recipe:
    """A recipe from what TOML or JSON parse to; `where` names the source in errors."""
    try:
        recipe = _converted(values)
    except msgspec.ValidationError as error:
        raise ConfigError(
            _plain(str(error)), where=where, hint="the keys are described in docs/recipe.md"
        ) from error
    return check(recipe, where=where)


def _converted(values: Any) -> Recipe:
    """The types; and fine-tuning changes pictures as training does where it says nothing else."""
    recipe = msgspec.convert(values, Recipe)
    training = values.get("train", {}).get("augment", {})
    finetune = values.get("prune", {}).get("finetune", {}).get("augment", {})
    augment = msgspec.convert({**training, **finetune}, AugmentRecipe)
    replace = msgspec.structs.replace
    prune = replace(recipe.prune, finetune=replace(recipe.prune.finetune, augment=augment))
    return replace(recipe, prune=prune)


def check(recipe: Recipe, *, where: str) -> Recipe:
    """Refuse what types alone cannot: relations between values.

    Raises:
        ConfigError: with the key's name.
    """
    for problem in _problems(recipe):
        raise ConfigError(problem, where=where)
    return recipe


def _problems(recipe: Recipe) -> Iterator[str]:
    model, data = recipe.model, recipe.data
    if not model.strides or any(b != 2 * a for a, b in itertools.pairwise(model.strides)):
        yield f"model.strides must double from one to the next, not {list(model.strides)}"
    if recipe.prune.strides != model.strides[: len(recipe.prune.strides)]:
        yield f"prune.strides must be the first of model.strides, {list(model.strides)}"
    else:
        yield from _canvas_problems(recipe)
    if len(set(recipe.labels)) != len(recipe.labels) or not all(recipe.labels):
        yield "labels must be distinct and not empty"
    if model.pretrained and (model.backbone, model.width) != ("efficientnet-lite0", 1.0):
        yield (
            "there are pretrained weights only for model.backbone = 'efficientnet-lite0' with "
            "model.width = 1; set model.pretrained = false"
        )
    if (data.split == "grouped") != bool(data.group):
        yield "data.group and data.split = 'grouped' need each other"
    try:
        groups = re.compile(data.group).groups
    except re.error as error:
        yield f"data.group is not a regular expression: {error}"
    else:
        if data.group and not groups:
            yield "data.group has no (group) that names a picture's group"
    if data.motion and len(recipe.labels) != 1:
        yield "data.motion labels one class; labels names more"
    for key in ("learning_rate", "weight_decay"):
        low, high = getattr(recipe.tune, key)
        if not low <= high:
            yield f"tune.{key} must be low, high"
    yield from _train_problems("train", recipe.train, recipe.labels)
    yield from _train_problems("prune.finetune", recipe.prune.finetune, recipe.labels)


def _canvas_problems(recipe: Recipe) -> Iterator[str]:
    pruned = recipe.prune.input or recipe.input
    for key, canvas, strides in (
        ("input", recipe.input, recipe.model.strides),
        ("prune.input", pruned, recipe.prune.strides or recipe.model.strides),
    ):
        if canvas.height % strides[-1] or canvas.width % strides[-1]:
            yield (
                f"{key} is {canvas.width} x {canvas.height} pixels; with strides {list(strides)} "
                f"both must be multiples of {strides[-1]}"
            )


def _train_problems(key: str, train: TrainRecipe, labels: tuple[str, ...]) -> Iterator[str]:
    if train.augment.scale_min > train.augment.scale_max:
        yield f"{key}.augment.scale_min is above scale_max"
    if train.augment.mosaic + train.augment.mixup + train.augment.cutmix > 1:
        yield f"{key}.augment: mosaic, mixup and cutmix are together more than 1"
    unknown = sorted(set(train.loss.class_weights) - set(labels))
    if unknown:
        yield f"{key}.loss.class_weights names {unknown[0]!r}, which is no label"
    if train.patience and not train.validate_every:
        yield f"{key}.patience needs {key}.validate_every"
    parts = (train, train.loss, train.augment)
    numbers = [value for part in parts for value in msgspec.structs.astuple(part)]
    if not all(math.isfinite(value) for value in numbers if isinstance(value, float)):
        yield f"{key} has a value that is not finite"


def _plain(message: str) -> str:
    """msgspec's message with its path in the recipe's own spelling."""
    return message.replace("Object contains unknown field", "unknown key").replace("`$.", "`")
