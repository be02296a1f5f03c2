"""How much faster the pruned int8 model is than its float parent, both on LiteRT, one thread."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.row import Row
from tartlet_device.preprocess import Picture
from tartlet_host import runs
from tartlet_host.evaluate import latency
from tartlet_host.evaluate.predictor import ModelPredictor, open_predictor
from tartlet_shared import errors

GOAL = 3.0
RECIPE = Path("models/people/recipe.toml")
PARENT, PRUNED = "parent-float.tflite", "pruned-int8.tflite"
_RUNS = 200
_CALIBRATION_PICTURES = 16
_SIZE = (576, 768, 3)


@dataclass(frozen=True)
class Models:
    """The two models to compare, and where they come from."""

    parent: ModelPredictor
    pruned: ModelPredictor
    origin: str


def run() -> list[Row]:
    """One row; ``ratio`` is parent over pruned, ``goal`` the least it must be."""
    with models() as compared:
        rgb = picture()
        times = latency.measure(
            {
                "pruned": latency.inference(compared.pruned, rgb),
                "parent": latency.inference(compared.parent, rgb),
            },
            runs=_RUNS,
        )
    ratio = times["parent"].p50 / times["pruned"].p50
    return [
        Row(
            name=f"int8 pruned against its fp32 parent, LiteRT, one thread ({compared.origin})",
            ours=times["pruned"].p50,
            rival=times["parent"].p50,
            ratio=ratio,
            goal=GOAL,
            holds=ratio >= GOAL,
            unit="ms",
        )
    ]


@contextlib.contextmanager
def models() -> Iterator[Models]:
    """The newest run's models, or untrained ones of the same shape where there was no run."""
    try:
        parent, pruned = runs.latest(PARENT), runs.latest(PRUNED)
    except errors.UsageError:
        with tempfile.TemporaryDirectory() as folder:
            _make(Path(folder))
            yield _open(Path(folder) / PARENT, Path(folder) / PRUNED, "untrained")
    else:
        yield _open(parent, pruned, parent.parent.name)


def picture() -> Picture:
    """Noise of the camera's size; the time of these networks does not depend on the content."""
    return np.random.default_rng(0).integers(0, 256, _SIZE, np.uint8)


def _open(parent: Path, pruned: Path, origin: str) -> Models:
    labels = _labels()
    return Models(
        open_predictor(parent, labels=labels), open_predictor(pruned, labels=labels), origin
    )


def _labels() -> tuple[str, ...]:
    from tartlet_host.recipe import load_recipe

    return load_recipe(RECIPE).labels


def _make(folder: Path) -> None:
    """Untrained weights, pruned as the recipe says. Only their shapes matter here."""
    import torch

    from tartlet_host.model.detector import build_detector
    from tartlet_host.prune.pruner import prune
    from tartlet_host.quantize import conversion, description
    from tartlet_host.quantize.calibration import Calibration
    from tartlet_host.recipe import load_recipe
    from tartlet_host.train import checkpoint

    recipe = load_recipe(RECIPE)
    parent = build_detector(recipe).eval()
    with torch.no_grad():
        for name, parameter in parent.named_parameters():
            if name.endswith("score.bias"):
                parameter.zero_()  # every cell sees something, as the memory benchmark needs
    pruned = copy.deepcopy(parent)
    report = prune(pruned, recipe)
    checkpoint.save(folder / "parent.safetensors", parent, recipe, metrics={})
    checkpoint.save(
        folder / "pruned.safetensors", pruned, recipe, metrics={}, pruning_history=(report.step,)
    )
    canvas = description.preprocessing(recipe)
    shape = (_CALIBRATION_PICTURES, canvas.height, canvas.width, 3)
    noise = Calibration(np.random.default_rng(0).integers(0, 256, shape, np.uint8), canvas)
    conversion.convert(folder / "parent.safetensors", folder, runtimes=["litert"], calibration=None)
    conversion.convert(
        folder / "pruned.safetensors", folder, runtimes=["litert"], calibration=noise
    )
