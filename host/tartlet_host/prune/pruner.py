"""Structured pruning: whole channels go, with everything that depends on them.

Dependency groups by torch-pruning (G. Fang et al., "DepGraph", CVPR 2023); importance is the
magnitude of a group's weights.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.channels import channel_counts
from tartlet_host.model.detector import Detector, channels_last
from tartlet_host.recipe import InputRecipe, Recipe
from tartlet_host.train.checkpoint import PruningStep
from tartlet_host.train.loop import FitResult, TrainProgress, fit
from tartlet_shared.errors import ModelError

logger = logging.getLogger(__name__)

TRACED_SIDE = 64  # pixels: dependencies are the same at every size, tracing a small one is fast
SEARCH_STEPS = 7  # bisections of the ratio: finer than the rounding of channels


@dataclass(frozen=True)
class PruneReport:
    """What a pruning did.

    Attributes:
        multiplies_before, multiplies_after: multiply-accumulates of one picture, each on its
            network's own canvas.
        parameters_before, parameters_after: weights and biases.
        ratio: part of the channels taken from every group.
        layers: convolution -> (output channels before, after), of those that stay and differ.
        step: what a checkpoint needs to rebuild the network.
        recipe: the recipe of the pruned network, to be saved with it: it has its canvas.
    """

    multiplies_before: int
    multiplies_after: int
    parameters_before: int
    parameters_after: int
    ratio: float
    layers: dict[str, tuple[int, int]]
    step: PruningStep
    recipe: Recipe


def prune(detector: Detector, recipe: Recipe) -> PruneReport:
    """Prune `detector` in place, uniformly, to the part of its multiplies the recipe keeps.

    The same ratio holds for every group, found by bisection; the heads' outputs stay whole.

    Raises:
        ModelError: even the largest ratio allowed keeps more.
    """
    before = channel_counts(detector)
    multiplies = count_multiplies(detector, recipe.input)
    parameters = _parameters(detector)
    goal = recipe.prune.keep_multiplies * multiplies
    recipe = msgspec.structs.replace(recipe, input=recipe.prune.input or recipe.input)
    if recipe.prune.strides:
        detector.drop_levels(len(recipe.prune.strides))
    ratio = 0.0
    if count_multiplies(detector, recipe.input) > goal:
        ratio = _prune_to(detector, recipe, goal)
    channels_last(detector)
    after = channel_counts(detector)
    remaining = count_multiplies(detector, recipe.input)
    return PruneReport(
        multiplies_before=multiplies,
        multiplies_after=remaining,
        parameters_before=parameters,
        parameters_after=_parameters(detector),
        ratio=ratio,
        layers={
            name: (before[name][1], after[name][1])
            for name in after
            if before[name][1] != after[name][1]
        },
        step=PruningStep(after, multiplies, remaining),
        recipe=recipe,
    )


def prune_and_finetune(
    parent: Detector,
    dataset: Dataset,
    recipe: Recipe,
    progress: Callable[[TrainProgress], None] | None = None,
) -> tuple[Detector, PruneReport, FitResult]:
    """A pruned copy of `parent`, repaired by training with `parent` as its teacher.

    Raises:
        ModelError: the recipe asks for more pruning than is possible, or training failed.
        DatasetError: see `tartlet_host.train.loop.fit`.
    """
    detector = copy.deepcopy(parent)
    report = prune(detector, recipe)
    logger.info(
        "pruned %d of %d layers, %.1f%% of the multiplies stay",
        len(report.layers),
        len(report.step.channels),
        100 * report.multiplies_after / report.multiplies_before,
    )
    result = fit(
        detector,
        dataset,
        report.recipe,
        progress=progress,
        teacher=parent,
        settings=recipe.prune.finetune,
    )
    return detector, report, result


def count_multiplies(network: nn.Module, canvas: InputRecipe) -> int:
    """Multiply-accumulates of the convolutions for one picture of the canvas's size."""
    total = 0

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        total += output[0].numel() * module.weight[0].numel()

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, canvas.height, canvas.width))
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _prune_to(detector: Detector, recipe: Recipe, goal: float) -> float:
    """Prune `detector` in place to at most `goal` multiplies; returns the ratio it took."""
    low, high = 0.0, recipe.prune.max_ratio
    best = _pruned(detector, recipe, high)
    if count_multiplies(best, recipe.input) > goal:
        raise ModelError(
            f"pruning cannot keep only {recipe.prune.keep_multiplies:.0%} of the multiplies",
            where="recipe: prune.keep_multiplies",
            hint="keep more, or raise prune.max_ratio",
        )
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        candidate = _pruned(detector, recipe, middle)
        if count_multiplies(candidate, recipe.input) <= goal:
            high, best = middle, candidate
        else:
            low = middle
    for name, child in best.named_children():
        setattr(detector, name, child)
    return high


def _pruned(detector: Detector, recipe: Recipe, ratio: float) -> Detector:
    # Imported late: it takes a second that only pruning should pay.
    import torch_pruning

    network = copy.deepcopy(detector).eval().requires_grad_(True)
    outputs = [layer for head in network.heads for layer in (head.score, head.box)]
    pruner = torch_pruning.pruner.BasePruner(
        network,
        torch.zeros(1, 3, TRACED_SIDE, TRACED_SIDE),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=outputs,
        round_to=recipe.prune.round_to,
    )
    pruner.step()
    return network


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
