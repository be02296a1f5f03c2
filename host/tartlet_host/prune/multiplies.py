"""Multiply-accumulates of a network, layer by layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tartlet_host.recipe import InputRecipe


def multiplies_by_layer(network: nn.Module, canvas: InputRecipe) -> dict[str, int]:
    """Multiply-accumulates of each convolution for one picture of the canvas's size, by name."""
    return {
        name: area * module.weight[0].numel() * module.out_channels
        for name, (module, area) in convolutions(network, canvas).items()
    }


def count_multiplies(network: nn.Module, canvas: InputRecipe) -> int:
    """Multiply-accumulates of the convolutions for one picture of the canvas's size."""
    return sum(multiplies_by_layer(network, canvas).values())


def convolutions(network: nn.Module, canvas: InputRecipe) -> dict[str, tuple[nn.Conv2d, int]]:
    """Each convolution that runs, with the pixels of its output, in the order of running."""
    areas: dict[str, tuple[nn.Conv2d, int]] = {}
    hooks = []
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue

        def note(
            module: nn.Module, _: Any, output: torch.Tensor, name: str = name
        ) -> None:  # a default binds this turn's name
            assert isinstance(module, nn.Conv2d)
            areas[name] = (module, output.shape[2] * output.shape[3])

        hooks.append(module.register_forward_hook(note))
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, canvas.height, canvas.width, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return areas
