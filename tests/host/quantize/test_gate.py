"""int8 files that see too little do not get through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tartlet_host.quantize import gate
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.recipe import QuantizeRecipe
from tartlet_shared.errors import ParityFailed

FLOAT = ModelFile(Path("m-float.onnx"), "onnx", "float", 100, 1.0)
INT8 = ModelFile(Path("m-int8.onnx"), "onnx", "int8", 30, 1.0)
OTHER = ModelFile(Path("m-int8.tflite"), "litert", "int8", 30, 1.0)


class Mixer:
    """Keeps one layer more float each time; scores rise with their number."""

    def __init__(self, *scores: float) -> None:
        self.scores = scores
        self.calls = 0

    def more(self, current: ModelFile) -> ModelFile:
        self.calls += 1
        kept = (*current.float_layers, f"layer {len(current.float_layers)}")
        path = Path("m-int8-mixed" + current.path.suffix)
        return replace(current, path=path, precision="int8-mixed", float_layers=kept)

    def measure(self, path: Path) -> float:
        return self.scores[self.calls]


def test_what_loses_little_stays_as_it_is() -> None:
    mixer = Mixer(0.89)
    found = gate.hold(
        [FLOAT, INT8],
        QuantizeRecipe(),
        reference=0.90,
        measure=mixer.measure,
        keep_more_float=mixer.more,
    )
    assert found.best == (INT8,)
    assert found.files == (FLOAT, INT8)
    assert found.map50 == {INT8.path: 0.89}
    assert mixer.calls == 0


def test_layers_stay_float_until_it_holds() -> None:
    mixer = Mixer(0.5, 0.7, 0.895, 1.0)
    found = gate.hold(
        [FLOAT, INT8],
        QuantizeRecipe(),
        reference=0.90,
        measure=mixer.measure,
        keep_more_float=mixer.more,
    )
    assert mixer.calls == 2
    assert [each.float_layers for each in found.best] == [("layer 0", "layer 1")]
    assert [each.precision for each in found.files] == ["float", "int8", "int8-mixed"]
    assert found.map50[INT8.path] == 0.5


@pytest.mark.parametrize(("most", "calls"), [(0, 0), (3, 3)])
def test_when_the_layers_are_spent_it_is_refused(most: int, calls: int) -> None:
    mixer = Mixer(0.5, 0.5, 0.6, 0.7, 0.9)
    with pytest.raises(ParityFailed) as caught:
        gate.hold(
            [FLOAT, INT8],
            QuantizeRecipe(float_layers=most),
            reference=0.90,
            measure=mixer.measure,
            keep_more_float=mixer.more,
        )
    assert mixer.calls == calls
    assert "loses 0." in caught.value.what
    assert ("layer 2" in caught.value.what) == (most == 3)
    assert "float_layers" in caught.value.hint


def test_a_network_without_further_layers_ends_the_search() -> None:
    with pytest.raises(ParityFailed):
        gate.hold(
            [FLOAT, INT8],
            QuantizeRecipe(float_layers=9),
            reference=0.9,
            measure=lambda path: 0.1,
            keep_more_float=lambda current: current,
        )


def test_one_runtime_that_holds_is_enough() -> None:
    scores = {INT8.path: 0.2, OTHER.path: 0.9}
    found = gate.hold(
        [OTHER, FLOAT, INT8],
        QuantizeRecipe(float_layers=0),
        reference=0.9,
        measure=lambda path: scores[path],
        keep_more_float=lambda current: current,
    )
    assert found.best == (OTHER,)
    assert found.map50 == scores


def test_a_limit_met_exactly_is_met() -> None:
    found = gate.hold(
        [FLOAT, INT8],
        QuantizeRecipe(largest_loss=0.1),
        reference=0.9,
        measure=lambda path: 0.8,
        keep_more_float=lambda current: current,
    )
    assert found.best == (INT8,)
