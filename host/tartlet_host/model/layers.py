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

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.border is not None:
            input = functional.pad(input, self.border)
        return super().forward(input)


def normalization(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(
        channels, eps=NORMALIZATION_EPSILON, momentum=NORMALIZATION_MOMENTUM
    )


def conv_block(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution, batch normalization and (unless told otherwise) ReLU6."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=SameConv2d(in_channels, out_channels, kernel_size, stride, groups),
        norm=normalization(out_channels),
    )
    if activation:
        layers["activation"] = nn.ReLU6(inplace=True)
    return nn.Sequential(layers)


def separable_block(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
) -> nn.Sequential:
    """Depthwise then pointwise convolution, each normalized and activated."""
    return nn.Sequential(
        OrderedDict(
            depthwise=conv_block(
                in_channels, in_channels, kernel_size, stride, groups=in_channels
            ),
            pointwise=conv_block(in_channels, out_channels),
        )
    )
