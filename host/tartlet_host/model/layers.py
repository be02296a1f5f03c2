"""Convolution blocks every part of the detector is made of."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

# The Lite backbones were trained with this epsilon; every normalization uses it so that a pruned
# or folded network sees one value only.
NORMALIZATION_EPSILON = 1e-3
# 0.01, the backbone's own value, leaves stale statistics behind when pruning shifts activations.
NORMALIZATION_MOMENTUM = 0.1


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, for inputs whose size the stride divides.

    With stride 1 this is symmetric padding. With stride 2 the odd pixel of padding goes to the
    right and bottom, as the pretrained weights expect; a converter to TFLite turns it into a
    padding attribute where symmetric padding would cost an operator.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        total = kernel_size - stride
        symmetric = total % 2 == 0
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=total // 2 if symmetric else 0,
            groups=groups,
            bias=bias,
        )
        before = total // 2
        after = total - before
        self.border = None if symmetric else (before, after, before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolve(x, self.weight, self.bias)

    def convolve(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """This convolution with another weight and bias, of the same shapes."""
        if self.border is not None:
            x = functional.pad(x, self.border)
        convolved: torch.Tensor = self._conv_forward(x, weight, bias)
        return convolved


class ConvBlock(nn.Module):
    """Convolution, batch normalization and (unless told otherwise) ReLU6.

    With `folded` set, and the norm in evaluation mode, the norm is multiplied into the weights on
    every call: the same function and gradients, one pass over the activations in place of two.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, out_channels, kernel_size, stride, groups)
        self.norm = nn.BatchNorm2d(
            out_channels, eps=NORMALIZATION_EPSILON, momentum=NORMALIZATION_MOMENTUM
        )
        self.activation = nn.ReLU6(inplace=True) if activation else nn.Identity()
        self.folded = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        if self.folded and not self.norm.training:
            x = self.conv.convolve(x, *self._folded_parameters())
        else:
            x = self.norm(self.conv(x))
        y: torch.Tensor = self.activation(x)
        return y

    def _folded_parameters(self) -> tuple[torch.Tensor, torch.Tensor]:
        norm = self.norm
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        return self.conv.weight * scale[:, None, None, None], norm.bias - mean * scale


def set_folded(network: nn.Module, folded: bool) -> None:
    """Switch folding on for training and teaching, off for whoever reads the network's graph."""
    for module in network.modules():
        if isinstance(module, ConvBlock):
            module.folded = folded


def separable_block(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
) -> nn.Sequential:
    """Depthwise then pointwise convolution, each normalized and activated."""
    return nn.Sequential(
        OrderedDict(
            depthwise=ConvBlock(in_channels, in_channels, kernel_size, stride, groups=in_channels),
            pointwise=ConvBlock(in_channels, out_channels),
        )
    )
