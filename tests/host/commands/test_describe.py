"""tartlet describe, for a recipe and a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tartlet_host import machine
from tartlet_host.cli import cli
from tartlet_host.machine import Machine
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import load_recipe
from tartlet_host.train import checkpoint
from tests.command_line import SMALL

RECIPE = (
    SMALL
    + """
[train]
batch_size = 2
"""
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def describe(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["describe", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_recipe_and_its_checkpoint_are_the_same_network(recipe: Path) -> None:
    loaded = load_recipe(recipe)
    saved = recipe.with_name("squares.safetensors")
    checkpoint.save(saved, build_detector(loaded), loaded, metrics={})
    first, second = (json.loads(describe(str(path), "--json")) for path in (recipe, saved))
    assert first["parameters"] == second["parameters"] > 0
    assert first["layers"] == second["layers"]
    assert sum(layer["multiplies"] for layer in first["layers"]) == first["multiplies"]
    assert [level["stride"] for level in first["levels"]] == [8, 16]
    assert first["memory"]["total"] > first["memory"]["weights"]
    assert first["step_seconds"] is None


def test_people_read_stages_and_on_request_layers_and_time(recipe: Path) -> None:
    short = describe(str(recipe))
    assert "backbone.stages.2" in short
    assert "backbone.stages.2.0" not in short
    assert "batch of 2" in short
    long = describe(str(recipe), "--layers", "--time")
    assert "backbone.stages.2.0" in long
    assert "a step takes" in long


def test_too_little_memory_is_said_with_what_would_fit(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = json.loads(describe(str(recipe), "--json"))["memory"]
    free = needed["weights"] + needed["activations"]  # of one picture; the recipe has two
    small = Machine("small", 1, free, free, (), 1, "2")
    monkeypatch.setattr(machine, "examine", lambda: small)
    assert "train.batch_size = 1" in describe(str(recipe))


def test_a_missing_recipe_is_an_error_with_a_hint(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["describe", str(tmp_path / "none.toml")])
    assert result.exit_code != 0
    assert "cannot read the recipe" in str(result.exception)
