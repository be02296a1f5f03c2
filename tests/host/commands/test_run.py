"""`tartlet run` as a person calls it: from pictures to a bundle, and again after a break."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tartlet_host.cli import cli
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_shared import bundle as bundles
from tartlet_shared import errors

RECIPE = """
name = "squares"
labels = ["square"]
[data]
train = "labels.json"
[input]
height = 64
width = 96
[model]
backbone = "plain"
width = 0.5
pretrained = false
strides = [8, 16]
neck_channels = 32
[train]
steps = 120
batch_size = 4
learning_rate = 0.01
freeze_normalization_after = 0.8
[prune]
keep_multiplies = 0.7
[prune.finetune]
steps = 30
batch_size = 4
[gate]
largest_loss = 0.5
"""


def tartlet(*arguments: str) -> Any:
    return CliRunner().invoke(cli, [*arguments])


@pytest.fixture
def project(
    tmp_path: Path, make_squares: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> Path:
    coco.write(make_squares(20), tmp_path / "labels.json")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.training
def test_from_pictures_to_a_bundle(project: Path) -> None:
    done = tartlet("run", "-o", "first", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (packaged,) = [each for each in told["candidates"] if each["packaged"]]
    assert packaged["name"].split()[-2] == "int8"
    assert not packaged["refusal"]
    made = bundles.open_bundle(project / "first" / "bundle")
    assert made.digest == told["bundle"]
    assert made.manifest.labels == ("square",)
    page = (project / "first" / "report.html").read_text()
    assert packaged["name"] in page
    for name in ("evaluation.html", "pruning.html"):
        assert name in page
        assert (project / "first" / name).is_file()
    assert json.loads((project / "first" / "summary.json").read_bytes()) == told

    # Again: nothing is trained, and the bundle stays the one that it was.
    trained = (project / "first" / "parent.safetensors").stat().st_mtime_ns
    again = json.loads(tartlet("run", "-o", "first", "--json").stdout)
    assert (project / "first" / "parent.safetensors").stat().st_mtime_ns == trained
    # The step lasted longer than the training in it, whose seconds are what is remembered.
    assert 0 < again["steps"]["Training"] <= told["steps"]["Training"]
    page = (project / "first" / "report.html").read_text()
    assert "Curves of the training loss" in page
    assert "What pruning left" in page

    # With other settings of the training it is another run.
    changed = RECIPE.replace("steps = 120", "steps = 121")
    (project / "recipe.toml").write_text(changed)
    refused = tartlet("run", "-o", "first")
    assert isinstance(refused.exception, errors.UsageError)
    assert "another recipe" in str(refused.exception)


def test_a_recipe_without_pictures_says_where_to_name_them(project: Path) -> None:
    (project / "recipe.toml").write_text(RECIPE.replace('train = "labels.json"', ""))
    refused = tartlet("run")
    assert isinstance(refused.exception, errors.ConfigError)
    assert "data.train" in str(refused.exception)


def test_pictures_that_are_wrong_stop_the_run_before_it_trains(project: Path) -> None:
    (project / "3.png").write_bytes(b"not a picture")
    refused = tartlet("run")
    assert isinstance(refused.exception, errors.DatasetError)
    assert "3.png" in str(refused.exception)
    assert not list(project.glob("runs/*/parent*"))
