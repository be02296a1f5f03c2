"""Recipes as TOML: what is written is read back as the same."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.recipe import (
    AugmentRecipe,
    FinetuneRecipe,
    InputRecipe,
    LossRecipe,
    PruneRecipe,
    Recipe,
    TrainRecipe,
    TuneRecipe,
    default_recipe,
    parse_recipe,
)
from tartlet_host.recipe.dump import to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(
    st.lists(TEXT, min_size=1, max_size=4, unique=True),
    st.floats(1e-6, 1.0),
    st.booleans(),
    st.lists(st.sampled_from([64, 96, 320]), max_size=3),
    st.sampled_from([0.0, 0.25, 0.5]),
    st.sampled_from([0.0, 0.25, 0.5]),
)
def test_round_trip(
    labels: list[str],
    rate: float,
    pretrained: bool,
    sides: list[int],
    flip: float,
    finetune_flip: float,
) -> None:
    recipe = default_recipe(tuple(labels))
    recipe = msgspec.structs.replace(
        recipe,
        train=TrainRecipe(
            learning_rate=rate,
            loss=LossRecipe(class_weights={labels[0]: rate, labels[-1]: 2.0}),
            augment=AugmentRecipe(flip=flip),
        ),
        model=msgspec.structs.replace(recipe.model, pretrained=pretrained),
        tune=TuneRecipe(input=tuple(InputRecipe(side, side) for side in sides), width=(1.0, 0.5)),
        prune=PruneRecipe(
            input=InputRecipe(64, 96),
            strides=(8, 16),
            finetune=FinetuneRecipe(augment=AugmentRecipe(flip=finetune_flip)),
        ),
    )
    assert parse_recipe(to_toml(recipe, "two\nlines"), where="test") == recipe


def test_defaults_are_left_out() -> None:
    assert to_toml(Recipe("birds", ("tit",))) == 'name = "birds"\nlabels = ["tit"]\n'
    changed = Recipe("birds", ("tit",), input=InputRecipe(256, 384))
    assert to_toml(changed, "why") == (
        '# why\nname = "birds"\nlabels = ["tit"]\n\n[input]\nwidth = 384\n'
    )
