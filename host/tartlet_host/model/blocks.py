"""The blocks that backbones are stages of; each takes a map and may halve its sides."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from tartlet_host.model.layers import ConvBlock, separable_block

BlockKind = Literal["inverted", "separable", "residual", "plain"]


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise), project (1x1); added to its input where shapes agree.

    Source: M. Sandler et al., "MobileNetV2" (CVPR 2018).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = ConvBlock(in_channels, hidden) if expansion != 1 else nn.Identity()
        self.depthwise = ConvBlock(hidden, hidden, kernel_size, stride, groups=hidden)
        self.project = ConvBlock(hidden, out_channels, activation=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        y: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class ResidualBlock(nn.Module):
    """Two convolutions added to a shortcut, then activated.

    Source: K. He et al., "Deep Residual Learning" (CVPR 2016). Where the shape changes the shortcut
    is a mean over 2x2 and a 1x1 convolution (T. He et al., "Bag of Tricks", CVPR 2019, ResNet-D).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels, out_channels, kernel_size, stride)
        self.second = ConvBlock(out_channels, out_channels, kernel_size, activation=False)
        shortcut: list[nn.Module] = [nn.AvgPool2d(stride)] if stride > 1 else []
        if in_channels != out_channels:
            shortcut.append(ConvBlock(in_channels, out_channels, activation=False))
        self.shortcut = nn.Sequential(*shortcut)
        self.activation = nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        y: torch.Tensor = self.activation(self.second(self.first(x)) + self.shortcut(x))
        return y


def make_block(
    kind: BlockKind,
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    expansion: int = 1,
) -> nn.Module:
    """A block of a kind; `expansion` is read by inverted residuals alone."""
    if kind == "inverted":
        return InvertedResidual(in_channels, out_channels, kernel_size, stride, expansion)
    if kind == "residual":
        return ResidualBlock(in_channels, out_channels, kernel_size, stride)
    if kind == "separable":
        return separable_block(in_channels, out_channels, kernel_size, stride)
    return ConvBlock(in_channels, out_channels, kernel_size, stride)
