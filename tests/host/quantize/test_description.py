"""What a model file says about itself."""

from __future__ import annotations

import pytest

from tartlet_host.quantize import description
from tartlet_host.recipe import default_recipe
from tartlet_shared.errors import ModelError
from tartlet_shared.manifest import Level, Preprocessing, Tensor

CANVAS = Preprocessing(width=96, height=64)


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [
        Tensor(name=f"output_{place}", shape=shape, dtype="float32")
        for place, shape in enumerate(shapes)
    ]


def test_the_canvas_is_the_recipes() -> None:
    recipe = default_recipe(("person",))
    canvas = description.preprocessing(recipe)
    assert (canvas.height, canvas.width) == (recipe.input.height, recipe.input.width)
    assert (canvas.mean, canvas.std) == (127.0, 128.0)


def test_strides_follow_from_the_shapes() -> None:
    outputs = tensors((1, 8, 12, 2), (1, 8, 12, 4), (1, 4, 6, 2), (1, 4, 6, 4))
    decoding = description.decoding_of(CANVAS, outputs, ("a", "b"), where="m", score_threshold=0.4)
    assert decoding.levels == (
        Level(stride=8, scores=0, boxes=1),
        Level(stride=16, scores=2, boxes=3),
    )
    assert decoding.score_threshold == 0.4


@pytest.mark.parametrize(
    ("shapes", "labels", "complaint"),
    [
        ([], ("a",), "0 outputs"),
        ([(1, 8, 12, 1)], ("a",), "1 outputs"),
        ([(1, 8, 12, 1), (1, 8, 12, 5)], ("a",), "have shapes"),
        ([(1, 8, 12, 1), (1, 8, 11, 4)], ("a",), "have shapes"),
        ([(8, 12), (8, 12)], ("a",), "have shapes"),
        ([(1, 8, 12, 80), (1, 8, 12, 4)], ("a", "b"), "80 classes apart, there are 2 labels"),
        ([(1, 8, 11, 1), (1, 8, 11, 4)], ("a",), "8x11 cells"),
    ],
)
def test_other_models_are_refused(
    shapes: list[tuple[int, ...]], labels: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        description.decoding_of(CANVAS, tensors(*shapes), labels, where="model.tflite")


@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (64, 96, 3), (2, 64, 96, 3), (1, 64, 96, 1)])
def test_other_inputs_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="expected \\(1, height, width, 3\\)"):
        description.preprocessing_of(tensors(shape)[0], where="model.tflite")
