"""Pruning: fewer multiplies, whole heads, rounded channels, the same kind of network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.summary import summarise
from tartlet_host.prune.pruner import prune, prune_and_finetune
from tartlet_host.recipe import (
    FinetuneRecipe,
    InputRecipe,
    ModelRecipe,
    PruneRecipe,
    Recipe,
    default_recipe,
)
from tartlet_shared.errors import ModelError

MakeSquares = Callable[..., Dataset]


def recipe(**pruning: Any) -> Recipe:
    return msgspec.structs.replace(
        default_recipe(("square",)),
        input=InputRecipe(64, 96),
        model=ModelRecipe(neck_channels=32),
        prune=PruneRecipe(**pruning),
    )


def count_multiplies(network: Detector, canvas: InputRecipe) -> int:
    return summarise(network, canvas).multiplies


@pytest.mark.parametrize(("keep", "round_to"), [(0.5, 8), (0.3, 4)])
def test_the_part_asked_for_stays(keep: float, round_to: int) -> None:
    plan = recipe(keep_multiplies=keep, round_to=round_to)
    detector = build_detector(plan).eval()
    before = count_multiplies(detector, plan.input)
    report = prune(detector, plan)
    assert report.multiplies_before == before
    assert report.multiplies_after == count_multiplies(detector, plan.input)
    assert 0.7 * keep * before < report.multiplies_after <= keep * before
    assert report.parameters_after < report.parameters_before
    assert 0 < report.ratio < 1
    for name, (_, channels) in report.layers.items():
        assert channels % round_to == 0, name
        assert not name.endswith((".score", ".box"))
    with torch.no_grad():
        outputs = detector(torch.zeros(1, 3, 64, 96))
    assert [(s.shape[1], b.shape[1]) for s, b in outputs] == [(1, 4)] * 3


def test_levels_can_go() -> None:
    plan = recipe(keep_multiplies=0.5, strides=(8, 16))
    detector = build_detector(plan).eval()
    report = prune(detector, plan)
    assert detector.strides == (8, 16)
    assert report.multiplies_after <= 0.5 * report.multiplies_before
    assert not [name for name in report.step.channels if "stages.5" in name or "heads.2" in name]


def test_the_canvas_can_shrink(make_squares: MakeSquares) -> None:
    smaller = InputRecipe(64, 64)
    finetune = FinetuneRecipe(steps=2, batch_size=2)
    plan = recipe(keep_multiplies=0.5, input=smaller, finetune=finetune)
    parent = build_detector(plan).eval()
    detector, report, _ = prune_and_finetune(parent, make_squares(2), plan)
    assert report.recipe.input == smaller
    assert report.recipe.labels == plan.labels
    assert report.multiplies_before == count_multiplies(parent, plan.input)
    assert report.multiplies_after == count_multiplies(detector, smaller)


def test_keeping_all_changes_nothing(same_outputs: Callable[..., bool]) -> None:
    plan = recipe(keep_multiplies=1.0)
    detector, whole = build_detector(plan).eval(), build_detector(plan).eval()
    report = prune(detector, plan)
    assert report.layers == {}
    assert same_outputs(detector, whole, torch.randn(1, 3, 64, 96))


def test_the_largest_channels_stay() -> None:
    plan = recipe(keep_multiplies=0.5)
    detector = build_detector(plan).eval()
    stem = detector.backbone.stem.conv
    norms = stem.weight.detach().flatten(1).norm(dim=1)
    prune(detector, plan)
    kept = detector.backbone.stem.conv.weight.detach().flatten(1).norm(dim=1)
    assert set(kept.tolist()) < set(norms.tolist())


def test_too_much_is_refused() -> None:
    plan = recipe(keep_multiplies=0.01, max_ratio=0.3)
    with pytest.raises(ModelError, match="1%") as caught:
        prune(build_detector(plan).eval(), plan)
    assert "max_ratio" in caught.value.hint


def test_finetuning_leaves_the_parent_alone(
    make_squares: MakeSquares, same_outputs: Callable[..., bool]
) -> None:
    settings = FinetuneRecipe(steps=2, batch_size=2)
    plan = recipe(keep_multiplies=0.4, strides=(8, 16), finetune=settings)
    parent = build_detector(plan).eval()
    twin = build_detector(plan).eval()
    detector, report, result = prune_and_finetune(parent, make_squares(2), plan)
    assert len(result.losses) == 2
    assert count_multiplies(detector, plan.input) == report.multiplies_after
    assert same_outputs(parent, twin, torch.randn(1, 3, 64, 96))
