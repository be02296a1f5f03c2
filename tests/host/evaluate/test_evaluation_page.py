"""The evaluation's page: whole, on its own, and for one class as for many."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tartlet_host import cli
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate.evaluation import evaluate
from tartlet_host.evaluate.evaluation_page import (
    MOST_CLASSES,
    MOST_CURVES,
    EvaluatedModel,
    EvaluationPage,
    render,
)
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.samples import TestPicture, worst
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Preprocessing

BRIGHT = Path(__file__).parents[2] / "golden" / "device" / "bright_int8.tflite"
CANVAS = Preprocessing(width=160, height=160)
BOX, ELSEWHERE = [10, 10, 50, 50], [60, 60, 90, 90]


def page_of(labels: tuple[str, ...], models: int = 1) -> str:
    """Of each class one object is found; the first class's is taken for the last as well."""
    box = np.array([BOX], np.float32)
    samples = tuple(
        Sample(Path("a <b>.png"), 100, 100, box, np.array([kind]), np.array([False]))
        for kind in range(len(labels))
    )
    found = [
        Detections(box, np.array([0.9], np.float32), np.array([kind]))
        for kind in range(len(labels))
    ]
    found[0] = Detections(
        np.array([ELSEWHERE], np.float32), np.array([0.9], np.float32), np.array([len(labels) - 1])
    )
    data = Dataset(labels, samples)
    measured = evaluate(data, found, thresholds=(0.5,) * len(labels), canvas=CANVAS)
    rgb = np.zeros((100, 100, 3), np.uint8)
    pictures = [
        TestPicture("", rgb, samples[place], finding) for place, finding in worst(data, found, 0.5)
    ]
    return render(
        EvaluationPage(
            title="model <1>",
            data="test.json",
            created="today",
            models=[
                EvaluatedModel(f"m{n}", "litert 1", 400_000, measured, Latency(1 + n, 2, 60))
                for n in range(models)
            ],
            pictures=pictures,
        )
    )


def assert_stands_alone(page: str) -> None:
    assert "<script" not in page
    assert "@import" not in page
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("data:image/jpeg;base64,", "#")), address


def test_one_class_and_one_model() -> None:
    page = page_of(("person",))
    assert_stands_alone(page)
    assert "model &lt;1&gt;" in page
    assert "a &lt;b&gt;.png" in page
    assert "0 found, 1 missed, 1 false" in " ".join(page.split())
    assert "The models" not in page  # there is nothing to compare with


def test_several_models_are_compared() -> None:
    page = page_of(("person",), models=3)
    assert "The models" in page
    assert "0.50×" in page  # m1 takes twice as long as m0


@pytest.mark.parametrize("classes", [2, MOST_CURVES + 1, MOST_CLASSES + 1])
def test_any_number_of_classes(classes: int) -> None:
    page = page_of(tuple(f"class {kind}" for kind in range(classes)))
    assert_stands_alone(page)
    listed = classes > MOST_CLASSES  # where the matrix would be too large
    assert ("class 0 missed: 1" in page) == listed
    assert (f"class {classes - 1} seen where nothing is: 1" in page) == listed
    assert ("Rows: what is there" in page) == (classes <= MOST_CLASSES)
    assert ("Drawn are the" in page) == (classes > MOST_CURVES)


def test_the_command_writes_the_page_and_looks_several_times(
    make_squares: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = make_squares(2, labels=("bright",))
    for sample in data.samples:
        picture = cv2.imread(str(sample.picture))
        assert picture is not None
    coco.write(data, tmp_path / "labels.json")
    page = tmp_path / "out" / "page.html"
    page.parent.mkdir()
    words = ["evaluate", str(BRIGHT), "--data", str(tmp_path / "labels.json"), "--runs", "4"]
    result = CliRunner().invoke(cli.cli, [*words, "--tta", "-o", str(page), "--json"])
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert told["classes"][0]["label"] == "bright"
    assert len(told["canvas_sizes"]) == 6
    content = page.read_text(encoding="utf-8")
    assert_stands_alone(content)
    assert "7 inferences for each picture" in content
    assert [each.name for each in page.parent.iterdir()] == ["page.html"]
