"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """A copy of a network whose floating-point tensors trail those of the original.

    The decay rises from 0.1 towards `decay`, so that a short run does not average in its start.
    Batch-norm statistics are averaged like weights.

    Attributes:
        network: the average, in evaluation mode.
        updates: how many steps it has seen.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.eval().requires_grad_(False)
        self._decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move towards `network` by one step."""
        self.updates += 1
        decay = min(self._decay, self.updates / (9 + self.updates))
        ours, theirs = [], []
        for mine, other in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mine.dtype.is_floating_point:
                ours.append(mine)
                theirs.append(other)
            else:
                mine.copy_(other)
        torch._foreach_lerp_(ours, theirs, 1 - decay)
