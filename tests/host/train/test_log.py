"""TensorBoard's log: what is in it, also after a run that went on."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.log import logging_to
from tartlet_host.train.loop import fit
from tartlet_shared.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def events(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder), size_guidance={"images": 0})
    read.Reload()
    return read


def test_losses_rate_accuracy_and_pictures_are_there(
    tmp_path: Path, make_squares: Callable[..., Dataset], small: Callable[..., Recipe]
) -> None:
    pytest.importorskip("tensorboard")
    recipe, dataset, log = small(steps=4, validate_every=2), make_squares(3), tmp_path / "log"
    result = fit(build_detector(recipe), dataset, recipe, validation=dataset, log=log)
    read = events(log)
    totals = read.Scalars("loss/total")
    assert [each.step for each in totals] == [1, 2, 3, 4]
    assert [each.value for each in totals] == pytest.approx(result.losses, rel=1e-6)
    scores, boxes = read.Scalars("loss/score"), read.Scalars("loss/box")
    sums = [score.value + box.value for score, box in zip(scores, boxes, strict=True)]
    assert sums == pytest.approx(result.losses, rel=1e-4)
    assert len(read.Scalars("learning rate")) == 4
    accuracy = [(each.step, each.value) for each in read.Scalars("validation/mAP50")]
    assert accuracy == [(step, pytest.approx(value)) for step, value in result.looks]
    assert read.Tags()["images"] == [f"validation/{number}" for number in range(3)]
    assert [each.step for each in read.Images("validation/0")] == [2, 4]
    assert read.Images("validation/0")[0].width == 96


def test_steps_that_are_taken_again_are_shown_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tartlet_host.model.loss import Loss

    def write(first: int, last: int, value: float) -> None:
        with logging_to(tmp_path, first) as log:
            for step in range(first + 1, last + 1):
                log.step(step, Loss(np.float32(value), 0.0, 0.0, 0.0), 0.1)  # type: ignore[arg-type]

    write(0, 5, 1.0)
    write(3, 6, 2.0)  # killed after step 5, resumed from the state of step 3
    shown = [(each.step, each.value) for each in events(tmp_path).Scalars("loss/total")]
    assert shown == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 2.0)]


def test_without_tensorboard_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError) as caught, logging_to(tmp_path, 0):
        pass
    assert "pip install tensorboard" in caught.value.hint
