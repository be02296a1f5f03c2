"""Taylor importance against its definition: what the loss does when a gate closes a little."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import torch
from torch import nn

from tartlet_host.dataset.loader import PictureStore, plain_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.loss import Flat, Loss, flatten
from tartlet_host.prune import importance
from tartlet_host.prune.groups import traced
from tartlet_host.recipe import (
    FinetuneRecipe,
    InputRecipe,
    ModelRecipe,
    PruneRecipe,
    Recipe,
    default_recipe,
)
from tartlet_shared.errors import DatasetNotFound

MakeSquares = Callable[..., Dataset]


@pytest.fixture
def recipe() -> Recipe:
    model = ModelRecipe(
        backbone="plain", width=0.25, neck_channels=8, strides=(8,), pretrained=False
    )
    return msgspec.structs.replace(
        default_recipe(("square",)),
        input=InputRecipe(64, 96),
        model=model,
        prune=PruneRecipe(finetune=FinetuneRecipe(batch_size=4)),
    )


def smooth_loss(flat: Flat, *_: object, **__: object) -> Loss:
    """The real one's goals follow the network's own boxes, which its gradient does not know."""
    return Loss(flat.logits.square().sum() + flat.distances.square().sum(), 0.0, 0.0, 0.0)


def loss_of(detector: Detector, dataset: Dataset, recipe: Recipe) -> float:
    """Of the one batch that the data set is."""
    (batch,) = plain_batches(dataset, PictureStore(recipe.input, 0), recipe.input, 4)
    with torch.no_grad():
        return float(smooth_loss(flatten(detector(batch.pictures), detector.strides)).total)


def awake(detector: Detector, dataset: Dataset, recipe: Recipe) -> Detector:
    """Statistics and head weights with which the inputs reach the loss, as after training."""
    (batch,) = plain_batches(dataset, PictureStore(recipe.input, 0), recipe.input, 4)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for head in detector.heads:
            nn.init.normal_(head.get_submodule("score").get_parameter("weight"), std=0.3)
            nn.init.normal_(head.get_submodule("box").get_parameter("weight"), std=0.3)
        detector.train()
        for _ in range(40):
            detector(batch.pictures)
    return detector.eval()


def test_it_is_the_squared_change_of_the_loss_when_gates_close(
    make_squares: MakeSquares, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "detection_loss", smooth_loss)
    dataset = make_squares(4)
    detector = awake(build_detector(recipe), dataset, recipe)
    scores = importance.taylor(detector, dataset, recipe)
    with traced(detector) as (_, groups):
        gates = {
            name: [each for each in _targets(group) if isinstance(each, nn.BatchNorm2d)]
            for name, group in groups.items()
        }
    alone = [name for name, norms in gates.items() if len(norms) == 1]
    name = max(alone, key=lambda each: float(scores[each].max()))
    (norm,), step = gates[name], 1e-2
    channel = int(scores[name].argmax())
    slopes = []
    for sign in (1, -1):
        with torch.no_grad():
            norm.weight[channel] *= 1 + sign * step
            norm.bias[channel] *= 1 + sign * step
        slopes.append(loss_of(detector, dataset, recipe))
        with torch.no_grad():
            norm.weight[channel] /= 1 + sign * step
            norm.bias[channel] /= 1 + sign * step
    expected = ((slopes[0] - slopes[1]) / (2 * step)) ** 2
    assert float(scores[name][channel]) == pytest.approx(expected, rel=0.02)


def test_a_channel_that_does_nothing_is_worth_nothing(
    make_squares: MakeSquares, recipe: Recipe
) -> None:
    detector = build_detector(recipe).eval()
    stem = detector.backbone.stem.norm
    with torch.no_grad():
        stem.weight[0] = stem.bias[0] = 0.0
    scores = importance.taylor(detector, make_squares(4), recipe)
    with traced(detector) as (_, groups):
        name = next(name for name, group in groups.items() if stem in _targets(group))
    assert float(scores[name][0]) == min(float(value) for value in scores[name])
    assert float(scores[name].max()) > 0
    assert all(weights.grad is None for weights in detector.parameters())


def test_pictures_that_nobody_labelled_weigh_nothing(
    make_squares: MakeSquares, recipe: Recipe
) -> None:
    from tartlet_host.dataset.unlabelled import join

    dataset = make_squares(2)
    nobody = Dataset(dataset.labels, join(Dataset(dataset.labels, ()), dataset).samples)
    with pytest.raises(DatasetNotFound):
        importance.taylor(build_detector(recipe).eval(), nobody, recipe)


def _targets(group: object) -> list[nn.Module]:
    return [item.dep.target.module for item in group]  # type: ignore[attr-defined]
