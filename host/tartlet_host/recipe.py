"""A recipe: everything that decides what a training, pruning or quantizing run does.

Recipes are TOML files under ``models/<name>/recipe.toml``. Every key has a default, so a recipe
names only what it changes; an unknown key is refused by name. A recipe travels inside every
checkpoint made from it.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tartlet_shared.errors import ConfigError

Positive = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Meta(gt=0.0)]
NonNegativeFloat = Annotated[float, Meta(ge=0.0)]
Stride = Literal[8, 16, 32]
CanvasSide = Annotated[int, Meta(ge=64, le=2048, multiple_of=32)]


class InputRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """The canvas that pictures are letterboxed onto, in pixels; multiples of 32."""

    height: CanvasSide = 256
    width: CanvasSide = 320


class ModelRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """The network.

    strides: feature levels, fine to coarse, each twice the one before: 8, 16, 32 or a part.
    neck_channels: width of the neck and the heads.
    pretrained: start the backbone from ImageNet weights.
    """

    backbone: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    strides: tuple[Stride, ...] = (8, 16, 32)
    neck_channels: Positive = 64
    pretrained: bool = True


class AugmentRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Random changes to training pictures.

    scale_min, scale_max: zoom against the letterboxed picture, drawn evenly in its logarithm.
    flip: probability of a left-right flip.
    brightness, contrast, saturation: largest change, as a fraction.
    paste: up to so many objects of other pictures are pasted into one.
    """

    scale_min: PositiveFloat = 0.7
    scale_max: PositiveFloat = 2.0
    flip: Fraction = 0.5
    brightness: Fraction = 0.2
    contrast: Fraction = 0.2
    saturation: Fraction = 0.3
    paste: NonNegative = 0


class TrainRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the training loop.

    steps, batch_size: the run sees steps x batch_size pictures.
    learning_rate: peak, for AdamW; backbone_rate is the backbone's share of it.
    warmup: part of the steps with a rising rate; it falls along a cosine afterwards.
    assignment_warmup: part of the steps that assign cells by geometry alone.
    freeze_normalization_after: part of the steps after which batch norm keeps its statistics.
    freeze_backbone_normalization_after: the same for the backbone, whose statistics are good from
        the start unless it was pruned; frozen norms make a step a quarter faster.
    frozen_stages: first parts of the backbone (1: the stem) that keep their pretrained weights.
    ema_decay: of the average of weights that becomes the result.
    distillation: weight of imitating the teacher, where there is one.
    cache_megabytes: memory for decoded pictures; what does not fit is decoded every time.
    """

    steps: Positive = 500
    batch_size: Positive = 8
    learning_rate: PositiveFloat = 2e-3
    backbone_rate: Fraction = 0.5
    weight_decay: NonNegativeFloat = 0.02
    warmup: Fraction = 0.05
    assignment_warmup: Fraction = 0.15
    freeze_normalization_after: Fraction = 0.4
    freeze_backbone_normalization_after: Fraction = 0.0
    frozen_stages: NonNegative = 0
    ema_decay: Fraction = 0.99
    gradient_clip: PositiveFloat = 10.0
    box_weight: NonNegativeFloat = 2.0
    distillation: NonNegativeFloat = 1.0
    cache_megabytes: NonNegative = 768
    seed: int = 1
    augment: AugmentRecipe = AugmentRecipe()


class FinetuneRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Training after pruning: a `TrainRecipe` with other defaults.

    The network can see already, so no step assigns by geometry; pruning shifted the backbone's
    statistics, so they are taken again.
    """

    assignment_warmup: Fraction = 0.0
    freeze_backbone_normalization_after: Fraction = 0.4


class PruneRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Structured pruning and the training that repairs what it cut.

    input: canvas of the pruned network; without one it keeps its parent's. Time goes with the
        canvas's area, and a network trained with zoom sees well on a somewhat smaller one.
    strides: feature levels that stay, the finest first; empty keeps all. A level that goes takes
        the backbone's stages behind it along.
    keep_multiplies: part of the multiplies that stays; a smaller canvas and the levels that went
        count in.
    round_to: channel counts stay multiples of this.
    max_ratio: most of one layer's channels that may go.
    finetune: the training run after it, with the unpruned network as teacher.
    """

    input: InputRecipe | None = None
    strides: tuple[Stride, ...] = ()
    keep_multiplies: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.3
    round_to: Positive = 8
    max_ratio: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.8
    finetune: FinetuneRecipe = FinetuneRecipe()


class QuantizeRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Static int8 quantization.

    calibration_pictures: training pictures that set the activation ranges, evenly spread.
    """

    calibration_pictures: Positive = 100


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole recipe. `labels` names the classes; background is not one of them."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
    labels: Annotated[tuple[str, ...], Meta(min_length=1)]
    input: InputRecipe = InputRecipe()
    model: ModelRecipe = ModelRecipe()
    train: TrainRecipe = TrainRecipe()
    prune: PruneRecipe = PruneRecipe()
    quantize: QuantizeRecipe = QuantizeRecipe()


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
        recipe = msgspec.convert(values, Recipe)
    except msgspec.ValidationError as error:
        raise ConfigError(
            _plain(str(error)), where=where, hint="the keys are described in docs/recipe.md"
        ) from error
    return check(recipe, where=where)


def check(recipe: Recipe, *, where: str) -> Recipe:
    """Refuse what types alone cannot: relations between values.

    Raises:
        ConfigError: with the key's name.
    """
    problems = []
    strides = recipe.model.strides
    if not strides or any(b != 2 * a for a, b in itertools.pairwise(strides)):
        problems.append(f"model.strides must double from one to the next, not {list(strides)}")
    if recipe.prune.strides != strides[: len(recipe.prune.strides)]:
        problems.append(f"prune.strides must be the first of model.strides, {list(strides)}")
    if len(set(recipe.labels)) != len(recipe.labels) or not all(recipe.labels):
        problems.append("labels must be distinct and not empty")
    for key, train in (("train", recipe.train), ("prune.finetune", recipe.prune.finetune)):
        augment = train.augment
        if augment.scale_min > augment.scale_max:
            problems.append(f"{key}.augment.scale_min is above scale_max")
        numbers = [value for value in msgspec.structs.astuple(train) if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)):
            problems.append(f"{key} has a value that is not finite")
    if problems:
        raise ConfigError(problems[0], where=where)
    return recipe


def _plain(message: str) -> str:
    """msgspec's message with its path in the recipe's own spelling."""
    return message.replace("Object contains unknown field", "unknown key").replace("`$.", "`")
