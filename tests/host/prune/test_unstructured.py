"""Single weights at zero: which ones, how many, and that the rest stays."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import torch
from torch import nn

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.prune import unstructured
from tartlet_host.prune.study import study
from tartlet_host.prune.timing import Timing
from tartlet_host.recipe import InputRecipe, ModelRecipe, Recipe, default_recipe


def small() -> tuple[Detector, Recipe]:
    model = ModelRecipe(
        backbone="plain", width=0.25, neck_channels=8, strides=(8,), pretrained=False
    )
    recipe = msgspec.structs.replace(
        default_recipe(("square",)), input=InputRecipe(64, 96), model=model
    )
    return build_detector(recipe).eval(), recipe


def weights(detector: Detector) -> torch.Tensor:
    """Of all convolutions but the heads' outputs, in one row."""
    return torch.cat(
        [
            module.weight.detach().flatten()
            for name, module in detector.named_modules()
            if isinstance(module, nn.Conv2d) and not name.endswith((".score", ".box"))
        ]
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_the_smallest_share_goes(share: float) -> None:
    detector, _ = small()
    before = weights(detector)
    unstructured.zero_smallest(detector, share)
    after = weights(detector)
    assert int((after == 0).sum()) == pytest.approx(share * len(before), abs=1)
    gone, kept = before[after == 0].abs(), after[after != 0].abs()
    if len(gone) and len(kept):
        assert float(gone.max()) <= float(kept.min())
    assert torch.equal(after[after != 0], before[after != 0])


def test_a_threshold_keeps_what_is_as_large() -> None:
    detector, _ = small()
    before = weights(detector)
    threshold = float(before.abs().median())
    unstructured.zero_below(detector, threshold)
    after = weights(detector)
    assert torch.equal(after == 0, before.abs() < threshold)


def test_the_table_counts_every_layer() -> None:
    detector, _ = small()
    unstructured.zero_smallest(detector, 0.5)
    table = unstructured.sparsity_by_layer(detector)
    for row in table:
        layer = detector.get_submodule(row.name)
        assert isinstance(layer, nn.Conv2d)
        assert row.weights == layer.weight.numel()
        assert row.zeros == int((layer.weight == 0).sum())
        assert row.sparsity == row.zeros / row.weights
    assert {row.name for row in table if row.name.endswith((".score", ".box"))}


def test_zeros_pack_smaller_and_store_no_smaller() -> None:
    detector, _ = small()
    stored, packed = unstructured.sizes(detector)
    unstructured.zero_smallest(detector, 0.9)
    sparse_stored, sparse_packed = unstructured.sizes(detector)
    assert sparse_stored == stored
    assert sparse_packed < 0.5 * packed


def test_a_study_measures_both_networks(make_squares: Callable[..., Dataset]) -> None:
    detector, recipe = small()
    timed: list[Detector] = []

    def timer(network: Detector, its_recipe: Recipe) -> Timing:
        timed.append(network)
        return Timing("litert", 2.0, 2.0)

    found = study(detector, recipe, make_squares(2), share=0.5, timer=timer)
    assert timed == [found.detector]
    assert found.sparsity == pytest.approx(0.5, abs=0.05)
    assert int((weights(detector) == 0).sum()) == 0  # the parent stays
    assert found.compressed_after < found.compressed_before
    data = found.as_data()
    assert data["timing"]["after"] == 2.0
    assert len(data["layers"]) == len(found.layers)
    with pytest.raises(ValueError, match="share or a threshold"):
        study(detector, recipe, make_squares(1), timer=timer)
