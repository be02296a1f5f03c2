"""Path-aggregation neck: coarse context flows down to fine maps, fine detail back up.

Source: S. Liu et al., "Path Aggregation Network" (CVPR 2018), with depthwise separable
convolutions and sums in place of concatenations, which is what small devices run fast.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tartlet_host.model.layers import ConvBlock, separable_block


class PathAggregationNeck(nn.Module):
    """Feature maps of any channel counts -> as many maps of `channels` each, same sizes."""

    def __init__(self, in_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        levels = len(in_channels)
        self.lateral = nn.ModuleList(
            ConvBlock(count, channels, activation=False) for count in in_channels
        )
        self.down = nn.ModuleList(separable_block(channels, channels) for _ in range(levels - 1))
        # 2x2 tiles its input exactly; a 3x3 window would cost a padding operator here, where the
        # map has a second reader and the converter cannot fold the padding in.
        self.reduce = nn.ModuleList(
            ConvBlock(channels, channels, 2, stride=2, groups=channels, activation=False)
            for _ in range(levels - 1)
        )
        self.up = nn.ModuleList(separable_block(channels, channels) for _ in range(levels - 1))

    def drop_levels(self, count: int) -> None:
        """Keep the first `count` levels."""
        self.lateral = self.lateral[:count]
        self.down = self.down[: count - 1]
        self.reduce = self.reduce[: count - 1]
        self.up = self.up[: count - 1]

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        maps = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        for level in range(len(maps) - 2, -1, -1):
            coarse = functional.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
            maps[level] = self.down[level](maps[level] + coarse)
        for level in range(len(maps) - 1):
            finer = self.reduce[level](maps[level])
            maps[level + 1] = self.up[level](maps[level + 1] + finer)
        return maps
