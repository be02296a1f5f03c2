"""Anchor-free head: for every cell of a feature map, class scores and a box around it."""

from __future__ import annotations

import math

import torch
from torch import nn

from tartlet_host.model.layers import separable_block

# A rare class starts at this probability, so that thousands of background cells do not drown the
# first steps (T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, section 3.3).
PRIOR_PROBABILITY = 0.01
# Boxes start this many cells wide and high in each direction.
PRIOR_DISTANCE = 2.0


class LevelHead(nn.Module):
    """Scores and boxes of one feature map, from separate towers.

    The two never share a tensor: in int8 one scale for logits and distances would destroy the
    smaller of them.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.shared = separable_block(channels, channels)
        self.score_tower = separable_block(channels, channels)
        self.box_tower = separable_block(channels, channels)
        self.score = nn.Conv2d(channels, classes, 1)
        self.box = nn.Conv2d(channels, 4, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.box.weight, std=0.01)
        assert self.score.bias is not None
        assert self.box.bias is not None
        nn.init.constant_(self.score.bias, -math.log(1 / PRIOR_PROBABILITY - 1))
        nn.init.constant_(self.box.bias, PRIOR_DISTANCE)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, channels, h, w) -> score logits (B, classes, h, w), distances (B, 4, h, w)."""
        x = self.shared(x)
        return self.score(self.score_tower(x)), self.box(self.box_tower(x))
