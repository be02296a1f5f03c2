"""Heads of other models: what is put in by hand comes out, rubbish gives nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tartlet_shared import affine, decode, letterbox
from tartlet_shared.affine import Affine
from tartlet_shared.decoding import (
    CellDecoding,
    ClassDecoding,
    Decoding,
    EndToEndDecoding,
    Level,
    SsdDecoding,
    YoloDecoding,
)
from tartlet_shared.tensor import Tensor

# A picture of 640x480 on a canvas of 320x320: half the size, 40 pixels down.
LETTERBOXED = letterbox.fit(640, 480, 320, 320)
STRETCHED = letterbox.stretch(640, 480, 320, 320)
SSD = SsdDecoding(boxes=0, classes=1, scores=2, count=3)
CLASSES = 3


def floats(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name=str(n), shape=s, dtype="float32") for n, s in enumerate(shapes))


SSD_TENSORS = floats((1, 4, 4), (1, 4), (1, 4), (1,))


def ssd_outputs(*objects: tuple[list[float], float, float]) -> list[NDArray[Any]]:
    """Objects (top, left, bottom, right), class, score; the rest of the lists is leftovers."""
    boxes = np.full((1, 4, 4), 0.5, np.float32)
    classes, scores = np.zeros((1, 4), np.float32), np.full((1, 4), 0.9, np.float32)
    for place, (box, class_id, score) in enumerate(objects):
        boxes[0, place], classes[0, place], scores[0, place] = box, class_id, score
    return [boxes, classes, scores, np.array([len(objects)], np.float32)]


def test_an_ssd_counts_sides_as_parts_of_the_canvas_top_first() -> None:
    outputs = ssd_outputs(([0.25, 0.125, 0.5, 0.75], 1, 0.8), ([0.0, 0.0, 0.1, 0.1], 2, 0.2))
    found = decode.decode(outputs, SSD_TENSORS, SSD, STRETCHED, classes=CLASSES)
    assert found.xyxy.tolist() == [[80, 120, 480, 240]]  # the second is below the threshold
    assert found.class_id.tolist() == [1]
    assert found.score[0] == pytest.approx(0.8)


@pytest.mark.parametrize("background", [0, 1])
def test_an_ssds_classes_count_from_after_the_background(background: int) -> None:
    decoding = msgspec.structs.replace(SSD, background=background)
    outputs = ssd_outputs(*(([0.1, 0.1, 0.9, 0.9], c, 0.9 - c / 10) for c in range(4)))
    found = decode.decode(outputs, SSD_TENSORS, decoding, STRETCHED, classes=CLASSES)
    # Ids 0 to 3: with three labels the last is none of them, or the first is the background.
    assert found.class_id.tolist() == [0, 1, 2]
    assert found.score.tolist() == pytest.approx([0.9 - (c + background) / 10 for c in range(3)])


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([0.5, 0.1, 0.2, 0.9], id="inverted"),
        pytest.param([np.nan, 0.1, 0.2, 0.9], id="not a number"),
        pytest.param([0.1, np.inf, 0.2, 0.9], id="infinite"),
        pytest.param([1.5, 0.1, 1.9, 0.9], id="outside"),
        pytest.param([0.3, 0.3, 0.3, 0.3], id="empty"),
    ],
)
def test_boxes_that_post_processing_spoilt_are_dropped(box: list[float]) -> None:
    outputs = ssd_outputs((box, 0, 0.9), ([0.1, 0.1, 0.9, 0.9], 0, 0.7))
    found = decode.decode(outputs, SSD_TENSORS, SSD, STRETCHED, classes=CLASSES)
    assert found.score.tolist() == pytest.approx([0.7])


@pytest.mark.parametrize(("stated", "most"), [(-1.0, 0), (2.0, 2), (99.0, 4), (np.nan, 0)])
def test_the_count_is_kept_within_the_list(stated: float, most: int) -> None:
    outputs = ssd_outputs(*([([0.1, 0.1, 0.9, 0.9], 0, 0.9)] * 4))
    outputs[3] = np.array([stated], np.float32)
    assert len(decode.decode(outputs, SSD_TENSORS, SSD, STRETCHED, classes=CLASSES)) == most


def yolo(objectness: bool, transposed: bool, units: str) -> YoloDecoding:
    return YoloDecoding(
        output=0,
        transposed=transposed,
        objectness=objectness,
        units=units,  # type: ignore[arg-type]
        score_threshold=0.4,
    )


@pytest.mark.parametrize("objectness", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("units", ["pixels", "parts"])
def test_a_yolo_box_comes_out_in_picture_pixels(
    objectness: bool, transposed: bool, units: str
) -> None:
    rows = np.zeros((1, 50, 4 + objectness + CLASSES), np.float32)
    side = 320 if units == "parts" else 1
    rows[0, 7, :4] = np.array([160, 160, 80, 40]) / side  # centre, width and height
    rows[0, 7, 4 + objectness + 2] = 0.9
    if objectness:
        rows[0, 7, 4] = 0.5
        rows[0, 9] = [10 / side, 10 / side, 5 / side, 5 / side, 0.3, 1, 1, 1]  # sure of nothing
    output = rows.transpose(0, 2, 1) if transposed else rows
    decoding = yolo(objectness, transposed, units)
    found = decode.decode([output], floats(output.shape), decoding, LETTERBOXED, classes=CLASSES)
    assert found.xyxy[0].tolist() == pytest.approx([240, 200, 400, 280])
    assert found.class_id.tolist() == [2]
    assert found.score[0] == pytest.approx(0.45 if objectness else 0.9)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(0.05, 0.95))
def test_a_yolos_integers_give_what_their_real_values_give(
    seed: int, objectness: bool, limit: float
) -> None:
    random = np.random.default_rng(seed)
    step = Affine(scale=1 / 255, zero_point=-128)
    shape = (1, 30, 4 + objectness + CLASSES)
    integers = random.integers(-128, 128, shape).astype(np.int8)
    tensor = Tensor(name="o", shape=shape, dtype="int8", affine=step)
    real = affine.dequantize(integers, step)
    decoding = msgspec.structs.replace(yolo(objectness, False, "parts"), iou_threshold=1.0)
    one = decode.decode([integers], (tensor,), decoding, STRETCHED, score_threshold=limit)
    other = decode.decode([real], floats(shape), decoding, STRETCHED, score_threshold=limit)
    sure, surer = (each[each.score > limit + 1e-3] for each in (one, other))
    assert sure == surer
    assert (one.score >= limit - 1e-3).all()


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_yolos_pairs_are_all_those_above_the_threshold(seed: int, limit: float) -> None:
    random = np.random.default_rng(seed)
    rows = random.uniform(0, 1, (1, 12, 5 + CLASSES)).astype(np.float32)
    decoding = msgspec.structs.replace(
        yolo(True, False, "parts"), iou_threshold=1.0, score_threshold=limit
    )
    found = decode.decode([rows], floats(rows.shape), decoding, STRETCHED)
    products = rows[0, :, 5:] * rows[0, :, 4:5]
    assert len(found) == min(100, int((products >= np.float32(limit)).sum()))


def test_a_class_may_have_its_own_threshold() -> None:
    rows = np.zeros((1, 6, 4 + CLASSES), np.float32)
    for place in range(3):
        rows[0, place, :4] = [100 * place + 50, 160, 40, 40]
        rows[0, place, 4 + place] = 0.5
    decoding = msgspec.structs.replace(
        yolo(False, False, "pixels"), class_thresholds=(0.6, 0.4, 0.5)
    )
    found = decode.decode([rows], floats(rows.shape), decoding, STRETCHED, classes=CLASSES)
    assert sorted(found.class_id.tolist()) == [1, 2]


@pytest.mark.parametrize("units", ["pixels", "parts"])
def test_finished_objects_are_taken_as_they_are(units: str) -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    side = 320 if units == "parts" else 1
    corners = np.array([40, 80, 120, 160]) / side
    rows[0, 0] = [*corners, 0.9, 2]
    rows[0, 1] = [*corners, 0.8, 2]  # overlapping, and still there: nothing is suppressed
    rows[0, 2] = [*corners, 0.7, 3]  # no such label
    rows[0, 3] = [*corners, 0.7, np.nan]
    decoding = EndToEndDecoding(output=0, units=units)  # type: ignore[arg-type]
    found = decode.decode([rows], floats(rows.shape), decoding, LETTERBOXED, classes=CLASSES)
    assert found.xyxy.tolist() == [[80, 80, 240, 240]] * 2
    assert found.score.tolist() == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize(
    ("activation", "values", "expected"),
    [
        ("none", [0.1, 0.7, 0.2], {1: 0.7}),
        ("none", [0.5, 0.0, 0.5], {0: 0.5, 2: 0.5}),
        ("softmax", [0.0, 0.0, np.log(8.0)], {2: 0.8}),
        ("softmax", [1000.0, 0.0, -1000.0], {0: 1.0}),
        ("sigmoid", [0.0, -9.0, 9.0], {0: 0.5, 2: 0.99988}),
        ("none", [np.nan, 0.9, 0.1], {1: 0.9}),
        ("softmax", [np.nan, 0.9, 0.1], {}),
    ],
)
@pytest.mark.parametrize("background", [0, 1])
def test_a_class_is_a_box_around_the_whole_picture(
    activation: Any, values: list[float], expected: dict[int, float], background: int
) -> None:
    if background and activation == "softmax":
        values = [-np.inf, *values]  # takes no part in the sum
    elif background:
        values = [1.0, *values]
    output = np.array([values], np.float32)
    decoding = ClassDecoding(output=0, activation=activation, background=background)
    found = decode.decode([output], floats(output.shape), decoding, LETTERBOXED, classes=CLASSES)
    assert dict(zip(found.class_id.tolist(), found.score.tolist(), strict=True)) == pytest.approx(
        expected, abs=1e-4
    )
    assert all(box.tolist() == [0, 0, 640, 480] for box in found.xyxy)


HEADS: list[tuple[Decoding, tuple[Tensor, ...]]] = [
    (SSD, SSD_TENSORS),
    (yolo(True, False, "pixels"), floats((1, 9, 8))),
    (yolo(False, True, "parts"), floats((1, 7, 9))),
    (EndToEndDecoding(output=0, units="pixels"), floats((1, 9, 6))),
    (ClassDecoding(output=0, activation="softmax"), floats((1, 3))),
    (
        CellDecoding(levels=(Level(stride=80, scores=0, boxes=1),)),
        floats((1, 4, 4, 3), (1, 4, 4, 4)),
    ),
]


@given(st.sampled_from(HEADS), st.binary(min_size=400, max_size=400), st.floats(0, 1))
def test_any_bits_give_sane_detections(
    head: tuple[Decoding, tuple[Tensor, ...]], bits: bytes, limit: float
) -> None:
    """Detections check themselves: finite, not inverted, scores in 0..1."""
    decoding, tensors = head
    outputs = [
        np.resize(np.frombuffer(bits, np.float32), each.shape).astype(np.float32)
        for each in tensors
    ]
    with np.errstate(all="ignore"):
        found = decode.decode(
            outputs, tensors, decoding, LETTERBOXED, classes=CLASSES, score_threshold=limit
        )
    assert len(found) <= decoding.max_detections
    assert (found.class_id < CLASSES).all()
    if len(found):
        assert found.xyxy[:, [0, 2]].max() <= 640
        assert found.xyxy[:, [1, 3]].max() <= 480


@pytest.mark.parametrize(
    ("decoding", "shapes", "complaint"),
    [
        (SSD, [(1, 4, 4), (1, 4), (1, 4)], "not there"),
        (SSD, [(1, 4, 4), (1, 4), (1, 5), (1,)], "expected"),
        (yolo(True, False, "pixels"), [(1, 50, 7)], "8 columns"),
        (yolo(False, True, "pixels"), [(1, 50, 7)], "7 columns"),
        (EndToEndDecoding(output=0, units="pixels"), [(1, 300, 7)], r"\(1, n, 6\)"),
        (ClassDecoding(output=0, activation="none"), [(1, 4)], "expected"),
        (ClassDecoding(output=1, activation="none"), [(1, 3)], "not there"),
    ],
)
def test_a_head_that_does_not_fit_the_tensors_is_refused(
    decoding: Decoding, shapes: list[tuple[int, ...]], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        decoding.check(floats(*shapes), (320, 320), CLASSES)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_survives_the_manifests_json(head: tuple[Decoding, tuple[Tensor, ...]]) -> None:
    decoding, tensors = head
    decoding.check(tensors, (320, 320), CLASSES)
    written = msgspec.json.encode(decoding)
    assert msgspec.json.decode(written, type=Decoding) == decoding
    assert msgspec.json.decode(written)["kind"]
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(written[:-1] + b',"surprise":1}', type=Decoding)
