"""A recipe whose network takes a step in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tartlet_host.recipe import (
    AugmentRecipe,
    InputRecipe,
    ModelRecipe,
    Recipe,
    TrainRecipe,
    default_recipe,
)


@pytest.fixture
def small() -> Callable[..., Recipe]:
    """Makes recipes of a tiny network for 96x64 pictures; keywords are keys of ``[train]``."""

    def make(**train: Any) -> Recipe:
        return msgspec.structs.replace(
            default_recipe(("square",)),
            input=InputRecipe(64, 96),
            model=ModelRecipe(
                backbone="plain", width=0.25, pretrained=False, strides=(8, 16), neck_channels=16
            ),
            train=TrainRecipe(**{"steps": 8, "batch_size": 2, **train}),
        )

    return make


@pytest.fixture
def still() -> AugmentRecipe:
    """Pictures as they are."""
    return AugmentRecipe(
        scale_min=1.0, scale_max=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0
    )
