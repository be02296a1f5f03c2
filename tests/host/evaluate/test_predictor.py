"""One door to checkpoints, bundles and model files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tartlet_host import cli, package
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.predictor import EVALUATION_THRESHOLD, open_predictor
from tartlet_host.model.detector import Detector, build_detector, channels_last
from tartlet_host.model.export import ExportWrapper
from tartlet_host.recipe import InputRecipe, ModelRecipe, Recipe
from tartlet_host.train import checkpoint
from tartlet_shared import errors

BRIGHT = Path(__file__).parents[2] / "golden" / "device" / "bright_int8.tflite"
RECIPE = Recipe(
    name="small",
    labels=("square",),
    input=InputRecipe(64, 96),
    model=ModelRecipe(strides=(8, 16), neck_channels=16, pretrained=False),
)


def picture() -> np.ndarray:
    rgb = np.full((96, 128, 3), 20, np.uint8)
    rgb[32:64, 32:64] = 235
    rgb[64:, 96:] = 100  # seen, but not enough to tell anybody
    return rgb


@pytest.fixture
def network() -> Detector:
    torch.manual_seed(2)
    return channels_last(build_detector(RECIPE)).eval()


@pytest.fixture
def saved(network: Detector, tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, network, RECIPE, metrics={})
    return path


def test_a_model_file_sees_down_to_low_scores() -> None:
    model = open_predictor(BRIGHT, labels=("bright",), score_threshold=0.5)
    found = model.predict(picture())
    assert found.score.max() > 0.9
    assert EVALUATION_THRESHOLD <= found.score.min() < 0.5
    assert (model.runtime.name, model.size) == ("litert", BRIGHT.stat().st_size)
    assert model.score_threshold == 0.5


def test_a_bundle_brings_its_labels_and_threshold(tmp_path: Path) -> None:
    model = open_predictor(BRIGHT, labels=("bright",), score_threshold=0.6)
    built = package.build_bundle(model, tmp_path / "b", name="bright", golden=[picture()])
    for path in (built.folder, built.folder / "manifest.json"):
        opened = open_predictor(path, labels=("something else",))
        assert opened.labels == ("bright",)
        assert opened.score_threshold == 0.6
        assert opened.predict(picture()) == model.predict(picture())
    assert open_predictor(built.folder, score_threshold=0.9).score_threshold == 0.9


def test_a_checkpoint_gives_torchs_outputs(saved: Path, network: Detector) -> None:
    model = open_predictor(saved)
    canvas = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    tensor = torch.from_numpy((canvas[np.newaxis].astype(np.float32) - 127) / 128)
    with torch.inference_mode():
        expected = ExportWrapper(network)(tensor)
    for output, wanted in zip(model.raw(canvas), expected, strict=True):
        np.testing.assert_allclose(output, wanted.numpy(), atol=1e-6)
    assert model.labels == ("square",)
    assert model.predict(canvas).score.max(initial=0) < 0.5  # untrained


def test_threads_of_the_process_are_left_alone(saved: Path) -> None:
    before = torch.get_num_threads()
    open_predictor(saved, threads=before + 1).predict(picture())
    assert torch.get_num_threads() == before


def test_weights_that_are_not_finite_are_refused(network: Detector, tmp_path: Path) -> None:
    with torch.no_grad():
        network.heads[0].get_parameter("box.bias")[1] = float("nan")
    path = tmp_path / "spoilt.safetensors"
    checkpoint.save(path, network, RECIPE, metrics={})
    with pytest.raises(errors.ModelError, match=r"heads\.0\.box\.bias"):
        open_predictor(path)


@pytest.mark.parametrize(
    ("name", "content", "labels", "error"),
    [
        ("m.tflite", b"", ("bright",), errors.BundleCorrupt),
        ("m.tflite", b"nonsense" * 100, ("bright",), errors.BundleCorrupt),
        ("m.tflite", BRIGHT.read_bytes()[:3000], ("bright",), errors.BundleCorrupt),
        ("m.tflite", BRIGHT.read_bytes(), ("one", "two"), errors.ModelError),
        ("m.tflite", BRIGHT.read_bytes(), None, errors.UsageError),
        ("m.onnx", b"nonsense" * 100, ("bright",), errors.BundleCorrupt),
        ("m.safetensors", b"nonsense" * 100, None, errors.CheckpointCorrupt),
        ("m.txt", b"hello", ("bright",), errors.UsageError),
        ("manifest.json", b"{", None, errors.BundleCorrupt),
    ],
)
def test_what_cannot_be_opened_is_named(
    name: str,
    content: bytes,
    labels: tuple[str, ...] | None,
    error: type[errors.TartletError],
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        open_predictor(path, labels=labels)
    assert name in caught.value.where


def test_an_empty_folder_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleCorrupt, match="no manifest"):
        open_predictor(tmp_path)


def bright_data(make_squares: Callable[..., Dataset], tmp_path: Path) -> Path:
    labels = tmp_path / "labels.json"
    coco.write(make_squares(6, labels=("bright",), size=32), labels)
    return labels


def test_the_command_measures_one_model(
    make_squares: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = bright_data(make_squares, tmp_path)
    arguments = ["evaluate", str(BRIGHT), "--data", str(data), "--runs", "4", "--json"]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exception is None, result.output
    report = json.loads(result.stdout)
    assert 0 < report["map50_95"] <= report["map50"] <= 1
    assert report["latency"]["p50"] <= report["latency"]["p95"]
    assert (report["pictures"], report["boxes"]) == (6, 6)
    assert report["bytes"] == BRIGHT.stat().st_size
    assert report["classes"][0]["label"] == "bright"


def test_the_command_compares_several(make_squares: Callable[..., Dataset], tmp_path: Path) -> None:
    data = bright_data(make_squares, tmp_path)
    arguments = ["evaluate", str(BRIGHT), str(BRIGHT), "--data", str(data), "--runs", "4"]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exception is None, result.output
    assert result.stdout.count("bright_int8.tflite: precision and recall") == 2
    reports = json.loads(CliRunner().invoke(cli.cli, [*arguments, "--json"]).stdout)
    assert reports[0]["map50"] == reports[1]["map50"]


def test_the_command_names_a_truncated_picture(
    make_squares: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = bright_data(make_squares, tmp_path)
    (tmp_path / "3.png").write_bytes(b"\x89PNG")
    result = CliRunner().invoke(cli.cli, ["evaluate", str(BRIGHT), "--data", str(data)])
    assert isinstance(result.exception, errors.PictureUnreadable)
    assert "3.png" in result.exception.where
