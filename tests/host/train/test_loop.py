"""The loop on two small pictures: it learns, repeats itself, and stops cleanly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import (
    AugmentRecipe,
    InputRecipe,
    ModelRecipe,
    Recipe,
    TrainRecipe,
    default_recipe,
    load_recipe,
)
from tartlet_host.train import loop
from tartlet_host.train.loop import TrainProgress, fit
from tartlet_shared.errors import DatasetError, ModelError, PictureUnreadable

MakeSquares = Callable[..., Dataset]
RECIPES = sorted((Path(__file__).parents[3] / "models").glob("*/recipe.toml"))
STILL = AugmentRecipe(scale_min=1.0, scale_max=1.0, flip=0.0, brightness=0.0)


def recipe(**train: Any) -> Recipe:
    train = {"steps": 2, "batch_size": 2, "augment": STILL, **train}
    return msgspec.structs.replace(
        default_recipe(("square",)),
        input=InputRecipe(64, 96),
        model=ModelRecipe(neck_channels=16, strides=(8, 16)),
        train=TrainRecipe(**train),
    )


def test_two_pictures_are_learnt_by_heart(make_squares: MakeSquares) -> None:
    dataset, plan = (
        make_squares(2),
        recipe(steps=25, ema_decay=0.8, assignment_warmup=0.5, learning_rate=1e-2),
    )
    result = fit(build_detector(plan), dataset, plan, validation=dataset)
    assert len(result.losses) == 25
    assert result.pictures == 50
    assert sum(result.losses[-5:]) < 0.5 * sum(result.losses[:5])
    assert result.map50 is not None
    assert result.map50 > 0.5
    assert result.looks == ((25, result.map50),)


def test_the_same_seed_gives_the_same_run(make_squares: MakeSquares) -> None:
    dataset = make_squares(3)
    runs = [fit(build_detector(recipe()), dataset, recipe()).losses for _ in range(2)]
    assert runs[0] == runs[1]
    other = fit(build_detector(recipe()), dataset, recipe(seed=2, augment=AugmentRecipe()))
    assert other.losses != runs[0]


def test_progress_counts_every_step(make_squares: MakeSquares) -> None:
    seen: list[TrainProgress] = []
    result = fit(build_detector(recipe()), make_squares(2), recipe(), progress=seen.append)
    assert [(now.step, now.steps) for now in seen] == [(1, 2), (2, 2)]
    assert tuple(now.loss for now in seen) == result.losses


def test_ctrl_c_passes_through(make_squares: MakeSquares) -> None:
    def interrupt(now: TrainProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(build_detector(recipe()), make_squares(2), recipe(), progress=interrupt)


def test_the_best_look_is_the_result(
    make_squares: MakeSquares, small: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small(steps=6, validate_every=2), make_squares(2)
    accuracies = iter([0.3, 0.8, 0.5])
    weights: list[dict[str, torch.Tensor]] = []

    def measured(network: torch.nn.Module, *_: object) -> float:
        weights.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(accuracies)

    monkeypatch.setattr(loop, "map50_of_network", measured)
    told: list[tuple[int, float]] = []
    detector = build_detector(plan)
    result = fit(
        detector,
        dataset,
        plan,
        validation=dataset,
        on_validation=lambda step, value: told.append((step, value)),
    )
    assert result.looks == tuple(told) == ((2, 0.3), (4, 0.8), (6, 0.5))
    assert (result.best_step, result.map50) == (4, 0.8)
    assert result.last is not None
    for name, value in detector.state_dict().items():
        assert torch.equal(value, weights[1][name]), name
        assert torch.equal(result.last[name], weights[2][name]), name


def test_training_stops_when_nothing_gets_better(
    make_squares: MakeSquares, small: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small(steps=20, validate_every=2, patience=2), make_squares(2)
    accuracies = iter([0.3, 0.8, 0.5, 0.8])
    monkeypatch.setattr(loop, "map50_of_network", lambda *_: next(accuracies))
    result = fit(build_detector(plan), dataset, plan, validation=dataset)
    assert len(result.losses) == 8
    assert result.best_step == 8  # the later of two equal ones
    assert result.pictures == 16
    assert result.last is None


def test_a_callback_may_end_the_run(
    make_squares: MakeSquares, small: Callable[..., Recipe]
) -> None:
    class Enough(Exception):
        pass

    def refuse(step: int, value: float) -> None:
        raise Enough

    plan, dataset = small(steps=20, validate_every=1), make_squares(2)
    seen: list[TrainProgress] = []
    with pytest.raises(Enough):
        fit(
            build_detector(plan),
            dataset,
            plan,
            validation=dataset,
            on_validation=refuse,
            progress=seen.append,
        )
    assert not seen


def test_a_frozen_backbone_is_let_go(
    make_squares: MakeSquares, small: Callable[..., Recipe]
) -> None:
    dataset = make_squares(2)
    for part, moves in ((1.0, False), (0.5, True)):
        plan = small(freeze_backbone=part)
        detector = build_detector(plan)
        before = {name: value.clone() for name, value in detector.backbone.state_dict().items()}
        fit(detector, dataset, plan)
        after = detector.backbone.state_dict()
        changed = any(not torch.equal(value, before[name]) for name, value in after.items())
        assert changed is moves


def test_frozen_stages_keep_their_weights(make_squares: MakeSquares) -> None:
    plan = recipe(frozen_stages=2, batch_size=3)
    detector = build_detector(plan)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    fit(detector, make_squares(3), plan)
    changed = {n for n, value in detector.state_dict().items() if not torch.equal(value, before[n])}
    assert not [n for n in changed if n.startswith(("backbone.stem.", "backbone.stages.0."))]
    assert [n for n in changed if n.startswith("backbone.stages.1.")]


def test_frozen_normalization_keeps_its_statistics(make_squares: MakeSquares) -> None:
    plan = recipe(freeze_normalization_after=0.0)
    detector = build_detector(plan)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    fit(detector, make_squares(2), plan)
    for name, value in detector.state_dict().items():
        if "running" in name:
            assert torch.equal(value, before[name]), name


def test_a_teacher_changes_what_is_learnt(make_squares: MakeSquares) -> None:
    dataset = make_squares(2)
    teacher = build_detector(recipe(seed=9))
    alone = fit(build_detector(recipe()), dataset, recipe())
    taught = fit(build_detector(recipe()), dataset, recipe(), teacher=teacher)
    assert alone.losses != taught.losses


def test_the_network_ends_ready_for_use(make_squares: MakeSquares) -> None:
    detector = build_detector(recipe())
    fit(detector, make_squares(2), recipe())
    assert not any(module.training for module in detector.modules())
    assert all(parameter.requires_grad for parameter in detector.parameters())


def test_a_loss_that_is_no_number_stops_the_run(make_squares: MakeSquares) -> None:
    detector = build_detector(recipe())
    with torch.no_grad():
        detector.heads[0].get_parameter("score.bias").fill_(float("nan"))
    with pytest.raises(ModelError, match="nan") as caught:
        fit(detector, make_squares(2), recipe())
    assert "learning_rate" in caught.value.hint


def test_other_labels_are_refused(make_squares: MakeSquares) -> None:
    with pytest.raises(DatasetError, match="circle"):
        fit(build_detector(recipe()), make_squares(1, labels=("circle",)), recipe())


def test_a_set_without_boxes_is_refused(make_squares: MakeSquares) -> None:
    sample = make_squares(1).samples[0]
    ignored = dataclasses.replace(sample, ignore=np.array([True]))
    with pytest.raises(DatasetError, match="no box"):
        fit(build_detector(recipe()), Dataset(("square",), (ignored,)), recipe())


def test_a_missing_picture_stops_the_run(make_squares: MakeSquares) -> None:
    dataset = make_squares(2)
    Path(str(dataset.samples[1].picture)).unlink()
    with pytest.raises(PictureUnreadable):
        fit(build_detector(recipe()), dataset, recipe())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_every_recipe_builds_and_trains(path: Path, make_squares: MakeSquares) -> None:
    full = load_recipe(path)
    train = msgspec.structs.replace(full.train, steps=2, batch_size=1)
    dataset = make_squares(2, labels=full.labels)
    result = fit(build_detector(full), dataset, full, settings=train)
    assert len(result.losses) == 2
