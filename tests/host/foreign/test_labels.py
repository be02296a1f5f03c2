"""Class names as people and exporters write them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tartlet_host.foreign.labels import labels_inside, read_labels
from tartlet_shared.errors import ConfigError
from tests.foreign_models import LABELS, onnx_model, tflite_classes


@pytest.mark.parametrize(
    ("text", "names", "background"),
    [
        ("cat\ndog\n", ("cat", "dog"), False),
        ("cat\r\ndog\r\n\r\n", ("cat", "dog"), False),
        ("\ufeffcat\ndog", ("cat", "dog"), False),
        ("background\ncat\ndog\n", ("cat", "dog"), True),
        ("???\ncat\n???\ndog\n", ("cat", "unused-1", "dog"), True),  # a gap keeps its place
        ("0 cat\n1 hot dog\n", ("cat", "hot dog"), False),
        ("0: cat\n1: dog\n", ("cat", "dog"), False),
        ("2 cats\n1 dog\n", ("2 cats", "1 dog"), False),  # these numbers do not count through
        ("crane\ndog\ncrane\n", ("crane", "dog", "crane-2"), False),
    ],
)
def test_a_text_file(tmp_path: Path, text: str, names: tuple[str, ...], background: bool) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    found = read_labels(path)
    assert (found.names, found.background) == (names, background)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"background\n", b"\x89PNG\xff"])
def test_a_file_that_names_no_class(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_labels(path)
    assert "--labels" in caught.value.hint


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_labels(tmp_path / "none.txt")


def test_names_inside_an_onnx_file(tmp_path: Path) -> None:
    named = labels_inside(onnx_model(tmp_path / "a.onnx", "yolov8", names=True))
    assert named is not None
    assert named.names == LABELS
    assert labels_inside(onnx_model(tmp_path / "b.onnx", "yolov8")) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labelmap.txt", "cat\ndog\n"),
        ("metadata.json", json.dumps({"names": {"0": "cat", "1": "dog"}})),
        ("temp_meta.txt", str({"names": {0: "cat", 1: "dog"}, "stride": 32})),
    ],
)
def test_names_behind_a_tflite_file(tmp_path: Path, name: str, text: str) -> None:
    path = tflite_classes(tmp_path / "a.tflite")
    assert labels_inside(path) is None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, text)
    found = labels_inside(path)
    assert found is not None
    assert found.names == ("cat", "dog")


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_what_is_no_model_has_no_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"nothing of the kind")
    assert labels_inside(path) is None
