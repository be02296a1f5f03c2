"""Heads by their shapes, at the sizes that published models have."""

from __future__ import annotations

import pytest

from tartlet_host.foreign.heads import Shape, recognise
from tartlet_host.foreign.labels import Labels
from tartlet_shared.affine import Affine
from tartlet_shared.errors import ModelError
from tartlet_shared.manifest import Tensor

PICTURE = Tensor(name="in", shape=(1, 3, 640, 640), dtype="float32")
COCO = Labels(tuple(f"class {number}" for number in range(80)), background=False)
Shapes = list[tuple[int, ...]]


def tensors(shapes: Shapes) -> tuple[Tensor, ...]:
    return tuple(Tensor(name=str(n), shape=s, dtype="float32") for n, s in enumerate(shapes))


def labels(count: int, background: bool = False) -> Labels:
    return Labels(COCO.names[:count], background)


@pytest.mark.parametrize(
    ("shapes", "count", "expected"),
    [
        pytest.param([(1, 25200, 85)], 80, Shape("yolo", (0,), objectness=True), id="YOLOv5"),
        pytest.param(
            [(1, 25200, 85), (1, 3, 80, 80, 85), (1, 3, 40, 40, 85), (1, 3, 20, 20, 85)],
            80,
            Shape("yolo", (0,), objectness=True),
            id="YOLOv5 with its raw maps",
        ),
        pytest.param([(1, 84, 8400)], 80, Shape("yolo", (0,), transposed=True), id="YOLOv8"),
        pytest.param([(1, 8400, 84)], 80, Shape("yolo", (0,)), id="YOLOv8, turned"),
        pytest.param([(1, 5, 8400)], 1, Shape("yolo", (0,), transposed=True), id="one class"),
        pytest.param([(1, 300, 6)], 80, Shape("end-to-end", (0,)), id="YOLO26"),
        pytest.param(
            [(1, 25200, 6)],
            1,
            Shape("yolo", (0,), objectness=True, or_end_to_end=True),
            id="YOLOv5 of one class, or finished objects",
        ),
        pytest.param(
            [(1, 10, 4), (1, 10), (1, 10), (1,)], 80, Shape("ssd", (0, 1, 2, 3)), id="SSD"
        ),
        pytest.param(
            [(1,), (1, 10), (1, 10, 4), (1, 10)],
            80,
            Shape("ssd", (2, 1, 3, 0)),
            id="SSD in another order",
        ),
        pytest.param([(1, 80)], 80, Shape("classes", (0,)), id="classification"),
    ],
)
def test_published_heads_are_recognised(shapes: Shapes, count: int, expected: Shape) -> None:
    assert recognise(PICTURE, tensors(shapes), labels(count), where="a.onnx") == expected


@pytest.mark.parametrize(
    ("shapes", "count", "complaint", "hint"),
    [
        pytest.param([(1, 25200, 85)], 79, "no known head", "81 classes, or 80", id="far off"),
        pytest.param([(1, 25200, 84)], 80, "79 classes", "background", id="v5, one too many"),
        pytest.param([(1, 84, 8400)], 79, "80 classes", "background", id="v8, one too few"),
        pytest.param([(1, 84, 8400)], 78, "no known head", "80 classes", id="v8, two too few"),
        pytest.param([(1, 1001)], 80, "1001 classes", "labels", id="other labels"),
        pytest.param([(1, 81)], 80, "81 classes", "--background", id="a background, perhaps"),
        pytest.param(
            [(1, 3, 80, 80, 85), (1, 3, 40, 40, 85)], 80, "no known head", "docs/import", id="raw"
        ),
        pytest.param([(1, 84, 8400), (1, 84, 8400)], 80, "2 outputs", "one output", id="two"),
        pytest.param([(1, 80, 80, 80)], 80, "no known head", "docs/import", id="maps"),
    ],
)
def test_what_fits_no_head_is_refused_with_its_tensors(
    shapes: Shapes, count: int, complaint: str, hint: str
) -> None:
    with pytest.raises(ModelError, match=complaint) as caught:
        recognise(PICTURE, tensors(shapes), labels(count), where="a.onnx")
    assert hint in caught.value.hint
    if len(shapes[0]) > 2:
        assert "x".join(str(side) for side in shapes[0]) in caught.value.what


@pytest.mark.parametrize(
    ("names", "said", "expected"),
    [
        (labels(80, background=True), False, True),
        (labels(80), True, True),
    ],
)
def test_a_background_is_taken_only_when_it_is_named(
    names: Labels, said: bool, expected: bool
) -> None:
    shape = recognise(PICTURE, tensors([(1, 81)]), names, background=said, where="a")
    assert shape.background == expected


def test_scores_that_share_a_scale_with_pixels_are_refused() -> None:
    coarse = Tensor(
        name="out", shape=(1, 84, 8400), dtype="int8", affine=Affine(scale=2.5, zero_point=-128)
    )
    with pytest.raises(ModelError, match="rounds to 0"):
        recognise(PICTURE, [coarse], COCO, where="a.tflite")
    fine = Tensor(name="out", shape=coarse.shape, dtype="int8", affine=Affine(1 / 255, -128))
    assert recognise(PICTURE, [fine], COCO, where="a.tflite").head == "yolo"
