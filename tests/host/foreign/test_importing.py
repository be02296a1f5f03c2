"""Whole models of every kind, small and hand-made, so that the answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from tartlet_host.foreign.importing import Wishes, drawn_picture, imported
from tartlet_host.foreign.labels import Labels
from tartlet_shared import errors
from tartlet_shared.errors import ModelError, UsageError
from tests.foreign_models import (
    LABELS,
    coloured_picture,
    onnx_model,
    tflite_classes,
    tflite_ssd,
)

NAMES = Labels(LABELS, background=False)
# Twice the canvas's size, so that boxes must be scaled back.
SMALL = coloured_picture((1, 1, "red"), (4, 2, "blue"), width=96, height=64)
PICTURE = cv2.resize(SMALL, (192, 128), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
SEEN = [((32, 32, 64, 64), "red"), ((128, 64, 160, 96), "blue")]
Seen = list[tuple[tuple[int, ...], str]]


def seen(path: Path, labels: Labels = NAMES, **wishes: Any) -> tuple[Seen, str]:
    with imported(path, labels, [PICTURE], wishes=Wishes(**wishes)) as found:
        detections, _ = found.predictor.detector.detect(PICTURE)
        return sorted(
            (
                (tuple(round(side) for side in box), labels.names[class_id])
                for box, _, class_id in detections
            ),
        ), found.head


@pytest.mark.parametrize("head", ["yolov5", "yolov8", "end-to-end"])
@pytest.mark.parametrize("units", ["pixels", "parts"])
def test_yolo_heads_see_what_is_there(tmp_path: Path, head: Any, units: Any) -> None:
    what, words = seen(onnx_model(tmp_path / "a.onnx", head, units=units))
    assert what == SEEN
    assert ("pixels" in words) == (units == "pixels")
    assert ("objectness" in words) == (head == "yolov5")
    assert ("finished" in words) == (head == "end-to-end")


@pytest.mark.parametrize("reverse", [False, True])
def test_an_ssd_sees_what_is_there_in_whatever_order_its_outputs_come(
    tmp_path: Path, reverse: bool
) -> None:
    what, words = seen(tflite_ssd(tmp_path / "a.tflite", reversed_outputs=reverse))
    assert what == SEEN
    assert "SSD" in words


def test_an_ssds_background_line_is_no_class(tmp_path: Path) -> None:
    """The labels of published SSDs begin with a line that the operator does not count."""
    what, _ = seen(tflite_ssd(tmp_path / "a.tflite"), Labels(LABELS, background=True))
    assert what == SEEN


def test_too_few_labels_for_an_ssd_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="names class 1") as caught:
        seen(tflite_ssd(tmp_path / "a.tflite"), Labels(("red",), background=False))
    assert "--background" in caught.value.hint


def test_a_classifier_names_the_whole_picture(tmp_path: Path) -> None:
    path = tflite_classes(tmp_path / "a.tflite")
    names = Labels(("red", "green", "blue"), background=False)
    green = np.zeros((40, 60, 3), np.uint8)
    green[..., 1] = 200
    with imported(path, names, [green]) as found:
        detector = found.predictor.detector
        assert detector.preprocessing.fit == "stretch"
        ((box, score, class_id),) = detector.detect(green)[0]
    assert (box, class_id) == ((0, 0, 60, 40), 1)
    assert score == pytest.approx(200 / 255, abs=0.01)


def test_the_logits_of_a_classifier_become_probabilities(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "a.onnx", "classes")
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 0] = 255
    with imported(path, NAMES, [red], wishes=Wishes(scale="0-1")) as found:
        assert "softmax" in found.head
        ((_, score, class_id),) = found.predictor.detector.detect(red)[0]
    assert class_id == 0
    assert score == pytest.approx(1 / (1 + np.exp(-12.0)), abs=1e-3)  # logits 4 and -8


def test_an_open_batch_is_fixed_and_the_file_left_alone(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "a.onnx", "yolov8", open_batch=True)
    before = path.read_bytes()
    assert seen(path)[0] == SEEN
    assert path.read_bytes() == before


def test_an_open_size_must_be_said(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "a.onnx", "yolov8")
    model = onnx.load(path)
    for place, name in ((0, "batch"), (2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    onnx.save(model, path)
    with pytest.raises(ModelError) as caught:
        seen(path)
    assert "--size" in caught.value.hint
    assert seen(path, size=(96, 64))[0] == SEEN


def test_assumptions_are_said_and_can_be_changed(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "a.onnx", "yolov8")
    with imported(path, NAMES) as found:
        assert any("--fit" in note for note in found.notes)
        assert any("--scale" in note for note in found.notes)
    with imported(path, NAMES, wishes=Wishes(fit="stretch", scale="0-1", bgr=True)) as found:
        assert found.notes == ()
        canvas = found.predictor.detector.preprocessing
        assert (canvas.fit, canvas.order, canvas.layout) == ("stretch", "bgr", "nchw")


def test_a_wrong_order_of_channels_shows_in_the_names(tmp_path: Path) -> None:
    what, _ = seen(onnx_model(tmp_path / "a.onnx", "yolov8"), bgr=True)
    assert [name for _, name in what] == ["blue", "red"]


def scores_as_logits(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Sigmoid":
            node.op_type = "Identity"


def grey_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    for weights in model.graph.initializer:
        if weights.name == "weight":
            one = onnx.numpy_helper.to_array(weights)[:, :1]
            weights.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(one), "weight"))


def two_inputs(model: onnx.ModelProto) -> None:
    second = model.graph.input.add()
    second.CopyFrom(model.graph.input[0])
    second.name = "more"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(scores_as_logits, "not 0 and 1", id="scores not decoded"),
        pytest.param(grey_input, "the input has shape", id="grey pictures"),
        pytest.param(two_inputs, "2 inputs", id="two inputs"),
    ],
)
def test_models_that_cannot_be_used_are_refused_in_words(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], complaint: str
) -> None:
    path = onnx_model(tmp_path / "a.onnx", "yolov8")
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    with pytest.raises(ModelError, match=complaint) as caught:
        seen(path)
    assert caught.value.hint


def test_finished_objects_as_centre_and_size_are_refused(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "a.onnx", "end-to-end")
    model = onnx.load(path)
    for value in model.graph.initializer:
        if value.name == "boxes":
            corners = onnx.numpy_helper.to_array(value)
            low, high = corners[..., :2], corners[..., 2:]
            turned = np.concatenate([(low + high) / 2, high - low], axis=-1)
            value.CopyFrom(onnx.numpy_helper.from_array(turned, "boxes"))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="no corners"):
        seen(path)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.pt", b"pickle", UsageError),
        ("none.onnx", None, UsageError),
        ("a.onnx", b"not a model at all", ModelError),
        ("a.tflite", b"not a model at all", ModelError),
    ],
)
def test_files_that_are_no_models(
    tmp_path: Path, name: str, content: bytes | None, error: type[errors.TartletError]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error), imported(path, NAMES):
        pass


def test_the_drawn_picture_has_all_colours_and_is_always_the_same() -> None:
    picture = drawn_picture(96, 64)
    assert picture.shape == (64, 96, 3)
    assert np.array_equal(picture, drawn_picture(96, 64))
    assert picture.reshape(-1, 3).std(axis=0).min() > 20
