"""Which parts learn when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.freezing import set_mode

MakeRecipe = Callable[..., Recipe]


def learning(network: nn.Module) -> set[bool]:
    return {parameter.requires_grad for parameter in network.parameters()}


def norms(network: nn.Module) -> set[bool]:
    return {each.training for each in network.modules() if isinstance(each, nn.BatchNorm2d)}


@pytest.mark.parametrize(
    ("train", "step", "backbone", "backbone_norms", "neck_norms"),
    [
        ({}, 0, True, False, True),
        ({}, 4, True, False, False),
        ({"freeze_backbone": 0.5}, 4, False, False, False),
        ({"freeze_backbone": 0.5}, 5, True, False, False),
        ({"freeze_backbone_normalization_after": 0.3}, 2, True, True, True),
        ({"freeze_backbone_normalization_after": 0.3}, 3, True, False, True),
        (
            {"freeze_backbone": 0.2, "freeze_backbone_normalization_after": 1.0},
            1,
            False,
            False,
            True,
        ),
        ({"freeze_backbone": 0.2, "freeze_backbone_normalization_after": 1.0}, 2, True, True, True),
    ],
)
def test_parts_learn_in_their_time(
    small: MakeRecipe,
    train: dict[str, Any],
    step: int,
    backbone: bool,
    backbone_norms: bool,
    neck_norms: bool,
) -> None:
    recipe = small(steps=10, **train)
    detector = build_detector(recipe)
    set_mode(detector, recipe.train, step)
    assert learning(detector.backbone) == {backbone}
    assert learning(detector.neck) == learning(detector.heads) == {True}
    assert norms(detector.backbone) == {backbone_norms}
    assert norms(detector.neck) == {neck_norms}


def test_frozen_stages_stay_frozen_when_the_backbone_is_let_go(small: MakeRecipe) -> None:
    recipe = small(steps=10, frozen_stages=1, freeze_backbone=0.5)
    detector: Detector = build_detector(recipe)
    for step, others in ((0, {False}), (9, {True})):
        set_mode(detector, recipe.train, step)
        assert learning(detector.backbone.stem) == {False}
        assert learning(detector.backbone.stages) == others
