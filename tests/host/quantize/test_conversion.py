"""Conversions in their own processes: what comes back, and what happens when they die."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tartlet_host import cli
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate import parity
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_host.model.detector import build_detector
from tartlet_host.quantize import conversion, graph, litert, onnx, ranges
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.recipe import InputRecipe, ModelRecipe, QuantizeRecipe, Recipe
from tartlet_host.train import checkpoint
from tartlet_shared.errors import CheckpointCorrupt, ConversionFailed
from tartlet_shared.manifest import Preprocessing
from tests.small_network import settled

RECIPE = Recipe(
    name="small",
    labels=("square",),
    input=InputRecipe(64, 96),
    model=ModelRecipe(strides=(8, 16), neck_channels=16, pretrained=False),
)


def saved(folder: Path, *, spoil: float | None = None) -> Path:
    """A checkpoint of a small untrained network, whose scores are not all alike."""
    detector = settled(RECIPE, seed=1)
    with torch.no_grad():
        for head in detector.heads:
            head.get_parameter("score.weight").normal_(std=0.3)
            head.get_parameter("score.bias").fill_(-1.0)
            if spoil is not None:
                head.get_parameter("score.bias").fill_(spoil)
    path = folder / "small.safetensors"
    checkpoint.save(path, detector, RECIPE, metrics={})
    return path


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL .out of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import sys; sys.exit(3)", "exit code 3"),
        (
            "import sys, pathlib; pathlib.Path(sys.argv[1], 'outcome.json').write_text('{')",
            "exit code 0 and no result",
        ),
    ],
)
def test_a_converter_that_dies_is_an_error(
    script: str, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(conversion, "WORKER", ("-c", "print('last words');" + script))
    with pytest.raises(ConversionFailed, match=complaint):
        conversion.convert(
            tmp_path / "any.safetensors", tmp_path / "out", runtimes=["onnx"], calibration=None
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_leaving_early_ends_the_converter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conversion, "WORKER", ("-c", "import time; time.sleep(600)"))
    with conversion.start(
        tmp_path / "any.safetensors", tmp_path, runtime="onnx", calibration=None
    ) as started:
        process = started._process
        assert process.poll() is None
    assert process.poll() is not None


def test_a_damaged_checkpoint_comes_back_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    with pytest.raises(CheckpointCorrupt) as caught:
        conversion.convert(path, tmp_path / "out", runtimes=["onnx"], calibration=None)
    assert "broken.safetensors" in caught.value.where
    assert list((tmp_path / "out").iterdir()) == []


def test_without_the_converter_the_hint_is_onnx(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(ConversionFailed) as caught:
        litert.convert_float(build_detector(RECIPE), RECIPE, tmp_path / "m.tflite")
    assert "--runtime onnx" in caught.value.hint
    assert not (tmp_path / "m.tflite").exists()
    monkeypatch.setattr(litert.importlib.util, "find_spec", lambda name: None)
    assert conversion.default_runtimes() == ("onnx",)


@pytest.mark.training
def test_weights_that_are_not_finite_leave_no_file(tmp_path: Path) -> None:
    path = saved(tmp_path, spoil=float("nan"))
    with pytest.raises(ConversionFailed, match="not finite"):
        conversion.convert(path, tmp_path / "out", runtimes=["onnx"], calibration=None)
    assert list((tmp_path / "out").iterdir()) == []


@dataclass(frozen=True)
class Converted:
    """A checkpoint and its model files."""

    checkpoint: Path
    files: tuple[ModelFile, ...]
    pixels: np.ndarray


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The small network for both runtimes; it takes a while, so all tests share it."""
    folder = tmp_path_factory.mktemp("converted")
    path = saved(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), np.uint8)
    pictures = Calibration(pixels, Preprocessing(width=96, height=64))
    files = conversion.convert(
        path, folder / "out", runtimes=["litert", "onnx"], calibration=pictures
    )
    return Converted(path, files, pixels)


@pytest.mark.training
def test_the_files_are_there_and_nothing_else(converted: Converted) -> None:
    names = ["small-float.tflite", "small-int8.tflite", "small-float.onnx", "small-int8.onnx"]
    assert [each.path.name for each in converted.files] == names
    folder = converted.files[0].path.parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for each in converted.files:
        assert each.size == each.path.stat().st_size


@pytest.mark.training
def test_float_is_torchs_and_int8_comes_close(converted: Converted) -> None:
    reference = open_predictor(converted.checkpoint)
    limits = parity.Limits(agreement=0.0, score_difference=1.0, correlation=0.85)
    for each in converted.files:
        other = open_predictor(each.path, labels=("square",))
        found = parity.compare(reference, other, list(converted.pixels[:3]), limits=limits)
        if each.precision == "float":
            assert found.agreement == 1.0
            assert min(found.correlations) > 0.999999
        else:
            assert found.score_correlation < 0.999999  # it is quantized indeed


@pytest.mark.training
def test_the_int8_input_is_exact(converted: Converted) -> None:
    affine = open_predictor(converted.files[1].path, labels=("square",)).runtime.input.affine
    assert affine is not None
    assert (affine.scale, affine.zero_point) == (1 / 128, -1)


@pytest.mark.training
@pytest.mark.parametrize("runtime", ["litert", "onnx"])
def test_every_layer_of_a_file_is_reported(converted: Converted, runtime: str) -> None:
    made = {each.precision: each for each in converted.files if each.runtime == runtime}
    layers = graph.layers(made["float"].path, runtime)
    assert [each.name for each in made["int8"].layers] == [each.name for each in layers]
    assert len({each.name for each in layers}) == len(layers)
    kinds = [each.kind for each in layers]
    convolutions = [
        module
        for module in checkpoint.load(converted.checkpoint).detector.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    depthwise = [each for each in convolutions if each.groups > 1]
    assert kinds.count("depthwise") == len(depthwise)
    assert kinds.count("convolution") == len(convolutions) - len(depthwise)
    assert made["float"].layers == ()
    assert all(0 < each.signal_to_noise < 80 for each in made["int8"].layers)


@pytest.mark.training
@pytest.mark.parametrize("runtime", ["litert", "onnx"])
def test_ends_of_the_network_are_among_the_values(converted: Converted, runtime: str) -> None:
    """What the report compares is what the runtime computes."""
    path = next(
        each.path
        for each in converted.files
        if (each.runtime, each.precision) == (runtime, "float")
    )
    pictures = Calibration(converted.pixels[:1], Preprocessing(width=96, height=64))
    (values,) = graph.activations(path, runtime, pictures)
    outputs = open_predictor(path, labels=("square",)).raw(converted.pixels[0])
    ends = [layer.output for layer in graph.layers(path, runtime)]
    for output in outputs:
        wanted = output if runtime == "litert" else output.transpose(0, 3, 1, 2)
        assert any(
            values[name].shape == wanted.shape and np.allclose(values[name], wanted, atol=1e-4)
            for name in ends
        )


@pytest.mark.training
def test_smaller_candidates_are_smaller_and_see_alike(converted: Converted, tmp_path: Path) -> None:
    reference = open_predictor(converted.checkpoint)
    sizes = {(each.runtime, each.precision): each.size for each in converted.files}
    for runtime, converter in (("litert", litert), ("onnx", onnx)):
        source = next(each.path for each in converted.files if each.runtime == runtime)
        for precision, convert in (
            ("float16", converter.convert_float16),
            ("dynamic", converter.convert_dynamic),
        ):
            path = tmp_path / f"m-{precision}{source.suffix}"
            convert(source, path)
            assert path.stat().st_size < 0.8 * sizes[runtime, "float"]
            other = open_predictor(path, labels=("square",))
            least = 0.999 if precision == "float16" else 0.85
            raw = zip(
                reference.raw(converted.pixels[0]), other.raw(converted.pixels[0]), strict=True
            )
            for one, two in raw:
                assert least < np.corrcoef(one.ravel(), two.ravel())[0, 1] < 1.0


@pytest.mark.training
def test_signed_activations_are_signed(converted: Converted, tmp_path: Path) -> None:
    import onnx as onnx_library

    source = next(each.path for each in converted.files if each.runtime == "onnx")
    pictures = Calibration(converted.pixels, Preprocessing(width=96, height=64))
    found = ranges.ranges(lambda: graph.activations(source, "onnx", pictures), QuantizeRecipe())
    types = {}
    for signed in (False, True):
        path = tmp_path / f"m-{signed}.onnx"
        onnx.convert_int8(source, found, path, signed=signed)
        model = onnx_library.load(str(path))
        kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        types[signed] = {
            kinds[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"
        }
    assert types == {
        False: {onnx_library.TensorProto.UINT8},
        True: {onnx_library.TensorProto.INT8},
    }


@pytest.mark.training
def test_the_command_measures_and_reports(
    converted: Converted,
    make_squares: Callable[..., Dataset],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    labels = tmp_path / "labels.json"
    coco.write(make_squares(4), labels)
    asked: list[Any] = []

    def convert(*arguments: Any, **options: Any) -> tuple[ModelFile, ...]:
        asked.append((*arguments, options["runtimes"], len(options["calibration"].canvases)))
        asked.append((options["precisions"], options["quantize"].calibration))
        return converted.files

    monkeypatch.setattr(conversion, "convert", convert)
    page = tmp_path / "layers.html"
    arguments = ["quantize", str(converted.checkpoint), "--data", str(labels), "--json"]
    arguments += ["--calibration", "entropy", "--report", str(page)]
    # What an untrained network sees says nothing; the gate has tests of its own.
    arguments += ["--largest-loss", "1"]
    monkeypatch.setattr(parity, "check", lambda *_, **__: None)
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exception is None, result.output
    answer = json.loads(result.stdout)
    rows = answer["files"]
    assert [row["precision"] for row in rows] == ["float", "int8"] * 2
    assert [row["parity"] and row["parity"]["pictures"] for row in rows] == [None, 4] * 2
    assert [row["holds"] for row in rows] == [False, True] * 2
    assert rows[1]["layers"][0]["own"] > 0
    assert 0 <= answer["map50_float"] <= 1
    assert asked == [
        (converted.checkpoint, converted.checkpoint.parent, ("litert", "onnx"), 4),
        (("float", "int8", "float16"), "entropy"),
    ]
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "src=" not in text
    assert 'href="http' not in text
