"""The models that the speed benchmarks compare: a float parent and its pruned int8 offspring."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.newest import newest_run
from tartlet_device.preprocess import Picture
from tartlet_host.recipe import Recipe, load_recipe

RECIPE = Path("models/people/recipe.toml")
PARENT = "parent-float.tflite"
INT8 = {"litert": "pruned-int8.tflite", "onnx": "pruned-int8.onnx"}
_CALIBRATION_PICTURES = 16
_SIZE = (576, 768, 3)


@dataclass(frozen=True)
class Models:
    """A recipe's models.

    Attributes:
        folder: has the files.
        labels: class names.
        origin: where they come from: a run, or untrained networks of the same shape.
    """

    folder: Path
    labels: tuple[str, ...]
    origin: str

    @property
    def parent(self) -> Path:
        """Float TFLite."""
        return self.folder / PARENT

    def pruned(self, runtime: str) -> Path:
        """int8, for "litert" or "onnx"."""
        return self.folder / INT8[runtime]

    @property
    def checkpoint(self) -> Path:
        """The pruned network."""
        return self.folder / "pruned.safetensors"


@contextlib.contextmanager
def models() -> Iterator[Models]:
    """Those of the newest run of models/people, or untrained ones where there was none."""
    recipe = load_recipe(RECIPE)
    found = newest_run(recipe.name)
    if found is not None:
        yield Models(found.folder, recipe.labels, found.folder.name)
        return
    with tempfile.TemporaryDirectory() as folder:
        _make(recipe, Path(folder))
        yield Models(Path(folder), recipe.labels, "untrained")


def picture() -> Picture:
    """Noise of the camera's size; the time of these networks does not depend on the content."""
    return np.random.default_rng(0).integers(0, 256, _SIZE, np.uint8)


def convert(checkpoint: Path, folder: Path, *, int8: bool) -> None:
    """TFLite and ONNX files of a checkpoint, calibrated with noise: only time matters here."""
    from tartlet_host.quantize import conversion, description
    from tartlet_host.quantize.calibration import Calibration
    from tartlet_host.train import checkpoint as checkpoints

    canvas = description.preprocessing(checkpoints.load(checkpoint).recipe)
    shape = (_CALIBRATION_PICTURES, canvas.height, canvas.width, 3)
    noise = Calibration(np.random.default_rng(0).integers(0, 256, shape, np.uint8), canvas)
    conversion.convert(
        checkpoint,
        folder,
        runtimes=conversion.default_runtimes(),
        calibration=noise if int8 else None,
    )


def _make(recipe: Recipe, folder: Path) -> None:
    """Untrained weights, pruned as the recipe says. Only their shapes matter here."""
    import torch

    from tartlet_host.model.detector import build_detector
    from tartlet_host.prune.pruner import prune
    from tartlet_host.train import checkpoint

    parent = build_detector(recipe).eval()
    with torch.no_grad():
        for name, parameter in parent.named_parameters():
            if name.endswith("score.bias"):
                parameter.zero_()  # every cell sees something, as the memory benchmark needs
    pruned = copy.deepcopy(parent)
    report = prune(pruned, recipe)
    checkpoint.save(folder / "parent.safetensors", parent, recipe, metrics={})
    checkpoint.save(
        folder / "pruned.safetensors",
        pruned,
        report.recipe,
        metrics={},
        pruning_history=(report.step,),
    )
    convert(folder / "parent.safetensors", folder, int8=False)
    convert(folder / "pruned.safetensors", folder, int8=True)
