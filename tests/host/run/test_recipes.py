"""Every recipe that comes with tartlet trains, prunes and remembers what it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.prune.pruner import prune_and_finetune
from tartlet_host.recipe import Recipe, load_recipe
from tartlet_host.train import checkpoint
from tartlet_host.train.loop import fit

ROOT = Path(__file__).parents[3]
RECIPES = sorted([*ROOT.glob("models/*/*.toml"), *ROOT.glob("benchmarks/*.toml")])


def short(recipe: Recipe) -> Recipe:
    """The same network and settings for two steps."""

    def few(settings: msgspec.Struct) -> msgspec.Struct:
        return msgspec.structs.replace(
            settings, steps=2, batch_size=2, validate_every=0, patience=0, checkpoint_every=0
        )

    pruning = msgspec.structs.replace(
        recipe.prune,
        finetune=few(recipe.prune.finetune),
        rounds=1,
        largest_loss=1.0,
        keep_latency=1.0,
    )
    return msgspec.structs.replace(recipe, train=few(recipe.train), prune=pruning)


@pytest.mark.training
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_recipe_runs(
    path: Path, make_squares: Callable[..., Dataset], tmp_path: Path
) -> None:
    recipe = short(load_recipe(path))
    dataset = make_squares(count=2, labels=recipe.labels)
    detector = build_detector(recipe)
    losses = fit(detector, dataset, recipe).losses
    assert len(losses) == 2
    pruned, report, result = prune_and_finetune(detector, dataset, recipe)
    assert len(result.losses) == 2
    assert report.multiplies_after <= recipe.prune.keep_multiplies * report.multiplies_before
    saved = tmp_path / "pruned.safetensors"
    checkpoint.save(saved, pruned, report.recipe, metrics={}, pruning_history=(report.step,))
    assert checkpoint.load(saved).recipe == report.recipe
