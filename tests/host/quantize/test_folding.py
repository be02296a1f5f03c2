"""Folding batch normalization changes the graph, never the function."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tartlet_host.model.detector import Detector, build_detector, channels_last
from tartlet_host.model.export import ExportWrapper
from tartlet_host.quantize import folding
from tartlet_host.recipe import InputRecipe, ModelRecipe, Recipe
from tartlet_shared.errors import ConversionFailed

RECIPE = Recipe(
    name="small",
    labels=("a", "b"),
    input=InputRecipe(64, 96),
    model=ModelRecipe(strides=(8, 16), neck_channels=16, pretrained=False),
)


@pytest.fixture
def detector() -> Detector:
    """A network whose norms are far from the identity."""
    torch.manual_seed(3)
    network = channels_last(build_detector(RECIPE)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return network


def test_the_folded_network_is_the_same_function(detector: Detector) -> None:
    before = copy.deepcopy(detector.state_dict())
    folded = folding.export_module(detector)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    picture = torch.rand(1, 64, 96, 3) * 2 - 1
    with torch.no_grad():
        expected = ExportWrapper(detector)(picture)
        outputs = folded(picture)
    assert max(float(each.abs().max()) for each in expected) > 0.1
    for output, wanted in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output, wanted, rtol=1e-4, atol=1e-4)
    for name, tensor in detector.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(detector: Detector, value: float) -> None:
    with torch.no_grad():
        detector.heads[1].get_parameter("score.weight")[0, 0] = value
    with pytest.raises(ConversionFailed, match=r"heads\.1\.score\.weight"):
        folding.export_module(detector)
