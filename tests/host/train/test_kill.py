"""`tartlet train` as a process that is killed, asked to stop, and started again."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tests.command_line import SMALL

RECIPE = (
    SMALL
    + """
[train]
steps = 160
batch_size = 2
checkpoint_every = 7
"""
)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `tartlet train` on one thread, in the test's folder."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            code = (
                "import torch; torch.set_num_threads(1); from tartlet_host.cli import main; main()"
            )
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, "train", *arguments],
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def wait_for_state(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until a state of `step` or later is there."""
    while process.poll() is None:
        steps = [int(path.stem.partition("-")[2]) for path in folder.glob("step-*.safetensors")]
        if max(steps, default=-1) >= step:
            return
        time.sleep(0.005)
    pytest.fail(f"the training ended before step {step}: {process.communicate()}")


@pytest.mark.training
def test_killed_and_interrupted_it_ends_like_an_unbroken_run(
    tmp_path: Path, make_squares: Callable[..., Dataset], start: Start
) -> None:
    coco.write(make_squares(4), tmp_path / "labels.json")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    chance = random.Random()
    options = (".", "--recipe", "recipe.toml", "-o")

    whole = start(*options, "whole.safetensors", "--json")
    broken = start(*options, "broken.safetensors", "--json")
    states = tmp_path / "broken-training"
    wait_for_state(states, chance.randrange(14, 60), broken)
    time.sleep(chance.uniform(0.0, 0.1))  # anywhere in a step, or while a state is written
    broken.send_signal(signal.SIGKILL)
    assert broken.wait() == -signal.SIGKILL
    broken.communicate()
    assert not (tmp_path / "broken.safetensors").exists()

    newest = max(int(path.stem.partition("-")[2]) for path in states.glob("step-*.safetensors"))
    asked = start("--resume", "broken-training", "--json")
    wait_for_state(states, newest + 7, asked)
    asked.send_signal(signal.SIGINT)
    _, said = asked.communicate()
    assert asked.returncode == 130
    assert "go on with: tartlet train --resume" in said

    last = start("--resume", "broken.safetensors", "--json")
    results: list[dict[str, Any]] = [
        json.loads(process.communicate()[0]) for process in (whole, last)
    ]
    assert results[0]["steps"] == results[1]["steps"] == 160
    assert results[0]["final_loss"] == results[1]["final_loss"]
    assert tensors(tmp_path / "whole.safetensors") == tensors(tmp_path / "broken.safetensors")
    assert not list(tmp_path.glob("*-training"))
    again = start("--resume", "broken-training")
    assert "no unfinished training" in again.communicate()[1]


def tensors(path: Path) -> bytes:
    """The weights of a checkpoint, without the figures before them."""
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]
