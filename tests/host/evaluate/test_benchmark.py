"""Finding and timing candidates on this machine, and the command around it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tartlet_host import cli
from tartlet_host.commands.bench import in_words
from tartlet_host.evaluate import benchmark
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import InputRecipe, ModelRecipe, Recipe
from tartlet_host.remote import probe
from tartlet_host.train import checkpoint
from tartlet_shared import errors
from tartlet_shared.benchmark_messages import Conditions

BRIGHT = Path(__file__).parents[2] / "golden" / "device" / "bright_int8.tflite"


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """A model file of the same name in two folders, and a bundle."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(BRIGHT, tmp_path / name / "model.tflite")
    probe.write_bundle(tmp_path / "c")
    return [tmp_path / "a" / "model.tflite", tmp_path / "b" / "model.tflite", tmp_path / "c"]


def test_names_are_as_short_as_they_can_be(models: list[Path]) -> None:
    found = benchmark.find(models)
    folder = models[2].parent.name
    assert [each.name for each in found] == ["a/model.tflite", "b/model.tflite", f"{folder}/c"]
    assert [each.runtime for each in found] == ["litert", "litert", "onnx"]
    assert [each.path.name for each in found] == ["model.tflite", "model.tflite", "model.onnx"]
    assert [each.name for each in benchmark.find(models[1:])] == ["model.tflite", "c"]
    twice = benchmark.find([models[0], models[0]])
    assert [each.name for each in twice] == ["model.tflite (1)", "model.tflite (2)"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.tflite", "no such file"), ("notes.txt", "neither"), ("none", "neither")],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(errors.UsageError, match=words):
        benchmark.find([tmp_path / name])


def test_the_command_times_files_and_bundles(models: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ["bench", *map(str, models), "--runs", "4", "--json", "-o", str(page)]
    result = CliRunner().invoke(cli.cli, words)
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert (told["device"], told["threads"]) == (None, 1)
    assert [each["model"] for each in told["models"]] == [str(path) for path in models]
    for each in told["models"]:
        assert 0 < each["p50_ms"] <= each["p95_ms"]
        assert (each["runs"], each["failure"], each["map50"]) == (4, None, None)
        assert each["peak_bytes"] > 10_000_000
    content = page.read_text(encoding="utf-8")
    assert "a/model.tflite" in content
    assert "<script" not in content


def test_a_model_that_cannot_be_timed_is_named(models: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"rubbish")
    result = CliRunner().invoke(cli.cli, ["bench", str(broken), str(models[0]), "--runs", "1"])
    assert result.exception is None, result.output
    assert "broken.tflite: not timed" in result.output
    assert "1.00x" in result.output


def test_a_checkpoint_is_timed_too(tmp_path: Path) -> None:
    recipe = Recipe(
        name="small",
        labels=("square",),
        input=InputRecipe(64, 64),
        model=ModelRecipe(strides=(8,), neck_channels=8, pretrained=False),
    )
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, build_detector(recipe).eval(), recipe, metrics={})
    seen: list[tuple[int, int]] = []
    outcome = benchmark.measure(
        benchmark.find([path]), runs=1, progress=lambda *done: seen.append(done)
    )
    (timing,) = outcome.timings.values()
    assert (timing.failure, timing.runs) == (None, 4)
    assert timing.version.startswith("torch")
    assert seen == [(1, 1)]


@pytest.mark.parametrize(
    ("heat", "throttled", "load", "lines"),
    [
        ((None, None), None, None, []),
        ((None, None), None, 0.3, []),
        ((None, None), None, 9.24, ["others kept each core busy 9.2 times over"]),
        ((50.4, 61.0), None, None, ["temperature: 50 °C before, 61 °C at most"]),
        ((None, None), (), None, ["power and heat: good"]),
        ((None, 80.0), ("throttled now",), None, ["temperature: 80 °C at most", "throttled now"]),
    ],
)
def test_heat_and_power_in_words(
    heat: tuple[float | None, float | None],
    throttled: tuple[str, ...] | None,
    load: float | None,
    lines: list[str],
) -> None:
    before, highest = heat
    said = in_words(
        Conditions(
            machine="a Pi",
            temperature_c=before,
            highest_c=highest,
            throttled=throttled,
            load=load,
        )
    )
    assert len(said) == len(lines)
    for line, words in zip(said, lines, strict=True):
        assert words in line
