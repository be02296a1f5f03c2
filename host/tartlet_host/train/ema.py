"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """A copy of a network whose floating-point tensors trail those of the original.

    The decay rises from 0.1 towards `decay`, so that a short run does not average in its start.
    Batch-norm statistics are averaged like weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards `network` by one step."""
        self._updates += 1
        decay = min(self._decay, self._updates / (9 + self._updates))
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
