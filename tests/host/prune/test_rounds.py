"""Pruning in rounds: each leaves less, and one that loses too much does not count."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.dataset.unlabelled import join
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.summary import summarise
from tartlet_host.prune import page, pruner
from tartlet_host.prune.pruner import prune, prune_and_finetune
from tartlet_host.prune.timing import Timing
from tartlet_host.recipe import (
    FinetuneRecipe,
    InputRecipe,
    ModelRecipe,
    PruneRecipe,
    Recipe,
    default_recipe,
)
from tartlet_host.train.loop import TrainProgress
from tartlet_shared.errors import UsageError

MakeSquares = Callable[..., Dataset]


def recipe(steps: int = 3, **pruning: Any) -> Recipe:
    return msgspec.structs.replace(
        default_recipe(("square",)),
        input=InputRecipe(64, 96),
        model=ModelRecipe(
            backbone="plain", width=0.5, neck_channels=16, strides=(8, 16), pretrained=False
        ),
        prune=PruneRecipe(
            round_to=2, finetune=FinetuneRecipe(steps=steps, batch_size=2), **pruning
        ),
    )


def accuracy(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """mAP50 as the test wants it: of the parent, then after each round."""
    given = iter(values)
    monkeypatch.setattr(pruner, "map50_of_network", lambda *_: next(given))
    monkeypatch.setattr("tartlet_host.train.loop.map50_of_network", lambda *_: next(given))


def test_rounds_share_the_pruning_and_the_training(make_squares: MakeSquares) -> None:
    plan = recipe(steps=7, keep_multiplies=0.3, rounds=3)
    parent = build_detector(plan).eval()
    seen: list[TrainProgress] = []
    detector, report, result = prune_and_finetune(parent, make_squares(2), plan, seen.append)
    left = [report.multiplies_before, *(each.multiplies for each in report.rounds)]
    assert len(report.rounds) == 3
    assert all(after < before for before, after in itertools.pairwise(left))
    parts = [after / before for before, after in itertools.pairwise(left)]
    assert max(parts) / min(parts) < 1.6  # the same part each, but for rounding
    assert sum(each.steps for each in report.rounds) == len(result.losses) == 7
    assert [now.step for now in seen] == list(range(1, 8))
    assert {now.steps for now in seen} == {7}
    at_once = prune(build_detector(plan).eval(), plan)
    assert report.multiplies_after == at_once.multiplies_after
    assert summarise(detector, plan.input).multiplies == report.multiplies_after


def test_the_last_good_network_is_the_result(
    make_squares: MakeSquares, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recipe(keep_multiplies=0.3, rounds=3, largest_loss=0.1)
    accuracy(monkeypatch, 0.9, 0.85, 0.7)
    data = make_squares(2)
    parent = build_detector(plan).eval()
    detector, report, result = prune_and_finetune(parent, data, plan, validation=data)
    assert [each.kept for each in report.rounds] == [True, False]
    assert len(result.losses) == 2  # the third round was not begun
    assert (report.map50_before, report.map50_after) == (0.9, 0.85)
    assert report.multiplies_after == report.rounds[0].multiplies
    assert summarise(detector, plan.input).multiplies == report.multiplies_after
    html = page.render("squares", report)
    assert "lost too much" in html


def test_a_first_round_that_loses_too_much_leaves_the_parent(
    make_squares: MakeSquares,
    monkeypatch: pytest.MonkeyPatch,
    same_outputs: Callable[..., bool],
) -> None:
    plan = recipe(keep_multiplies=0.3, rounds=2, largest_loss=0.1, input=InputRecipe(64, 64))
    accuracy(monkeypatch, 0.9, 0.2)
    data = make_squares(2)
    parent = build_detector(plan).eval()
    detector, report, _ = prune_and_finetune(parent, data, plan, validation=data)
    assert same_outputs(detector, parent, torch.randn(1, 3, 64, 96))
    assert report.recipe.input == plan.input
    assert report.multiplies_after == report.multiplies_before
    assert report.map50_after == 0.9
    assert report.layers == {}


def test_a_limit_without_pictures_to_judge_by_is_refused(make_squares: MakeSquares) -> None:
    plan = recipe(largest_loss=0.1)
    with pytest.raises(UsageError, match="largest_loss"):
        prune_and_finetune(build_detector(plan).eval(), make_squares(1), plan)


def test_measured_time_decides_how_far_it_goes() -> None:
    plan = recipe(keep_multiplies=1.0, keep_latency=0.5)
    parent = build_detector(plan).eval()
    whole = summarise(parent, plan.input).multiplies
    timed: list[Detector] = []

    def timer(network: Detector, its_recipe: Recipe) -> Timing:
        timed.append(network)
        return Timing(
            "litert", 10.0, 10.0 * summarise(network, its_recipe.input).multiplies / whole
        )

    report = prune(parent, plan, timer=timer)
    assert report.timing is not None
    assert 0.3 < report.timing.share <= 0.5
    assert report.timing.share == pytest.approx(report.multiplies_after / whole)
    assert all(network is not parent for network in timed)


def test_taylor_needs_pictures_and_uses_them(make_squares: MakeSquares) -> None:
    plan = recipe(keep_multiplies=0.5, importance="taylor")
    with pytest.raises(UsageError, match="data set"):
        prune(build_detector(plan).eval(), plan)
    report = prune(build_detector(plan).eval(), plan, make_squares(2))
    assert report.multiplies_after <= 0.5 * report.multiplies_before


def test_the_parent_teaches_on_pictures_that_nobody_labelled(make_squares: MakeSquares) -> None:
    plan = recipe(keep_multiplies=0.5)
    labelled = make_squares(4)
    few = Dataset(labelled.labels, labelled.samples[:1])
    data = join(few, labelled)
    assert [sample.labelled for sample in data.samples] == [True, False, False, False]
    assert all(len(sample.boxes) == 0 for sample in data.samples[1:])
    _, report, result = prune_and_finetune(build_detector(plan).eval(), data, plan)
    assert len(result.losses) == 3
    assert report.multiplies_after <= 0.5 * report.multiplies_before


def test_the_page_stands_alone() -> None:
    plan = recipe(keep_multiplies=0.5, strides=(8,))
    detector = build_detector(plan).eval()
    report = prune(detector, plan)
    times = {each.name: 0.25 for each in report.changes}
    html = page.render("A <title>", report, page.LayerTimes(times, times))
    assert "A &lt;title&gt;" in html
    assert "<script" not in html
    assert "src=" not in html
    assert "<link" not in html
    assert all(each.name in html for each in report.changes)
    parts = page.parts(report.changes, page.LayerTimes(times, {}))
    assert sum(each.layers for each in parts) == len(report.changes)
    assert sum(each.multiplies[0] for each in parts) == report.multiplies_before
    assert sum(each.multiplies[1] for each in parts) == report.multiplies_after
    assert [each.milliseconds for each in parts] == [(0.25 * each.layers, 0.0) for each in parts]
