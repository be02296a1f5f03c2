"""Recipes: defaults, errors by key, and that every key is read by something."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tartlet_host import recipe as recipes
from tartlet_host.recipe import default_recipe, load_recipe, parse_recipe
from tartlet_shared.errors import ConfigError

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("models/*/recipe.toml"))
LEAST = 'name = "birds"\nlabels = ["tit", "sparrow"]\n'


def test_a_recipe_names_only_what_it_changes() -> None:
    recipe = parse_recipe(
        LEAST + "[train]\nsteps = 7\n[prune.finetune.augment]\nflip = 0.0\n", where="x"
    )
    assert recipe.labels == ("tit", "sparrow")
    assert recipe.train.steps == 7
    assert recipe.prune.finetune.augment.flip == 0.0
    assert recipe.input == default_recipe(("tit",)).input


def test_fine_tuning_changes_pictures_as_training_does_unless_told_otherwise() -> None:
    training = "[train.augment]\nflip = 0.0\nhue = 6.0\n"
    recipe = parse_recipe(LEAST + training, where="x")
    assert recipe.prune.finetune.augment == recipe.train.augment
    recipe = parse_recipe(LEAST + training + "[prune.finetune.augment]\nhue = 0.0\n", where="x")
    assert recipe.prune.finetune.augment == msgspec.structs.replace(recipe.train.augment, hue=0.0)
    for wrong in ("prune = 1", "prune.finetune = 1", "prune.finetune.augment = 1"):
        with pytest.raises(ConfigError, match="prune"):
            parse_recipe(LEAST + wrong + "\n" + training, where="x")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(LEAST + "colour = 1\n", ["colour"], id="unknown key"),
        pytest.param(LEAST + "[train]\nsteeps = 3\n", ["steeps", "train"], id="unknown inner key"),
        pytest.param(
            LEAST + "[prune.finetune.augment]\nzoom = 3\n",
            ["zoom", "prune.finetune.augment"],
            id="unknown key three deep",
        ),
        pytest.param('name = "birds"\n', ["labels"], id="no labels"),
        pytest.param('name = "birds"\nlabels = []\n', ["labels"], id="empty labels"),
        pytest.param('name = "b"\nlabels = ["a", "a"]\n', ["labels", "distinct"], id="twice"),
        pytest.param('name = "Birds!"\nlabels = ["a"]\n', ["name"], id="name"),
        pytest.param(
            LEAST + "[input]\nheight = 100\n", ["input.height", "multiple of 8"], id="not 8s"
        ),
        pytest.param(LEAST + "[train]\nsteps = 0\n", ["train.steps"], id="no steps"),
        pytest.param(LEAST + "[train]\nlearning_rate = nan\n", ["learning_rate"], id="nan"),
        pytest.param(LEAST + "[train]\nlearning_rate = inf\n", ["train", "finite"], id="inf"),
        pytest.param(LEAST + '[train]\nsteps = "many"\n', ["train.steps"], id="type"),
        pytest.param(LEAST + "[model]\nstrides = [8, 32]\n", ["model.strides"], id="gap"),
        pytest.param(LEAST + "[model]\nstrides = []\n", ["model.strides"], id="no level"),
        pytest.param(LEAST + "[model]\nstrides = [4, 8]\n", ["model.strides"], id="no such level"),
        pytest.param(LEAST + "[input]\nheight = 240\n", ["multiples of 32"], id="canvas"),
        pytest.param(
            LEAST + "[prune]\ninput = {height = 240, width = 320}\n",
            ["prune.input", "multiples of 32"],
            id="pruned canvas",
        ),
        pytest.param(LEAST + "[prune]\nstrides = [16]\n", ["prune.strides"], id="not the finest"),
        pytest.param(
            LEAST + "[train.augment]\nscale_min = 3.0\n", ["train.augment.scale_min"], id="order"
        ),
        pytest.param("labels = [", ["TOML"], id="not TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, names: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, where="recipe.toml")
    for name in names:
        assert name in str(caught.value)
    assert "recipe.toml" in caught.value.where


def test_fine_tuning_has_defaults_of_its_own() -> None:
    recipe = parse_recipe(LEAST + "[prune.finetune]\nsteps = 3\n", where="x")
    assert recipe.prune.finetune.assignment_warmup == 0.0 < recipe.train.assignment_warmup
    assert recipe.prune.finetune.freeze_backbone_normalization_after > 0.0


def test_a_missing_recipe_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read") as caught:
        load_recipe(tmp_path / "none.toml")
    assert "tartlet init" in caught.value.hint


def test_a_recipe_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_recipe(tmp_path / "recipe.toml")


def test_recipes_travel_as_json() -> None:
    recipe = default_recipe(("a", "b"), name="two")
    again = recipes.from_builtins(json.loads(msgspec.json.encode(recipe)), where="test")
    assert again == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_every_recipe_in_the_repository_loads_under_its_own_name(path: Path) -> None:
    assert load_recipe(path).name == path.parent.name
