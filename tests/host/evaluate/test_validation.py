"""A network in memory is measured as its file would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_host.evaluate.validation import detections, map50_of_network
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.recipe import InputRecipe, ModelRecipe, Recipe
from tartlet_host.train import checkpoint
from tartlet_shared import errors

RECIPE = Recipe(
    name="small",
    labels=("square",),
    input=InputRecipe(64, 96),
    model=ModelRecipe(strides=(8, 16), neck_channels=16, pretrained=False),
)


@pytest.fixture
def network() -> Detector:
    """Untrained, but with scores that pass the threshold here and there."""
    torch.manual_seed(3)
    built = build_detector(RECIPE)
    for name, parameter in built.named_parameters():
        if name.startswith("heads"):
            torch.nn.init.normal_(parameter, std=0.3)
    return built


@pytest.mark.parametrize("count", [1, 3, 7])
def test_batches_give_what_the_file_gives(
    network: Detector, make_squares, tmp_path: Path, count: int
) -> None:
    dataset = make_squares(count)
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, network, RECIPE, metrics={})
    alone = precision.predict_all(open_predictor(path), dataset)
    together = list(detections(network, RECIPE, dataset, batch_size=3))
    assert sum(len(found) for found in alone) > 0
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.xyxy, one.xyxy, atol=1e-3)
        np.testing.assert_allclose(other.score, one.score, atol=1e-5)
        np.testing.assert_array_equal(other.class_id, one.class_id)
    measured = precision.measure(dataset, alone).map50
    assert map50_of_network(network, RECIPE, dataset) == pytest.approx(measured)


def test_the_network_keeps_its_modes_and_its_statistics(network: Detector, make_squares) -> None:
    network.train()
    network.backbone.eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    map50_of_network(network, RECIPE, make_squares(2))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_another_canvas_is_another_network_input(network: Detector, make_squares) -> None:
    dataset = make_squares(2)
    sizes: list[tuple[int, ...]] = []
    network.backbone.register_forward_pre_hook(
        lambda _module, given: sizes.append(tuple(given[0].shape))
    )
    map50_of_network(network, RECIPE, dataset, canvas=InputRecipe(96, 128))
    map50_of_network(network, RECIPE, dataset)
    assert sizes == [(2, 3, 96, 128), (2, 3, 64, 96)]


def test_an_unknown_class_is_refused(network: Detector, make_squares) -> None:
    with pytest.raises(errors.UnknownClass, match="circle"):
        map50_of_network(network, RECIPE, make_squares(2, labels=("circle",)))


def test_a_missing_picture_is_named(network: Detector, make_squares) -> None:
    dataset = make_squares(3)
    dataset.samples[2].picture.unlink()
    with pytest.raises(errors.PictureUnreadable, match=r"2\.png"):
        list(detections(network, RECIPE, dataset, batch_size=1))
