"""init, train, prune, quantize, evaluate and package as a person calls them, on small pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_shared import errors
from tests.command_line import tartlet

RECIPE = """
name = "squares"
labels = ["square"]
[input]
height = 64
width = 96
[model]
strides = [8, 16]
[train]
steps = 3
batch_size = 2
[prune]
keep_multiplies = 0.6
[prune.finetune]
steps = 2
batch_size = 2
"""


@pytest.fixture
def project(
    tmp_path: Path, make_squares: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> Path:
    coco.write(make_squares(4), tmp_path / "labels.json")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.training
def test_train_prune_and_evaluate_need_no_more_than_their_data(project: Path) -> None:
    trained = json.loads(tartlet("train", ".", "--recipe", "recipe.toml", "--json").stdout)
    assert Path(trained["checkpoint"]).is_file()
    assert (project / "runs" / "latest" / "parent.safetensors").is_file()

    pruned = json.loads(tartlet("prune", "--data", ".", "--json").stdout)
    assert pruned["multiplies_after"] <= 0.6 * pruned["multiplies_before"]
    assert Path(pruned["checkpoint"]).parent == Path(trained["checkpoint"]).parent

    report = json.loads(tartlet("evaluate", pruned["checkpoint"], "--data", ".", "--json").stdout)
    assert 0 <= report["map50_95"] <= report["map50"] <= 1
    assert report["latency"]["p50"] <= report["latency"]["p95"]
    assert report["boxes"] == 4


def test_init_writes_a_recipe_that_train_reads(tmp_path: Path) -> None:
    from tartlet_host.recipe import load_recipe

    folder = tmp_path / "Bird House 2"
    tartlet("init", str(folder), "--label", "tit", "--label", 'a "quoted" sparrow')
    made = load_recipe(folder / "recipe.toml")
    assert made.name == "bird-house-2"
    assert made.labels == ("tit", 'a "quoted" sparrow')
    with pytest.raises(errors.UsageError, match="already"):
        tartlet("init", str(folder))


@pytest.mark.parametrize(
    "options", [["--width", "100"], ["--label", "a", "--label", "a"], ["--label", ""]]
)
def test_init_refuses_before_it_writes(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(errors.ConfigError):
        tartlet("init", str(tmp_path / "x"), *options)
    assert not (tmp_path / "x").exists()
