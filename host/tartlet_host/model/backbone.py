"""Backbones: a stem and stages of blocks, returning the feature maps a detector needs.

EfficientNet-Lite0 (M. Tan, Q. Le, "EfficientNet", ICML 2019, and the Lite variants published with
it: no squeeze-and-excitation, ReLU6, stem never scaled) has pretrained weights. The other three are
small, each of one kind of block, and start from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from tartlet_host.model.blocks import BlockKind, make_block
from tartlet_host.model.layers import ConvBlock

CHANNEL_STEP = 8  # widths are rounded to what int8 kernels work on at once


class StageSpec(NamedTuple):
    """`repeats` blocks of which the first has the stride."""

    kernel_size: int
    stride: int
    expansion: int
    channels: int
    repeats: int


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone of width 1.

    Attributes:
        kind: of all blocks.
        stem: channels of the first convolution, which has stride 2.
        stages: fine to coarse.
        scaled_stem: whether the width changes the stem too.
    """

    kind: BlockKind
    stem: int
    stages: tuple[StageSpec, ...]
    scaled_stem: bool = True


BACKBONES: dict[str, BackboneSpec] = {
    # The published 320-channel stage is left out: it serves the classifier.
    "efficientnet-lite0": BackboneSpec(
        "inverted",
        32,
        (
            StageSpec(3, 1, 1, 16, 1),
            StageSpec(3, 2, 6, 24, 2),
            StageSpec(5, 2, 6, 40, 2),
            StageSpec(3, 2, 6, 80, 3),
            StageSpec(5, 1, 6, 112, 3),
            StageSpec(5, 2, 6, 192, 4),
        ),
        scaled_stem=False,
    ),
    # As MobileNetV1 (A. Howard et al., 2017), shorter.
    "separable": BackboneSpec(
        "separable",
        16,
        (
            StageSpec(3, 2, 1, 32, 2),
            StageSpec(3, 2, 1, 64, 3),
            StageSpec(3, 2, 1, 128, 5),
            StageSpec(3, 2, 1, 256, 2),
        ),
    ),
    # As ResNet-18 (K. He et al., 2016), a quarter as wide.
    "residual": BackboneSpec(
        "residual",
        16,
        (
            StageSpec(3, 2, 1, 16, 1),
            StageSpec(3, 2, 1, 32, 2),
            StageSpec(3, 2, 1, 64, 2),
            StageSpec(3, 2, 1, 128, 2),
        ),
    ),
    # As VGG (K. Simonyan, A. Zisserman, 2015), with strides in place of pooling.
    "plain": BackboneSpec(
        "plain",
        16,
        (
            StageSpec(3, 2, 1, 24, 1),
            StageSpec(3, 2, 1, 48, 2),
            StageSpec(3, 2, 1, 96, 2),
            StageSpec(3, 2, 1, 160, 2),
        ),
    ),
}


class Backbone(nn.Module):
    """Feature maps at the asked strides, fine to coarse; stages past the last are not built."""

    def __init__(self, spec: BackboneSpec, strides: tuple[int, ...], width: float = 1.0) -> None:
        super().__init__()
        channels = scaled(spec.stem, width) if spec.scaled_stem else spec.stem
        self.stem = ConvBlock(3, channels, kernel_size=3, stride=2)
        self.taps = tuple(_last_stage_at(spec, stride) for stride in strides)
        stages: list[nn.Module] = []
        for stage in spec.stages[: self.taps[-1] + 1]:
            blocks = []
            for index in range(stage.repeats):
                block = make_block(
                    spec.kind,
                    channels,
                    scaled(stage.channels, width),
                    kernel_size=stage.kernel_size,
                    stride=stage.stride if index == 0 else 1,
                    expansion=stage.expansion,
                )
                blocks.append(block)
                channels = scaled(stage.channels, width)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(scaled(spec.stages[tap].channels, width) for tap in self.taps)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) normalised to about -1..1 -> one (B, C, H/s, W/s) for each stride s."""
        x = self.stem(x)
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.taps:
                features.append(x)
        return features

    def drop_levels(self, count: int) -> None:
        """Keep the first `count` feature maps and the stages they need."""
        self.taps = self.taps[:count]
        self.channels = self.channels[:count]
        self.stages = self.stages[: self.taps[-1] + 1]

    def first_stages(self, count: int) -> list[nn.Module]:
        """The stem and the first `count` - 1 stages (none for 0): what training may freeze."""
        return [self.stem, *self.stages][:count]


def build_backbone(name: str, strides: tuple[int, ...], width: float = 1.0) -> Backbone:
    """A backbone by its name in recipes."""
    return Backbone(BACKBONES[name], strides, width)


def scaled(channels: int, width: float) -> int:
    """Channels times width, rounded to a multiple of `CHANNEL_STEP` and never far below.

    Source: the rule of MobileNetV2's and EfficientNet's published code: at most a tenth is lost.
    """
    exact = channels * width
    rounded = max(CHANNEL_STEP, int(exact + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return rounded if rounded >= 0.9 * exact else rounded + CHANNEL_STEP


def _last_stage_at(spec: BackboneSpec, stride: int) -> int:
    """The last stage at a stride: the map that a feature pyramid takes."""
    reached, last = 2, -1
    for index, stage in enumerate(spec.stages):
        reached *= stage.stride
        if reached == stride:
            last = index
    return last
