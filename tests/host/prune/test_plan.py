"""Plans: how wide groups stay, for goals in multiplies and in time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.prune import plan
from tartlet_host.prune.groups import Layer, Structure, Widths
from tartlet_host.recipe import PruneRecipe
from tartlet_shared.errors import ModelError

WIDTHS = st.dictionaries(st.text("abc", min_size=1), st.integers(1, 300), min_size=1, max_size=6)


def chain(*widths: int) -> Structure:
    """Convolutions in a row, each with its own group: 3 -> widths[0] -> widths[1] ..."""
    layers = []
    for place, width in enumerate(widths):
        layers.append(
            Layer(
                name=f"layer{place}",
                area=100,
                taps=9,
                inputs=f"group{place - 1}" if place else None,
                outputs=f"group{place}",
                in_channels=widths[place - 1] if place else 3,
                out_channels=width,
                depthwise=False,
            )
        )
    return Structure({f"group{place}": width for place, width in enumerate(widths)}, tuple(layers))


def settings(**changes: Any) -> PruneRecipe:
    return PruneRecipe(**changes)


@given(WIDTHS, st.floats(0, 0.9), st.integers(1, 16), st.floats(0.1, 0.9))
def test_widths_are_rounded_and_within_bounds(
    widths: Widths, ratio: float, multiple: int, most: float
) -> None:
    recipe = settings(round_to=multiple, max_ratio=most)
    for name, width in plan.widths_at(Structure(widths, ()), min(ratio, most), recipe).items():
        before = widths[name]
        assert 1 <= width <= before
        assert width % multiple == 0 or width == before
        assert width >= int(before * (1 - most) + 1e-9)


@given(WIDTHS, st.floats(0, 0.8), st.floats(0, 0.8))
def test_more_pruning_is_never_wider(widths: Widths, one: float, other: float) -> None:
    recipe = settings()
    low, high = sorted((one, other))
    wider, narrower = (
        plan.widths_at(Structure(widths, ()), low, recipe),
        plan.widths_at(Structure(widths, ()), high, recipe),
    )
    assert all(narrower[name] <= wider[name] for name in widths)


@pytest.mark.parametrize(
    ("depthwise", "inputs", "expected"),
    [(False, "a", 100 * 9 * 8 * 16), (True, "b", 100 * 9 * 16), (False, None, 100 * 9 * 3 * 16)],
)
def test_a_layers_multiplies(depthwise: bool, inputs: str | None, expected: int) -> None:
    layer = Layer("layer", 100, 9, inputs, "b", 3, 32, depthwise)
    assert layer.multiplies({"a": 8, "b": 16}) == expected


@given(st.lists(st.integers(8, 200), min_size=2, max_size=5), st.floats(0.2, 1.0))
def test_a_goal_in_multiplies_is_met(widths: list[int], keep: float) -> None:
    structure, recipe = chain(*widths), settings(round_to=1, keep_multiplies=keep)
    goal = keep * structure.multiplies(structure.widths)
    ratio = plan.ratio_for_multiplies(structure, goal, recipe)
    assert structure.multiplies(plan.widths_at(structure, ratio, recipe)) <= goal
    if ratio > 1e-5:  # a slightly smaller ratio is not enough
        wider = plan.widths_at(structure, ratio - 2e-6, recipe)
        assert structure.multiplies(wider) > goal


class Stopwatch:
    """Time that goes with the multiplies, but for a part that pruning cannot touch."""

    def __init__(self, structure: Structure, fixed: float = 0.05) -> None:
        self.structure, self.fixed, self.asked = structure, fixed, 0

    def __call__(self, widths: Widths) -> float:
        self.asked += 1
        share = self.structure.multiplies(widths) / self.structure.multiplies(self.structure.widths)
        return self.fixed + (1 - self.fixed) * share


@pytest.mark.parametrize("keep", [0.15, 0.3, 0.5, 0.9])
def test_a_goal_in_time_takes_few_probes(keep: float) -> None:
    structure = chain(64, 128, 256, 256)
    watch = Stopwatch(structure)
    recipe = settings(keep_latency=keep)
    ratio = plan.ratio_for_latency(structure, 0.0, watch, recipe)
    asked = watch.asked
    share = watch(plan.widths_at(structure, ratio, recipe))
    assert 0.6 * keep < share <= keep
    assert asked <= plan.PROBES + 1


def test_a_goal_in_time_that_is_met_already_costs_one_probe() -> None:
    structure = chain(64, 128)
    watch = Stopwatch(structure)
    assert plan.ratio_for_latency(structure, 0.4, watch, settings(keep_latency=0.9)) == 0.4
    assert watch.asked == 1


def test_time_that_cannot_be_saved_is_said() -> None:
    structure = chain(64, 128)
    with pytest.raises(ModelError, match="10% of the time") as caught:
        plan.ratio_for_latency(
            structure, 0.0, Stopwatch(structure, fixed=0.5), settings(keep_latency=0.1)
        )
    assert "prune.input" in caught.value.hint
