"""The folder of a training that is not done: found again, in whatever way it is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from tartlet_host.cli import cli
from tartlet_host.commands import train
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.recipe import Recipe, default_recipe
from tartlet_host.train import checkpoint, loop, unfinished
from tartlet_host.train.step import take_step
from tartlet_shared.errors import CheckpointCorrupt, ModelError, UsageError


def order(path: Path) -> unfinished.Order:
    recipe: dict[str, object] = msgspec.to_builtins(default_recipe(("a",)))
    return unfinished.Order("/data", "", str(path), recipe, log=False, latest=True)


def test_is_found_by_run_folder_checkpoint_and_as_the_newest(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("2026-01-01_00-00-00", "2026-01-02_00-00-00"):
        asked = order(runs / name / "parent.safetensors")
        folder = unfinished.begin(asked)
    run = folder.parent
    for named in (folder, run, run / "parent.safetensors", None):
        where, found = unfinished.find(named, runs)
        assert (where, found.checkpoint) == (folder, asked.checkpoint)
    assert found.parsed_recipe(folder) == default_recipe(("a",))
    unfinished.finish(folder)
    assert unfinished.find(None, runs)[0].parent.name == "2026-01-01_00-00-00"
    with pytest.raises(UsageError, match="no unfinished"):
        unfinished.find(run)


def test_states_of_an_abandoned_training_go(tmp_path: Path) -> None:
    asked = order(tmp_path / "x.safetensors")
    folder = unfinished.begin(asked)
    (folder / "step-00000001.safetensors").write_bytes(b"old")
    assert unfinished.begin(asked) == folder
    assert [path.name for path in folder.iterdir()] == [unfinished.ORDER]


@pytest.mark.parametrize("content", [b"", b"{", b'{"dataset": 1}', b'{"unknown": ""}'])
def test_a_damaged_order_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = unfinished.begin(order(tmp_path / "x.safetensors"))
    (folder / unfinished.ORDER).write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match="was to do"):
        unfinished.find(folder)


@pytest.fixture
def project(
    tmp_path: Path, make_squares: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> Path:
    coco.write(make_squares(2), tmp_path / "labels.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(small: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Makes `tartlet train` without a recipe use a small one."""
    monkeypatch.setattr(
        "tartlet_host.recipe.default_recipe", lambda labels: small(checkpoint_every=2, **settings)
    )


def test_an_error_before_the_first_state_leaves_nothing(
    project: Path, small: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(small, monkeypatch)
    Path("0.png").write_bytes(b"no picture")
    result = CliRunner().invoke(cli, ["train", "."])
    assert result.exception is not None
    assert not list((project / "runs").iterdir())


def test_a_loss_that_is_no_number_leaves_the_last_good_weights(
    project: Path, small: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(small, monkeypatch)

    def diverging(training: Any, batch: Any, plan: Any) -> Any:
        if training.step == 5:
            raise ModelError("the loss is nan in step 6", where="train")
        return take_step(training, batch, plan)

    monkeypatch.setattr(loop, "take_step", diverging)
    result = CliRunner().invoke(cli, ["train", ".", "-o", "x.safetensors"])
    assert isinstance(result.exception, ModelError)
    rescued = checkpoint.load(Path("x-step-4.safetensors"))
    assert rescued.recipe.name == "detector"
    assert "--resume" in result.stderr
    monkeypatch.setattr(loop, "take_step", take_step)
    assert CliRunner().invoke(cli, ["train", "--resume", "x.safetensors"]).exit_code == 0
    assert checkpoint.load(Path("x.safetensors")).metrics["steps"] == 8
    assert not Path("x-training").exists()


def test_two_checkpoints_where_the_best_is_not_the_last(
    project: Path, small: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(small, monkeypatch, validate_every=4)
    accuracies = iter([0.7, 0.2])
    monkeypatch.setattr(loop, "map50_of_network", lambda *_: next(accuracies))
    result = CliRunner().invoke(cli, ["train", ".", "--validation", ".", "--json"])
    made = msgspec.json.decode(result.stdout)
    assert (made["best_step"], made["map50"]) == (4, 0.7)
    assert made["looks"] == [[4, 0.7], [8, 0.2]]
    best, last = checkpoint.load(Path(made["checkpoint"])), checkpoint.load(Path(made["last"]))
    assert best.metrics["map50"] == 0.7
    assert best.digest != last.digest
    assert Path(made["last"]).name == "parent-last.safetensors"
    assert train.command.help is not None
