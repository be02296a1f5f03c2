"""What a network is made of and what one picture costs it, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tartlet_host.model.detector import Detector
from tartlet_host.model.receptive_field import receptive_fields
from tartlet_host.recipe import InputRecipe


@dataclass(frozen=True)
class Layer:
    """A convolution.

    Attributes:
        name: path of its module; "backbone.stages.2.0.expand".
        stage: the part of the network it belongs to; "backbone.stages.2".
        kernel: "3x3", "5x5 depthwise".
        output: channels, rows, columns.
        parameters: weights, biases, and the norm behind it.
        multiplies: multiply-accumulates of one picture.
    """

    name: str
    stage: str
    kernel: str
    output: tuple[int, int, int]
    parameters: int
    multiplies: int


@dataclass(frozen=True)
class Level:
    """A feature level.

    Attributes:
        stride: pixels of the canvas per cell.
        field: side of a cell's theoretical receptive field, pixels.
        share: part of the canvas's longer side that it spans; at most 1.
    """

    stride: int
    field: int
    share: float


@dataclass(frozen=True)
class Summary:
    """A network on a canvas.

    Attributes:
        canvas: height, width in pixels.
        parameters: weights and biases, norms included.
        multiplies: multiply-accumulates of one picture.
        layers: in the order they run.
        levels: fine to coarse.
    """

    canvas: tuple[int, int]
    parameters: int
    multiplies: int
    layers: tuple[Layer, ...]
    levels: tuple[Level, ...]

    def stages(self) -> tuple[Layer, ...]:
        """The layers added up by part of the network; the output is the last layer's."""
        parts: dict[str, list[Layer]] = {}
        for layer in self.layers:
            parts.setdefault(layer.stage, []).append(layer)
        return tuple(
            Layer(
                name=stage,
                stage=stage,
                kernel=f"{len(layers)} layers" if len(layers) > 1 else layers[0].kernel,
                output=layers[-1].output,
                parameters=sum(layer.parameters for layer in layers),
                multiplies=sum(layer.multiplies for layer in layers),
            )
            for stage, layers in parts.items()
        )

    def __str__(self) -> str:
        """One line for people."""
        height, width = self.canvas
        levels = ", ".join(str(level.stride) for level in self.levels)
        return (
            f"{self.parameters / 1e6:.2f} M parameters, {self.multiplies / 1e6:.0f} M multiplies "
            f"on {width}x{height}, strides {levels}"
        )


def summarise(network: Detector, canvas: InputRecipe) -> Summary:
    """Count parameters and multiplies on a canvas; the network is left as it was."""
    found: dict[str, tuple[int, int, int]] = {}
    handles = [
        module.register_forward_hook(_note_shape(name, found))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    training = network.training
    counter = FlopCounterMode(display=False)
    device = next(network.parameters()).device
    try:
        network.eval()
        with torch.no_grad(), counter:
            network(torch.zeros(1, 3, canvas.height, canvas.width, device=device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    # The counter names modules from the network's class on; a multiply-accumulate is two of its
    # operations.
    root = type(network).__name__
    counts = {name: sum(each.values()) // 2 for name, each in counter.get_flop_counts().items()}
    layers = tuple(
        _layer(network, name, shape, counts[f"{root}.{name}"]) for name, shape in found.items()
    )
    longest = max(canvas.height, canvas.width)
    return Summary(
        canvas=(canvas.height, canvas.width),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiplies=counter.get_total_flops() // 2,
        layers=layers,
        levels=tuple(
            Level(stride, field, min(1.0, field / longest))
            for stride, field in zip(network.strides, receptive_fields(network), strict=True)
        ),
    )


def _note_shape(
    name: str, found: dict[str, tuple[int, int, int]]
) -> Callable[[nn.Module, Any, torch.Tensor], None]:
    def note(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        found[name] = (output.shape[1], output.shape[2], output.shape[3])

    return note


def _layer(network: nn.Module, name: str, shape: tuple[int, int, int], multiplies: int) -> Layer:
    convolution = network.get_submodule(name)
    assert isinstance(convolution, nn.Conv2d)
    parent, _, last = name.rpartition(".")
    block = network.get_submodule(parent)
    norm = getattr(block, "norm", None)
    # "conv" is the convolution of a block, whose name says more.
    parts: list[nn.Module] = [convolution]
    if last == "conv" and isinstance(norm, nn.BatchNorm2d):
        parts.append(norm)
    rows, columns = convolution.kernel_size
    depthwise = " depthwise" if convolution.groups > 1 else ""
    return Layer(
        name=parent if last == "conv" else name,
        stage=_stage(name),
        kernel=f"{rows}x{columns}{depthwise}",
        output=shape,
        parameters=sum(p.numel() for part in parts for p in part.parameters()),
        multiplies=multiplies,
    )


def _stage(name: str) -> str:
    """ "backbone.stages.2.0.expand.conv" -> "backbone.stages.2"; "neck.down.0..." -> "neck"."""
    parts = name.split(".")
    length = {"backbone": 3 if parts[1] == "stages" else 2, "heads": 2}.get(parts[0], 1)
    return ".".join(parts[:length])
