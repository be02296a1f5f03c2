"""Dependency groups of real networks, against the networks themselves."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
import torch

from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.layers import ConvBlock
from tartlet_host.model.summary import summarise
from tartlet_host.prune import importance
from tartlet_host.prune.groups import cut, read_structure
from tartlet_host.prune.plan import widths_at
from tartlet_host.recipe import InputRecipe, ModelRecipe, PruneRecipe, default_recipe

CANVAS = InputRecipe(64, 96)


def network(backbone: Any) -> Detector:
    model = ModelRecipe(
        backbone=backbone, width=0.5, neck_channels=16, strides=(8, 16), pretrained=False
    )
    recipe = msgspec.structs.replace(default_recipe(("a", "b")), model=model, input=CANVAS)
    return build_detector(recipe).eval()


@pytest.mark.parametrize("backbone", ["efficientnet-lite0", "separable", "residual", "plain"])
def test_the_plan_counts_what_the_network_has(backbone: str) -> None:
    detector = network(backbone)
    structure = read_structure(detector, CANVAS)
    assert structure.multiplies(structure.widths) == summarise(detector, CANVAS).multiplies
    widths = widths_at(structure, 0.5, PruneRecipe(round_to=4))
    cut(detector, widths, importance.magnitude(detector))
    assert summarise(detector, CANVAS).multiplies == structure.multiplies(widths)
    assert read_structure(detector, CANVAS).widths == widths
    with torch.no_grad():
        outputs = detector(torch.zeros(1, 3, 64, 96))
    assert [(s.shape[1], b.shape[1]) for s, b in outputs] == [(2, 4)] * 2


def test_reading_leaves_the_network_alone() -> None:
    detector = network("plain")
    detector.train()
    detector.backbone.stem.requires_grad_(False)
    before = copy.deepcopy(detector.state_dict())
    read_structure(detector, CANVAS)
    assert detector.training
    assert not any(weights.requires_grad for weights in detector.backbone.stem.parameters())
    for name, value in detector.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_least_important_go() -> None:
    detector = network("plain")
    scores = importance.magnitude(detector)
    structure = read_structure(detector, CANVAS)
    name = next(iter(structure.widths))
    kept = structure.widths[name] // 2
    best = set(torch.argsort(scores[name], descending=True)[:kept].tolist())
    layer = next(each.name for each in structure.layers if each.outputs == name)
    before = _weights(detector, layer).detach().clone()
    cut(detector, {**structure.widths, name: kept}, scores)
    after = _weights(detector, layer).detach()
    assert torch.equal(after[:, 0, 0, 0], before[sorted(best), 0, 0, 0])


def _weights(detector: Detector, layer: str) -> torch.Tensor:
    module = detector.get_submodule(layer)
    return module.conv.weight if isinstance(module, ConvBlock) else module.get_parameter("weight")


def test_expansions_are_inside_their_blocks_and_may_be_cut_deeper() -> None:
    structure = read_structure(network("efficientnet-lite0"), CANVAS)
    # The first block has no expansion: the stem's channels are filtered and used there alone.
    wide = {layer.outputs for layer in structure.layers if layer.name.endswith(("expand", "stem"))}
    narrow = {layer.outputs for layer in structure.layers if layer.name.endswith("project")}
    assert wide <= structure.inside
    assert narrow.isdisjoint(structure.inside)
    plain = widths_at(structure, 0.5, PruneRecipe(round_to=1))
    deeper = widths_at(structure, 0.5, PruneRecipe(round_to=1, inside_power=1.5))
    for name, width in deeper.items():
        assert (width < plain[name]) == (name in structure.inside), name
