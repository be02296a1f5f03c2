"""Two processes that torchrun starts train one network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import load_recipe
from tartlet_host.train.distributed import ALONE, any_of, average, from_first, joined
from tartlet_host.train.loop import fit
from tartlet_shared.errors import ConfigError
from tests.command_line import SMALL

RECIPE = (
    SMALL
    + """
[train]
steps = 6
batch_size = 4
checkpoint_every = 3
validate_every = 3
optimizer = "{optimizer}"
freeze_normalization_after = {norm}
freeze_backbone_normalization_after = {norm}
"""
)


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def project(tmp_path: Path, make_squares: Callable[..., Dataset]) -> Path:
    coco.write(make_squares(4), tmp_path / "labels.json")
    (tmp_path / "frozen.toml").write_text(RECIPE.format(norm=0.0, optimizer="sgd"))
    (tmp_path / "learning.toml").write_text(RECIPE.format(norm=1.0, optimizer="adamw"))
    return tmp_path


def ended(path: Path) -> tuple[dict[str, torch.Tensor], Any]:
    with safetensors.safe_open(path, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, json.loads(  # noqa: SIM118
            opened.metadata()["result"]
        )


@pytest.mark.training
def test_two_processes_are_one_with_their_pictures_together(
    project: Path, make_squares: Callable[..., Dataset]
) -> None:
    torchrun(project, str(Path(__file__).with_name("several_processes.py")), str(project))
    for name in ("frozen", "learning"):
        first, said = ended(project / f"{name}-0.safetensors")
        second, said_too = ended(project / f"{name}-1.safetensors")
        assert said == said_too
        for key, value in first.items():
            assert torch.equal(value, second[key]), (name, key)
        assert len(list((project / f"states-{name}-0").iterdir())) == 2
        assert not (project / f"states-{name}-1").exists()  # the first alone writes

    # Norms that keep their statistics see no difference between one batch and two halves of it.
    recipe = load_recipe(project / "frozen.toml")
    alone = build_detector(recipe)
    result = fit(alone, make_squares(4), recipe)
    together, (losses, _) = ended(project / "frozen-0.safetensors")
    assert losses == pytest.approx(result.losses, rel=1e-4)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(together[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.training
def test_the_command_writes_and_says_everything_once(project: Path) -> None:
    done = torchrun(
        project,
        "-m",
        "tartlet_host",
        "train",
        ".",
        "--recipe",
        "learning.toml",
        "-o",
        "x.safetensors",
    )
    assert done.stdout.count("x.safetensors") == 1
    assert done.stderr.count("next: ") == 1
    assert [path.name for path in project.glob("x*")] == ["x.safetensors"]


def test_a_lone_process_needs_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as processes:
        assert processes == ALONE
        assert from_first(processes, 0.25) == 0.25
        assert any_of(processes, True)
        value = torch.tensor([2.0])
        average(processes, [value])
        assert value.item() == 2.0


def test_half_of_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError) as caught, joined():
        pass
    assert "torchrun" in caught.value.hint
