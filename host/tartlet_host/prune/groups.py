"""Dependency groups: channels that can only go together, and what each layer has to do with them.

A channel that a residual adds to another, or that a depthwise convolution filters, ties layers to
one another. torch-pruning finds the groups in the traced network (G. Fang et al., "DepGraph",
CVPR 2023); what is here turns them into numbers, so that a plan costs microseconds to weigh and
the network is cut once.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tartlet_host.model.detector import Detector
from tartlet_host.model.layers import ConvBlock
from tartlet_host.model.summary import summarise
from tartlet_host.recipe import InputRecipe

TRACED_SIDE = 64  # pixels: dependencies are the same at every size, tracing a small one is fast

Widths = dict[str, int]
"""Channels of each group, by the group's name."""


@dataclass(frozen=True)
class Layer:
    """A convolution.

    Attributes:
        name: of its block, as `tartlet_host.model.summary` has it.
        area: pixels of its output.
        taps: height times width of its kernel.
        inputs, outputs: the groups its channels belong to; None where they never change.
        in_channels, out_channels: how many there are now.
        depthwise: each output sees one input.
    """

    name: str
    area: int
    taps: int
    inputs: str | None
    outputs: str | None
    in_channels: int
    out_channels: int
    depthwise: bool

    def channels(self, widths: Mapping[str, int]) -> tuple[int, int]:
        """Inputs and outputs when the groups are so wide."""
        outputs = self.out_channels if self.outputs is None else widths[self.outputs]
        if self.depthwise:
            return outputs, outputs
        return self.in_channels if self.inputs is None else widths[self.inputs], outputs

    def multiplies(self, widths: Mapping[str, int]) -> int:
        """Multiply-accumulates when the groups are so wide."""
        inputs, outputs = self.channels(widths)
        return self.area * self.taps * outputs * (1 if self.depthwise else inputs)


@dataclass(frozen=True)
class Structure:
    """What pruning may change in a network.

    Attributes:
        widths: channels of every group as the network is.
        layers: all convolutions, in the order they run.
    """

    widths: Widths
    layers: tuple[Layer, ...]

    @functools.cached_property
    def inside(self) -> frozenset[str]:
        """Groups within one block: made by one layer, filtered by a depthwise one, used by one."""
        return frozenset(name for name in self.widths if self._is_inside(name))

    def _is_inside(self, name: str) -> bool:
        plain = [layer for layer in self.layers if not layer.depthwise]
        filtered = any(layer.depthwise and layer.outputs == name for layer in self.layers)
        makers = sum(layer.outputs == name for layer in plain)
        users = sum(layer.inputs == name for layer in plain)
        return filtered and makers == users == 1

    def multiplies(self, widths: Mapping[str, int]) -> int:
        """Multiply-accumulates of the whole network when the groups are so wide."""
        return sum(layer.multiplies(widths) for layer in self.layers)


def read_structure(network: Detector, canvas: InputRecipe) -> Structure:
    """The network's groups and layers; the heads' outputs are in no group."""
    inputs: dict[nn.Module, str] = {}
    outputs: dict[nn.Module, str] = {}
    widths: Widths = {}
    with traced(network) as (graph, groups):
        for name, group in groups.items():
            widths[name] = len(group[0].idxs)
            for dependency, _ in group:
                module = dependency.target.module
                owners = outputs if graph.is_out_channel_pruning_fn(dependency.handler) else inputs
                owners[module] = name
    layers = []
    for layer in summarise(network, canvas).layers:
        module = network.get_submodule(layer.name)
        convolution = module.conv if isinstance(module, ConvBlock) else module
        assert isinstance(convolution, nn.Conv2d)
        layers.append(
            Layer(
                name=layer.name,
                area=layer.output[1] * layer.output[2],
                taps=convolution.kernel_size[0] * convolution.kernel_size[1],
                inputs=inputs.get(convolution),
                outputs=outputs.get(convolution),
                in_channels=convolution.in_channels,
                out_channels=convolution.out_channels,
                depthwise=convolution.groups > 1,
            )
        )
    return Structure(widths, tuple(layers))


def cut(network: Detector, widths: Mapping[str, int], scores: Mapping[str, torch.Tensor]) -> None:
    """Take the least important channels out of each group, in place, until it is so wide.

    Args:
        network: the network.
        widths: channels that stay, for each group at most as many as there are.
        scores: importance of each group's channels, ``(n,)``.
    """
    with traced(network) as (graph, groups):
        for name, group in groups.items():
            surplus = len(scores[name]) - widths[name]
            if surplus > 0:
                weakest = torch.argsort(scores[name], stable=True)[:surplus].tolist()
                root = group[0].dep
                graph.get_pruning_group(root.target.module, root.handler, weakest).prune()


@contextlib.contextmanager
def traced(network: Detector) -> Iterator[tuple[Any, dict[str, Any]]]:
    """torch-pruning's graph of the network and its groups by the name of their first layer."""
    # Imported late: it takes a second that only pruning should pay.
    import torch_pruning

    modes = [(module, module.training) for module in network.modules()]
    frozen = [weights for weights in network.parameters() if not weights.requires_grad]
    # The graph is read off the gradient functions of a forward pass.
    network.eval().requires_grad_(True)
    try:
        device = next(network.parameters()).device
        graph = torch_pruning.DependencyGraph().build_dependency(
            network, torch.zeros(1, 3, TRACED_SIDE, TRACED_SIDE, device=device)
        )
        names = {module: name for name, module in network.named_modules()}
        heads = [layer for head in network.heads for layer in (head.score, head.box)]
        found = graph.get_all_groups(ignored_layers=heads, root_module_types=[nn.Conv2d])
        yield graph, {names[group[0].dep.target.module]: group for group in found}
    finally:
        for module, training in modes:
            module.training = training
        for weights in frozen:
            weights.requires_grad_(False)
