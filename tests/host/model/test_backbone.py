"""Every backbone keeps the same bargain: levels, widths, freezing, pruning, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tartlet_host.model.backbone import BACKBONES, build_backbone, scaled
from tartlet_host.model.blocks import ResidualBlock
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.prune.pruner import prune
from tartlet_host.quantize import litert, onnx
from tartlet_host.recipe import InputRecipe, ModelRecipe, PruneRecipe, Recipe, default_recipe
from tartlet_host.train import checkpoint

NAMES = sorted(BACKBONES)


def recipe(**model: Any) -> Recipe:
    return msgspec.structs.replace(
        default_recipe(("cat", "dog")),
        input=InputRecipe(64, 96),
        model=ModelRecipe(pretrained=False, neck_channels=16, **model),
        prune=PruneRecipe(keep_multiplies=0.5),
    )


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16), (16, 32), (8,)])
def test_maps_have_the_sizes_and_channels_it_promises(name: str, strides: tuple[int, ...]) -> None:
    backbone = build_backbone(name, strides).eval()
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(each.shape) for each in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, strides, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_width_multiplies_channels(name: str) -> None:
    half, whole, double = (build_backbone(name, (8, 16), width) for width in (0.5, 1.0, 2.0))
    assert parameters(half) < parameters(whole) < parameters(double)
    for wide, narrow in zip(double.channels, whole.channels, strict=True):
        assert wide == 2 * narrow
    for convolution in half.modules():
        if isinstance(convolution, torch.nn.Conv2d):
            assert convolution.out_channels % 8 == 0


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(32, 1.0, 32), (32, 0.5, 16), (16, 0.1, 8), (40, 0.35, 16), (24, 0.75, 24), (40, 0.5, 24)],
)
def test_channels_are_rounded_to_eight(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected
    assert expected >= 0.9 * channels * width


@pytest.mark.parametrize("name", NAMES)
def test_levels_can_go_and_stages_can_be_named(name: str) -> None:
    backbone = build_backbone(name, (8, 16, 32))
    stages = len(backbone.stages)
    assert backbone.first_stages(0) == []
    assert backbone.first_stages(2) == [backbone.stem, backbone.stages[0]]
    backbone.drop_levels(2)
    assert len(backbone.stages) < stages
    assert len(backbone.channels) == 2
    fresh = build_backbone(name, (8, 16))
    fresh.load_state_dict(backbone.state_dict())


def test_a_residual_block_adds_its_input() -> None:
    block = ResidualBlock(4, 4, 3, 1).eval()
    torch.nn.init.zeros_(block.second.conv.weight)
    x = torch.rand(1, 4, 6, 6)
    assert torch.equal(block(x), x)
    halving = ResidualBlock(4, 8, 3, 2).eval()
    torch.nn.init.zeros_(halving.second.conv.weight)
    assert halving.shortcut(x).shape == halving(x).shape == (1, 8, 3, 3)
    assert torch.equal(halving(x), halving.shortcut(x).clamp(0, 6))


def pruned(plan: Recipe) -> Detector:
    detector = build_detector(plan).eval()
    report = prune(detector, plan)
    assert report.multiplies_after <= 0.5 * report.multiplies_before
    assert any(name.startswith("backbone.") for name in report.layers)
    return detector


@pytest.mark.parametrize("name", NAMES)
def test_a_pruned_network_comes_back_from_its_checkpoint(
    name: str, tmp_path: Path, same_outputs: Callable[..., bool]
) -> None:
    plan = recipe(backbone=name, width=0.75)
    detector = pruned(plan)
    path = tmp_path / "pruned.safetensors"
    checkpoint.save(path, detector, plan, metrics={})
    again = checkpoint.load(path).detector
    assert parameters(again) == parameters(detector)
    assert same_outputs(detector, again, torch.randn(1, 3, 64, 96))


@pytest.mark.training
@pytest.mark.filterwarnings("ignore")  # the exporters call what torch deprecates
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("converter", "file"), [(litert, "a.tflite"), (onnx, "a.onnx")])
def test_a_pruned_network_can_be_exported(
    name: str, converter: Any, file: str, tmp_path: Path
) -> None:
    plan = recipe(backbone=name, strides=(8, 16))
    # Raises where the converted model gives other numbers than torch.
    converter.convert_float(pruned(plan), plan, tmp_path / file)
    assert (tmp_path / file).stat().st_size > 10_000
