"""tartlet import as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_host.evaluate.predictor import open_predictor
from tartlet_shared import errors
from tartlet_shared.bundle import open_bundle
from tests.command_line import tartlet
from tests.foreign_models import coloured_picture, onnx_model, tflite_ssd


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    rgb = coloured_picture((1, 1, "red"), (4, 2, "blue"), width=96, height=64)
    path = tmp_path / "street.png"
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return path


def test_a_model_with_names_and_a_picture_become_a_bundle(tmp_path: Path, picture: Path) -> None:
    model = onnx_model(tmp_path / "yolo.onnx", "yolov8", names=True)
    made = json.loads(tartlet("import", model, "--picture", picture, "--json").stdout)
    bundle = open_bundle(tmp_path / "yolo-bundle")
    assert bundle.digest == made["digest"]
    assert bundle.manifest.labels == ("red", "blue")
    assert len(bundle.manifest.golden[0].detections) == 2
    assert [each["label"] for each in made["pictures"][0]["detections"]] == ["red", "blue"]
    drawn = cv2.imread(made["pictures"][0]["drawn"])
    assert drawn is not None
    assert drawn.shape == (64, 96, 3)
    # What measures and pushes opens it as any other bundle.
    found = open_predictor(bundle.folder).predict(np.asarray(drawn[..., ::-1], np.uint8))
    assert len(found) >= 2


def test_people_read_what_was_recognised_and_assumed(tmp_path: Path, picture: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("???\nred\nblue\n")
    model = tflite_ssd(tmp_path / "ssd.tflite")
    result = tartlet(
        "import", model, "--labels", labels, "--picture", picture, "-o", tmp_path / "out"
    )
    assert "SSD" in result.stdout
    assert "assumed" in result.stdout
    assert "red 0.98" in result.stdout
    assert "tartlet push" in result.stderr
    assert open_bundle(tmp_path / "out").manifest.decoding.score_threshold == 0.3


def test_without_a_picture_nothing_is_sealed(tmp_path: Path) -> None:
    model = onnx_model(tmp_path / "yolo.onnx", "yolov5", names=True)
    result = tartlet("import", model)
    assert "nothing sealed" in result.stderr
    assert not (tmp_path / "yolo-bundle").exists()
    assert (tmp_path / "yolo-bundle-0.jpg").is_file()


def test_a_picture_in_which_nothing_is_seen_makes_no_bundle(tmp_path: Path) -> None:
    model = onnx_model(tmp_path / "yolo.onnx", "yolov8", names=True)
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((64, 96, 3), 90, np.uint8))
    with pytest.raises(errors.BundleError, match="sees nothing"):
        tartlet("import", model, "--picture", grey)
    assert not (tmp_path / "yolo-bundle").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ([], errors.UsageError, "--labels"),
        (["--size", "big"], errors.UsageError, "640x480"),
        (["--picture", "none.png"], errors.PictureUnreadable, ""),
    ],
)
def test_mistakes_are_answered_with_what_to_do(
    tmp_path: Path, arguments: list[str], error: type[errors.TartletError], hint: str
) -> None:
    model = onnx_model(tmp_path / "yolo.onnx", "yolov8", names=bool(arguments))
    with pytest.raises(error) as caught:
        tartlet("import", model, *arguments)
    assert hint in caught.value.hint
