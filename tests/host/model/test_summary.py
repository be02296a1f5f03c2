"""Counts, receptive fields and memory against sums by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch

from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.memory import training_memory
from tartlet_host.model.receptive_field import receptive_fields
from tartlet_host.model.step_time import step_seconds
from tartlet_host.model.summary import summarise
from tartlet_host.recipe import InputRecipe, ModelRecipe, default_recipe

CANVAS = InputRecipe(64, 96)


def network(**model: Any) -> Detector:
    recipe = default_recipe(("cat", "dog"))
    settings = ModelRecipe(pretrained=False, neck_channels=16, **model)
    return build_detector(msgspec.structs.replace(recipe, model=settings))


@pytest.mark.parametrize("backbone", ["efficientnet-lite0", "separable", "residual", "plain"])
def test_the_layers_add_up(backbone: str) -> None:
    detector = network(backbone=backbone, strides=(8, 16))
    summary = summarise(detector, CANVAS)
    assert summary.parameters == sum(p.numel() for p in detector.parameters())
    assert sum(layer.parameters for layer in summary.layers) == summary.parameters
    assert sum(layer.multiplies for layer in summary.layers) == summary.multiplies
    assert sum(stage.multiplies for stage in summary.stages()) == summary.multiplies
    assert len({layer.name for layer in summary.layers}) == len(summary.layers)
    assert [level.stride for level in summary.levels] == [8, 16]
    assert detector.training  # as it was


def test_a_layer_is_counted_by_hand() -> None:
    layers = {layer.name: layer for layer in summarise(network(), CANVAS).layers}
    stem = layers["backbone.stem"]
    assert (stem.kernel, stem.output) == ("3x3", (32, 32, 48))
    assert stem.multiplies == 32 * 48 * 32 * 3 * 9
    assert stem.parameters == 32 * 3 * 9 + 2 * 32
    depthwise = layers["backbone.stages.1.0.depthwise"]
    assert (depthwise.kernel, depthwise.output) == ("3x3 depthwise", (96, 16, 24))
    assert depthwise.multiplies == 16 * 24 * 96 * 9
    score = layers["heads.0.score"]
    assert (score.parameters, score.multiplies) == (16 * 2 + 2, 8 * 12 * 16 * 2)


def test_the_receptive_field_of_a_chain_is_the_textbook_sum() -> None:
    # kernel, distance of neighbouring inputs: stem, three strided and one plain layer, two in the
    # head; a layer adds (kernel - 1) times the distance.
    chain = [(3, 1), (3, 2), (3, 4), (3, 8), (3, 8), (3, 8)]
    expected = 1 + sum((kernel - 1) * distance for kernel, distance in chain)
    assert receptive_fields(network(backbone="plain", strides=(8,))) == (expected,)


def test_coarse_levels_see_more_and_widths_change_nothing() -> None:
    fields = receptive_fields(network(backbone="separable"))
    assert list(fields) == sorted(fields)
    assert fields == receptive_fields(network(backbone="separable", width=0.5))


def test_nothing_outside_the_receptive_field_matters() -> None:
    detector = network(backbone="plain", strides=(8,)).double().eval()
    (field,) = receptive_fields(detector)
    picture = torch.rand(1, 3, 64, 256, dtype=torch.float64)
    centre = 16 * 8 + 4  # of the cell in column 16
    outside = (torch.arange(256) + 0.5 - centre).abs() > field / 2 + 8
    other = torch.where(outside, 0.0, picture)
    assert outside.sum() > 50
    with torch.no_grad():
        one, two = detector(picture)[0][0], detector(other)[0][0]
    assert torch.equal(one[..., 16], two[..., 16])
    assert not torch.equal(one[..., 8], two[..., 8])


def test_memory_counts_what_the_backward_pass_keeps() -> None:
    detector = network(backbone="plain", strides=(8,))
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    memory = training_memory(detector, CANVAS, 4)
    count = sum(p.numel() for p in detector.parameters())
    assert memory.weights == count * 4 * 5  # weight, gradient, average, AdamW's two moments
    assert memory.total == memory.weights + 4 * memory.activations
    assert memory.largest_batch(memory.total) == 4
    assert memory.largest_batch(memory.total - 1) == 3
    assert memory.largest_batch(0) == 0
    # A block keeps what its norm takes and gives (the activation writes in place); where it strides
    # also its padded input.
    maps = [layer.output for layer in summarise(detector, CANVAS).layers]
    of_maps = sum(channels * rows * columns for channels, rows, columns in maps) * 4
    assert 2 * of_maps < memory.activations < 4 * of_maps
    for name, value in detector.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_memory_goes_with_the_area() -> None:
    detector = network(backbone="separable", strides=(8,))
    small = training_memory(detector, InputRecipe(64, 64), 1)
    large = training_memory(detector, InputRecipe(128, 128), 1)
    assert large.activations == pytest.approx(4 * small.activations, rel=0.05)
    assert large.weights == small.weights


def test_a_step_takes_time_and_changes_nothing() -> None:
    detector = network(backbone="plain", strides=(8,))
    recipe = default_recipe(("cat", "dog"))
    train = msgspec.structs.replace(recipe.train, batch_size=2)
    before = [p.clone() for p in detector.parameters()]
    recipe = msgspec.structs.replace(recipe, input=CANVAS, train=train)
    assert step_seconds(detector, recipe, steps=1) > 0
    assert all(torch.equal(a, b) for a, b in zip(before, detector.parameters(), strict=True))
