"""The whole detector, from normalised pictures to raw head outputs."""

from __future__ import annotations

import torch
from torch import nn

from tartlet_host.model.backbone import build_backbone
from tartlet_host.model.head import LevelHead
from tartlet_host.model.neck import PathAggregationNeck
from tartlet_host.model.pretrained import load_pretrained
from tartlet_host.recipe import Recipe

HeadOutput = tuple[torch.Tensor, torch.Tensor]


class Detector(nn.Module):
    """One-stage detector with a level for each stride.

    A cell (row i, column j) of the level with stride s has its centre at ((j + 0.5) s,
    (i + 0.5) s) on the canvas. Its four box values are the distances left, top, right and bottom
    from there in units of s; a decoder takes max(value, 0) * s. Its scores are logits, one for
    each class, with no class for background.
    """

    def __init__(
        self,
        strides: tuple[int, ...],
        classes: int,
        neck_channels: int,
        *,
        backbone: str = "efficientnet-lite0",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        self.strides = strides
        self.classes = classes
        self.backbone = build_backbone(backbone, strides, width)
        self.neck = PathAggregationNeck(self.backbone.channels, neck_channels)
        self.heads = nn.ModuleList(LevelHead(neck_channels, classes) for _ in strides)

    def forward(self, x: torch.Tensor) -> list[HeadOutput]:
        """(B, 3, H, W), (RGB - 127) / 128 -> (scores (B, C, h, w), boxes (B, 4, h, w)) by level.

        Levels run fine to coarse, as `strides` does. H and W are multiples of the coarsest.
        """
        maps = self.neck(self.backbone(x))
        return [head(features) for head, features in zip(self.heads, maps, strict=True)]

    def drop_levels(self, count: int) -> None:
        """Keep only the first `count` levels, and of the backbone what they need, in place."""
        self.strides = self.strides[:count]
        self.backbone.drop_levels(count)
        self.neck.drop_levels(count)
        self.heads = self.heads[:count]


def build_detector(
    recipe: Recipe, *, pretrained: bool | None = None, strides: tuple[int, ...] | None = None
) -> Detector:
    """The detector `recipe` describes, its new layers drawn with the recipe's training seed.

    Args:
        recipe: gives backbone, strides, labels, widths and whether to start from ImageNet.
        pretrained: overrides the recipe, for a caller who fills in weights of its own.
        strides: overrides the recipe, for a network that lost levels to pruning.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        detector = Detector(
            strides or recipe.model.strides,
            len(recipe.labels),
            recipe.model.neck_channels,
            backbone=recipe.model.backbone,
            width=recipe.model.width,
        )
    if recipe.model.pretrained if pretrained is None else pretrained:
        load_pretrained(detector.backbone)
    return channels_last(detector)


def channels_last(detector: Detector) -> Detector:
    """Lay weights out channels last in memory, in place: 1.5 times as fast on a CPU.

    Every network is laid out so, because the layout decides the order of sums, and with it the
    last bits of the outputs.
    """
    return detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
