"""Timing by real conversions of small networks."""

from __future__ import annotations

import copy

import msgspec
import pytest

from tartlet_host.model.detector import build_detector
from tartlet_host.model.summary import summarise
from tartlet_host.prune.layer_times import layer_times
from tartlet_host.prune.pruner import prune
from tartlet_host.prune.timing import timer_against
from tartlet_host.quantize import conversion
from tartlet_host.recipe import InputRecipe, ModelRecipe, PruneRecipe, Recipe, default_recipe


def recipe() -> Recipe:
    return msgspec.structs.replace(
        default_recipe(("square",)),
        input=InputRecipe(64, 96),
        model=ModelRecipe(
            backbone="separable", width=0.5, neck_channels=16, strides=(8, 16), pretrained=False
        ),
        prune=PruneRecipe(keep_multiplies=0.4, round_to=4),
    )


@pytest.mark.training
def test_every_layer_has_a_time() -> None:
    plan = recipe()
    detector = build_detector(plan).eval()
    times = layer_times(detector, plan, runs=3)
    assert set(times) == {layer.name for layer in summarise(detector, plan.input).layers}
    assert all(value >= 0 for value in times.values())
    assert sum(times.values()) > 0


@pytest.mark.training
def test_a_timer_converts_the_parent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "default_runtimes", lambda: ("onnx",))
    convert, converted = conversion.convert, []

    def counting(*args: object, **options: object) -> object:
        converted.append(args)
        return convert(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(conversion, "convert", counting)
    plan = recipe()
    parent = build_detector(plan).eval()
    narrow = copy.deepcopy(parent)
    prune(narrow, plan)
    with timer_against(parent, plan) as timer:
        found = timer(narrow, plan)
        again = timer(narrow, plan)
    assert len(converted) == 3
    for timing in (found, again):
        assert timing.runtime == "onnx"
        assert timing.before > 0
        assert timing.share == timing.after / timing.before
