"""A detector that is made in a moment, for tests of what is done to one."""

from __future__ import annotations

import torch

from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.recipe import InputRecipe, ModelRecipe, Recipe

SMALL = Recipe(
    name="small",
    labels=("square",),
    input=InputRecipe(64, 96),
    model=ModelRecipe(
        backbone="plain", width=0.25, strides=(8, 16), neck_channels=8, pretrained=False
    ),
)


def settled(recipe: Recipe, *, seed: int = 0) -> Detector:
    """The recipe's network, untrained, with statistics that let signals through."""
    torch.manual_seed(seed)
    detector = build_detector(recipe).train()
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics of all that follows
    with torch.no_grad():
        detector(torch.rand(8, 3, recipe.input.height, recipe.input.width) * 2 - 1)
    return detector.eval()
