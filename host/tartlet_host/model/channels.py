"""Channel counts of a network, and giving a fresh network those of a pruned one."""

from __future__ import annotations

import torch
from torch import nn

# Name of a convolution -> (input channels, output channels).
ChannelCounts = dict[str, tuple[int, int]]


def channel_counts(network: nn.Module) -> ChannelCounts:
    """Channels of every convolution in `network`."""
    return {
        name: (module.in_channels, module.out_channels)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    }


def resize_channels(network: nn.Module, counts: ChannelCounts) -> None:
    """Give convolutions and the norms beside them the channels in `counts`, weights undefined.

    Raises:
        ValueError: `counts` does not name exactly the network's convolutions.
    """
    convolutions = {
        name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)
    }
    if convolutions.keys() != counts.keys():
        odd = sorted(convolutions.keys() ^ counts.keys())
        raise ValueError(f"channel counts do not fit the network: {odd[0]}")
    for name, convolution in convolutions.items():
        _resize_convolution(convolution, *counts[name])
        parent = network.get_submodule(name.rpartition(".")[0])
        norm = getattr(parent, "norm", None)
        if isinstance(norm, nn.BatchNorm2d):
            _resize_norm(norm, convolution.out_channels)


def _resize_convolution(convolution: nn.Conv2d, inputs: int, outputs: int) -> None:
    if min(inputs, outputs) < 1:
        raise ValueError("a convolution needs at least one channel")
    if convolution.groups > 1:  # depthwise
        if inputs != outputs:
            raise ValueError("a depthwise convolution has as many outputs as inputs")
        convolution.groups = inputs
    if (inputs, outputs) == (convolution.in_channels, convolution.out_channels):
        return
    convolution.in_channels, convolution.out_channels = inputs, outputs
    shape = (outputs, inputs // convolution.groups, *convolution.kernel_size)
    convolution.weight = nn.Parameter(torch.empty(shape))
    if convolution.bias is not None:
        convolution.bias = nn.Parameter(torch.empty(outputs))


def _resize_norm(norm: nn.BatchNorm2d, channels: int) -> None:
    if norm.num_features == channels:
        return
    norm.num_features = channels
    norm.weight = nn.Parameter(torch.empty(channels))
    norm.bias = nn.Parameter(torch.empty(channels))
    norm.running_mean = torch.empty(channels)
    norm.running_var = torch.empty(channels)
