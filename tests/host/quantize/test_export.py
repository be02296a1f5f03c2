"""Float models for other programs: checked, or not there at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from tartlet_host import cli
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.quantize import conversion, export, litert
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.train import checkpoint
from tartlet_shared.errors import CheckpointCorrupt, ConversionFailed
from tests.small_network import SMALL


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, build_detector(SMALL).eval(), SMALL, metrics={})
    return path


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_torchscript_is_torchs(
    saved: Path, make_squares: Callable[..., Dataset], tmp_path: Path
) -> None:
    labels = tmp_path / "labels.json"
    coco.write(make_squares(3), labels)
    arguments = ["export", str(saved), "--format", "torchscript", "--data", str(labels), "--json"]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exception is None, result.output
    answer = json.loads(result.stdout)
    path = tmp_path / "small.pt"
    assert answer["file"] == str(path)
    assert answer["pictures"] == 3
    assert 0 <= answer["difference"] < 1e-3
    script = torch.jit.load(str(path))
    picture = torch.zeros(1, 64, 96, 3)
    shapes = [tuple(each.shape) for each in script(picture)]
    assert shapes == [(1, 8, 12, 1), (1, 8, 12, 4), (1, 4, 6, 1), (1, 4, 6, 4)]


@pytest.mark.training
@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_a_converted_file_is_torchs(saved: Path, form: export.Format, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    path = tmp_path / "out" / f"mine.{form}"
    made = export.export(saved, path, form, pictures=[picture])
    assert made.path == path
    assert made.size == path.stat().st_size
    assert made.difference < 1e-3
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    if form == "onnx":
        onnx.checker.check_model(str(path), full_check=True)


def test_where_there_is_no_converter_it_says_so(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(litert, "available", lambda: False)
    with pytest.raises(ConversionFailed, match="no converter to TFLite") as caught:
        export.export(saved, tmp_path / "m.tflite", "tflite")
    assert "--format onnx" in caught.value.hint
    assert not (tmp_path / "m.tflite").exists()


def write_onnx(path: Path, *, output: int) -> None:
    """A model that gives zeros; ONNX's checker takes output 1 alone."""
    node = onnx.helper.make_node("Identity", ["picture"], [f"y{output}"])
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "graph",
        [value("picture", onnx.TensorProto.FLOAT, (1, 64, 96, 3))],
        [value("y1", onnx.TensorProto.FLOAT, (1, 64, 96, 3))],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.save(model, str(path))


@pytest.mark.parametrize(
    ("output", "complaint"), [(1, "have shapes"), (2, "ONNX's checker objects")]
)
def test_what_fails_a_check_does_not_get_its_name(
    output: int, complaint: str, saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def convert(source: Path, folder: Path, **options: object) -> tuple[ModelFile, ...]:
        path = folder / "small-float.onnx"
        write_onnx(path, output=output)
        return (ModelFile(path, "onnx", "float", path.stat().st_size, 1.0),)

    monkeypatch.setattr(conversion, "convert", convert)
    folder = tmp_path / "out"
    with pytest.raises(ConversionFailed, match=complaint):
        export.export(saved, folder / "m.onnx", "onnx")
    assert list(folder.iterdir()) == []


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(CheckpointCorrupt):
        export.export(path, tmp_path / "m.onnx", "onnx")
