"""A recipe: everything that decides what a training, pruning or quantizing run does.

Recipes are TOML files under ``models/<name>/recipe.toml``. Every key has a default, so a recipe
names only what it changes; an unknown key is refused by name. A recipe travels inside every
checkpoint made from it.
"""

from tartlet_host.recipe.load import (
    check,
    default_recipe,
    from_builtins,
    load_recipe,
    parse_recipe,
)
from tartlet_host.recipe.schema import (
    AugmentRecipe,
    DataRecipe,
    FinetuneRecipe,
    GateRecipe,
    InputRecipe,
    LossRecipe,
    ModelRecipe,
    PruneRecipe,
    QuantizeRecipe,
    Recipe,
    Stride,
    TrainRecipe,
    TuneRecipe,
)

__all__ = [
    "AugmentRecipe",
    "DataRecipe",
    "FinetuneRecipe",
    "GateRecipe",
    "InputRecipe",
    "LossRecipe",
    "ModelRecipe",
    "PruneRecipe",
    "QuantizeRecipe",
    "Recipe",
    "Stride",
    "TrainRecipe",
    "TuneRecipe",
    "check",
    "default_recipe",
    "from_builtins",
    "load_recipe",
    "parse_recipe",
]
