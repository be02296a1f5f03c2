"""prune and label --teacher as a person calls them, on small pictures and untrained networks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tartlet_host.dataset import coco
from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.model.summary import summarise
from tartlet_host.prune import layer_times, pruner, study
from tartlet_host.prune.timing import Timing
from tartlet_host.recipe import Recipe, parse_recipe
from tartlet_host.train import checkpoint
from tartlet_shared import errors
from tests.command_line import SMALL, tartlet

RECIPE = (
    SMALL
    + """
[prune]
keep_multiplies = 0.6
round_to = 2
[prune.finetune]
steps = 4
batch_size = 2
"""
)


@pytest.fixture
def project(
    tmp_path: Path, make_squares: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Pictures with labels, the same without, and a network."""
    dataset = make_squares(4)
    (tmp_path / "data").mkdir()
    (tmp_path / "bare").mkdir()
    coco.write(dataset, tmp_path / "data" / "labels.json")
    for sample in dataset.samples:
        assert isinstance(sample.picture, Path)
        (tmp_path / "bare" / sample.picture.name).write_bytes(sample.picture.read_bytes())
    recipe = parse_recipe(RECIPE, where="test")
    detector = build_detector(recipe).eval()
    with torch.no_grad():
        for head in detector.heads:
            head.get_submodule("score").get_parameter(
                "bias"
            ).zero_()  # it sees something everywhere
    checkpoint.save(tmp_path / "parent.safetensors", detector, recipe, metrics={})
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("= 0.6", "= 0.4"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextlib.contextmanager
def quick_timer(parent: Any, recipe: Recipe) -> Iterator[Any]:
    """Time that goes with the multiplies."""
    whole = summarise(parent, recipe.input).multiplies
    yield lambda network, its: Timing(
        "litert", 8.0, 8.0 * summarise(network, its.input).multiplies / whole
    )


def test_prune_says_what_it_did(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        layer_times,
        "layer_times",
        lambda network, recipe: {
            each.name: 0.5 for each in summarise(network, recipe.input).layers
        },
    )
    done = json.loads(
        tartlet(
            *("prune", "parent.safetensors", "--data", "data", "--validation", "data"),
            *("--recipe", "recipe.toml", "--rounds", "2", "--unlabelled", "bare"),
            *("--report", "page.html", "--json"),
        ).stdout
    )
    assert done["multiplies_after"] <= 0.4 * done["multiplies_before"]
    assert [each["steps"] for each in done["rounds"]] == [2, 2]
    assert done["map50_after"] == done["rounds"][-1]["map50"]
    assert {each["name"] for each in done["layers"]} >= {"backbone.stem", "heads.0.score"}
    html = (project / "page.html").read_text()
    assert "Every layer" in html
    pruned = checkpoint.load(project / "pruned.safetensors")
    assert len(pruned.pruning_history) == 1
    assert pruned.recipe.prune.keep_multiplies == 0.4


def test_prune_by_time_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "timer_against", quick_timer)
    shown = tartlet("prune", "parent.safetensors", "--data", "data", "--keep-latency", "0.5")
    assert "of the time on litert" in shown.stdout
    done = checkpoint.load(project / "pruned.safetensors")
    step = done.pruning_history[0]
    assert 0.3 < step.multiplies_after / step.multiplies_before <= 0.5


@pytest.mark.parametrize(
    ("options", "least"), [(["--unstructured", "0.8"], 0.75), (["--threshold", "100"], 0.9)]
)
def test_single_weights(
    project: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], least: float
) -> None:
    monkeypatch.setattr(study, "timer_against", quick_timer)
    shown = tartlet(
        "prune", "parent.safetensors", "--data", "data", *options, "-o", "sparse.safetensors"
    )
    assert "zeros are multiplied like any other number" in shown.stdout
    assert "backbone.stem.conv" in shown.stdout
    sparse = checkpoint.load(project / "sparse.safetensors")
    assert sparse.metrics["sparsity"] >= least


def test_one_way_of_taking_weights(project: Path) -> None:
    with pytest.raises(errors.UsageError, match="two ways"):
        tartlet("prune", "--data", "data", "--unstructured", "0.5", "--threshold", "0.1")


def test_a_teacher_labels_what_nobody_did(project: Path) -> None:
    done = json.loads(
        tartlet(
            *("label", "bare", "--teacher", "parent.safetensors", "-o", "made", "--json"),
            *("--sure", "0.502", "--unsure", "0.4"),
        ).stdout
    )
    assert done["pictures"] == 4
    assert done["boxes"] + done["ignored"] > 0
    made = read_dataset(project / "made")
    assert made.labels == ("square",)
    assert all(sample.labelled for sample in made.samples)
    assert sum(len(sample.boxes) for sample in made.samples) == done["boxes"] + done["ignored"]
    assert all(Path(sheet).is_file() for sheet in done["sheets"])


def test_a_teacher_leaves_labels_alone(project: Path) -> None:
    before = read_dataset(project / "data")
    shown = tartlet(
        "label", "data", "--teacher", "parent.safetensors", "--validation", "data", "-o", "made"
    )
    assert "a box from a score of" in shown.stderr
    after = read_dataset(project / "made")
    for old, new in zip(before.samples, after.samples, strict=True):
        assert new.boxes.tolist() == old.boxes.tolist()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("bare",),
        ("--teacher", "parent.safetensors"),
        ("bare", "--teacher", "parent.safetensors", "--from-motion", "film.avi"),
        ("bare", "--teacher", "parent.safetensors", "--sure", "0.2", "--unsure", "0.3"),
        ("bare", "--teacher", "parent.safetensors", "--validation", "data", "--sure", "0.2"),
    ],
)
def test_labels_come_from_one_place(project: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(errors.UsageError):
        tartlet("label", *arguments, "-o", "made")
    assert not (project / "made").exists()


def test_tune_with_one_network_has_no_second_goal(project: Path) -> None:
    with pytest.raises(errors.UsageError, match="only one"):
        tartlet("tune", "recipe.toml", "--data", "data", "--latency")
